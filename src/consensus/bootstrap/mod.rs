//! How servers become an ensemble, once, and how one finds the ensemble that it belongs to.
//!
//! A server with an empty data directory cannot tell a first start from a lost disk. So it asks all
//! servers that its file names, over and over, until it belongs somewhere:
//!
//! * *Forming.* An ensemble is formed when every voter that the file names has answered that it is empty and
//!   names the same voters. With `db.autocreate=false` those that have the file `initialize` form it, if they are
//!   a majority. One of them, that with the lowest number, proposes the ensemble: its name, and
//!   the members with their lives. Each writes down what it agreed to, and agrees to one proposal only; two proposals
//!   need majorities of one list of voters, so only one is ever complete. Then the proposer begins a log
//!   with these members, and Raft does the rest.
//! * *Joining.* Where another one has data, this server decides on that ensemble, takes entries of no other, and
//!   asks to be taken in. The leader lets it take
//!   part without a vote until it has caught up, then exchanges the life that was lost for
//!   this one ([`admission`]). A life that was lost is in the membership until then, and counts as a
//!   voter that is down.
//! * *Growing.* A server that was formed on its own, and whose file now names others, may lead when
//!   a majority of those named has answered that it is empty or of the same ensemble.
//! * Data of another ensemble end the start, with a message that says what to do.
//!
//! A server that waits logs for whom, and why.
//!
//! * [`message`]: what is asked and answered. [`decide`]: what follows from the answers, as a pure function.
//! * [`promise`]: what a server without data decided on, on disk. [`task`]: asks, and acts.
//!   [`peers`], [`control`]: the way to the others, and to this server's Raft. [`answer`]: answers them.

pub(crate) mod admission;
mod answer;
mod control;
mod decide;
mod message;
mod peers;
mod promise;
mod task;

#[cfg(test)]
mod cases_test;

/// The file in the data directory that lets an empty server form an ensemble where `db.autocreate` is false
/// (`FileTxnSnapLog`).
pub const INITIALIZE: &str = "initialize";

pub(crate) use answer::Answers;
pub(crate) use control::RaftNodeControl;
pub use decide::BootstrapPolicy;
pub(crate) use task::{Bootstrap, BootstrapConfig, RaftControl};
