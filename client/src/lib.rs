//! The Rust client for Grovekeeper and Apache ZooKeeper.
