//! Grovekeeper: a ZooKeeper-compatible coordination service.
