//! Torture: concurrent clients with recorded histories, while every fault there is strikes the
//! servers; then the verdict.
//!
//! A run is a series of rounds. In each, [`workload`]s write to znodes of the round while a
//! plan, drawn from the run's seed, kills, stops, cuts and delays servers. Then
//! everything is healed, all servers must serve again, and the round's histories are checked
//! against each other and against what each server holds.
//!
//! The seed decides which faults come when and what each client does next; what the servers and
//! the machine make of it differs from run to run.

pub mod dice;
pub mod disks;
pub mod figures;
pub mod plan;

mod client;
mod connection;
mod injector;
mod members;
mod report;
mod round;
mod run;
mod sections;
mod verify;
mod workload;
mod world;

pub use figures::Figures;
pub use plan::Faults;
pub use run::{Options, Verdict, run};
pub use sections::Sections;
