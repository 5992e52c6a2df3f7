//! Grovekeeper: a ZooKeeper-compatible coordination service, replicated by Raft, in one binary.
//!
//! ```text
//! bytes -> jute-proto -> conn -----> proposer -> consensus -> replica.apply -> tree -> watches -> conn -> bytes
//!          records       sans-io     batches     openraft     pure, sync                events
//! ```
//!
//! Modules in the order in which a write travels, the pure ones first; ARCHITECTURE.md walks through
//! them.

pub mod config;
pub mod limits;

pub mod conn;
pub mod ensemble;
pub mod replica;
pub mod session;
pub mod tree;
pub mod watch;

pub mod consensus;
pub mod net;
pub mod server;
pub mod storage;

pub mod admin;
pub mod bench;
pub mod cli;
pub mod telemetry;
pub mod tls;
