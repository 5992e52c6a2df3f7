//! openraft: its types, the log store, the state machine and snapshots, and the running instance.

pub(crate) mod checkpoints;
pub(crate) mod log_store;
#[cfg(test)]
mod log_suite_test;
pub(crate) mod log_task;
pub(crate) mod members;
pub(crate) mod membership;
mod network;
pub(crate) mod node;
mod peer_requests;
#[cfg(test)]
mod read_index_test;
mod startup;
pub(crate) mod state_machine;
pub(crate) mod types;
mod wire;

pub use members::{ChangeFailed, MemberProgress, Members};
pub(crate) use state_machine::in_place;
pub use state_machine::{Committed, StateMachine};
