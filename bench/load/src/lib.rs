//! The load generator behind `grovekeeper bench`: it works against any ZooKeeper-compatible server.
//!
//! It is a closed loop: each connection keeps up to `depth` requests in flight and sends the next
//! one when a reply comes back, so latencies at a given depth are those of a client that waits.
//! Every reply is checked: order of xids, error code and expected body.
//!
//! Flow: `run` (workloads in turn) -> `setup` (the nodes that they need) -> `window` (all
//! connections for some seconds) -> `drive` (one connection: `scripts` write requests and check
//! replies, `link` moves bytes) -> `report`.

mod clock;
mod drive;
mod error;
mod fan_out;
mod idle;
mod link;
mod null_server;
mod options;
mod processor;
mod progress;
mod report;
mod run;
mod script;
mod scripts;
mod sessions;
mod setup;
mod tally;
mod window;
mod workload;

#[cfg(test)]
mod drive_test;

pub use error::BenchError;
pub use null_server::NullServer;
pub use options::BenchOptions;
pub use report::{Latencies, Report, WorkloadReport};
pub use run::run;
pub use workload::Workload;
