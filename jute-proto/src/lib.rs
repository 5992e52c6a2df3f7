//! The ZooKeeper wire protocol: Jute records to bytes and back.
