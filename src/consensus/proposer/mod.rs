//! Gathers the commands of many connections into entries, and brings them to the leader.
//!
//! Commands are encoded straight into the buffer that becomes the next batch. A task takes the
//! buffer whenever there is something in it and few enough batches are on their way; what arrives
//! meanwhile gathers in the next one. So an idle server sends a single command at once, and batches
//! grow by themselves with the load; there is no delay to be tuned.
//!
//! * Where this server leads, a batch becomes an entry ([`lead`]).
//! * Where it follows, batches travel to the leader in order ([`follow`]), which puts their commands
//!   into its own batches and tells when these are applied ([`host`]). A follower that cannot open
//!   the way to its leader is called by it ([`calls`]).
//!
//! A batch stays with its server until it is known to be applied. Whenever the way to the log was
//! lost — another leader, a broken connection, an entry that was refused — all that is unanswered is
//! sent again, in order, from the first. The session records know which commands came before, so
//! each is applied once, in order, and clients notice nothing but the pause.
//!
//! Commands that one term's leader gave orders for (its own, and those that others forwarded to it)
//! end with that term: who they came from sends them again where that is needed.

mod batch;
mod calls;
mod follow;
mod host;
mod lead;
mod liaison;
mod link;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
mod proposer;
mod queue;
mod task;
mod wire;

pub use liaison::{Commands, Liaison};
pub use proposer::{Proposer, ProposerOptions};
