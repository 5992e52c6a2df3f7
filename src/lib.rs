//! Grovekeeper: a ZooKeeper-compatible coordination service.

pub mod config;
