//! The command line: `grovekeeper serve`, `grovekeeper dev-cluster`, `grovekeeper bench`.
//!
//! Exit codes: 0 for success, 1 for a failure, 2 for a command line or a configuration that cannot
//! be used. A failure is one line on standard error.

mod args;
mod bench;
mod dev_cluster;
mod error;
mod log;
mod output;
mod run;
mod serve;
mod signals;

pub use run::main;
