//! Grovekeeper: a ZooKeeper-compatible coordination service, replicated by Raft, in one binary.
//!
//! ```text
//! bytes -> jute-proto -> conn -----> proposer -> consensus -> replica.apply -> tree -> watches -> conn -> bytes
//!          records       sans-io     batches     openraft     pure, sync                events
//! ```
//!
//! This crate is what touches the world: sockets, disk, clocks, configuration. What requests mean stands in the crate
//! `kernel`. ARCHITECTURE.md walks through both.

pub mod config;

pub mod consensus;
pub mod env;
pub mod net;
pub mod node;
pub mod storage;

pub mod admin;
pub mod app;
pub mod cli;
pub mod telemetry;
pub mod tls;

mod failpoints;
#[cfg(test)]
mod golden;
