//! Gathers the commands of many connections into entries, and brings them to the leader.
//!
//! Commands are encoded straight into the buffer that becomes the next batch. A task takes the
//! buffer whenever there is something in it and few enough batches are on their way; what arrives
//! meanwhile gathers in the next one. So an idle server sends a single command at once, and batches
//! grow by themselves with the load; there is no delay to be tuned.
//!
//! * Where this server leads, a batch becomes an entry ([`leader`]).
//! * Where it follows, batches travel to the leader in order ([`forward::client`](super::forward::client)), which puts their commands
//!   into its own batches and tells when these are applied ([`forward::server`](super::forward::server)). A follower that cannot open
//!   the way to its leader is called by it ([`forward::reverse_dial`](super::forward::reverse_dial)).
//!
//! A batch stays with its server until its own state shows that it is applied ([`progress`]). Whenever the
//! way to the log was lost — another leader, a broken connection, an entry that was refused — all
//! that is unanswered is sent again, in order, from the first. Each process of a server registers in the log and
//! numbers its batches ([`kernel::replica::section`]), so each is applied once, in order, and clients notice
//! nothing but the pause. Before version 2 is in force the session records tell what came before.
//!
//! What a leader gives orders for, and what others forwarded to it, ends with its term: who it came from
//! sends it again where that is needed.

pub(crate) mod batch;
pub(crate) mod leader;
pub(crate) mod progress;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
pub(crate) mod proposer;
pub(crate) mod queue;
pub(crate) mod sealer;
pub(crate) mod task;

pub use progress::{ProcessState, Progress, SectionNumber};
pub use proposer::{Proposer, ProposerOptions};
pub use sealer::BatchSealer;
