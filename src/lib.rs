//! Grovekeeper: a ZooKeeper-compatible coordination service.

pub mod cli;
pub mod config;
pub mod tree;
