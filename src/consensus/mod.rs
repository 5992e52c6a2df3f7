//! Agreement on the order of commands.
//!
//! ```text
//! Proposer::push ──► batch ──► Consensus::submit ──► raft: openraft ──► log_store ──► storage::log
//!                                                           │
//!                                       committed entries   ▼
//!                          StateMachine::apply ◄── state_machine_store ──► checkpoints ──► storage::state
//! ```
//!
//! The rest of the server sees the types of this module alone:
//!
//! * [`StateMachine`], which it implements: entries in, one at a time, in order, once.
//! * [`Consensus`]: starts the machinery over a [`DataDir`](crate::storage::DataDir), proposes
//!   entries, tells who leads, waits for reads, makes checkpoints.
//! * [`Proposer`]: gathers commands of many connections into one entry.
//!
//! Starting a server:
//!
//! ```text
//! let dir = DataDir::open(path, &OpenOptions::new(myid))?;
//! for row in dir.state().reader()?.rows() { replica.load(row?)?; }      // the checkpoint
//! let consensus = Consensus::start(config, &dir, Box::new(machine)).await?;       // applies the log's tail
//! let proposer = Proposer::start(&consensus, options, sealer, peer_status, progress);
//! serve_followers(&proposer, peer_status);                              // where there are some
//! ```
//!
//! A failure of the local storage, or an entry or row that the state machine cannot decode, stops
//! the server with [`Status::failure`]; it never diverges.
//!
//! The rooms, each of which uses only those in front of it:
//!
//! * `leadership`: how a leader keeps its lead, and how it loses it.
//! * `transport`: connections between servers, and what is said on them.
//! * `raft`: openraft, its log store and its state machine. No other room names openraft.
//! * `bootstrap`: how servers become an ensemble.
//! * `start` and `handle`: start all of them, and are what the server sees of them.
//! * `proposer`: how commands become entries. `forward`: how those of a follower reach the leader.

mod bootstrap;
#[cfg(test)]
mod ensemble_test;
mod error;
mod forward;
mod handle;
mod leadership;
mod members;
mod peer_status;
mod proposer;
mod raft;
mod start;
mod state_machine;
mod status;
mod transport;

pub use bootstrap::{
    BootstrapPolicy, INITIALIZE,
    admission::{Admissions, Joiner},
};
pub use error::{Fatal, ProposeError, ReadError, StartError};
pub use forward::serve_followers;
pub use handle::Consensus;
pub use leadership::timings::{ContactLimits, Timings};
pub use members::{ChangeFailed, MemberProgress, Members};
pub use peer_status::PeerStatus;
pub use proposer::{BatchSealer, ProcessState, Progress, Proposer, ProposerOptions, SectionNumber};
#[cfg(test)]
pub(crate) use raft::Nothing;
pub use start::ConsensusConfig;
pub use state_machine::{Committed, StateMachine};
pub use status::{Role, Status};
pub use transport::{AddressBook, EnsembleName, KnownVersions};
