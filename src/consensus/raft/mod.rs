//! openraft, and all that it asks of us. No other folder names it, and no signature outside of this one shows its
//! types.
//!
//! ```text
//! proposer, leadership, bootstrap ──► node ──► openraft ──► log_store ──► storage::log
//!                                               │    ▲ │
//!       transport ◄── network ◄─────────────────┘    │ └──► state_machine ──► StateMachine (src/node)
//!       transport ──► peer_requests ─────────────────┘            └──► checkpoints ──► storage::state
//! ```
//!
//! * [`node`]: [`RaftNode`], the running Raft in words of our own. [`startup`] starts it, [`members`] changes who takes
//!   part.
//! * [`network`], [`peer_requests`]: what Raft asks of peers, and what they ask of it. [`wire`] translates messages.
//! * [`log_store`], [`log_task`]: the log.
//! * [`state_machine_store`], [`checkpoints`]: what is committed is applied and, now and then, written to disk as a
//!   checkpoint, which openraft calls a snapshot. The two words meet here alone.
//! * [`membership`]: how configurations of the ensemble are stored. [`types`]: openraft's types with ours filled in.
//!
//! What must stay true:
//!
//! * openraft hears that entries or a vote are stored after they are on disk, never before.
//! * An entry is applied once, in order, by one task. Replies of clients come from there.
//! * openraft is told of a checkpoint after it is on disk: then it purges the log behind it.
//! * Bytes on disk and between servers are of our own types. Another version of openraft changes none of them.

mod checkpoints;
mod log_store;
#[cfg(test)]
mod log_suite_test;
mod log_task;
mod members;
mod membership;
mod network;
mod node;
mod peer_requests;
#[cfg(test)]
mod read_index_test;
mod startup;
mod state_machine_store;
mod types;
mod wire;

pub(crate) use checkpoints::Checkpoints;
pub(crate) use node::{MembershipView, ProposalOutcome, RaftNode};
pub(crate) use startup::RaftOptions;
pub(crate) use state_machine_store::CheckpointLimits;
#[cfg(test)]
pub(crate) use state_machine_store::tests::Nothing;
