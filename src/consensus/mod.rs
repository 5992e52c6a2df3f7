//! Agreement on the order of commands: the only folder that names openraft.
//!
//! ```text
//! Proposer::push ──► batch ──► Consensus::propose ──► openraft ──► log_store ──► storage::log
//!                                                        │
//!                                    committed entries   ▼
//!                             StateMachine::apply ◄── state_machine ──► checkpoints ──► storage::state
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
//! ```
//!
//! A failure of the local storage, or an entry or row that the state machine cannot decode, stops
//! the server with [`Status::failure`]; it never diverges.
//!
//! * `raft`: openraft, its log store and its state machine.
//! * `leadership`: how a leader keeps its lead, and how it loses it.
//! * `bootstrap`: how servers become an ensemble.
//! * `proposer` and `forward`: how commands find the leader.
//! * `transport`: connections between servers.

mod bootstrap;
mod consensus;
#[cfg(test)]
mod ensemble_test;
mod error;
mod forward;
mod leadership;
mod proposer;
mod raft;
mod start;
mod status;
mod transport;

pub use bootstrap::{
    Forms, INITIALIZE,
    admission::{Admissions, Joiner},
};
pub use consensus::Consensus;
pub use error::{Fatal, ProposeError, ReadError, StartError};
pub use forward::PeerStatus;
pub use leadership::timings::{ContactLimits, Timings};
pub use proposer::{BatchSealer, ProcessState, Progress, Proposer, ProposerOptions, SectionNumber};
pub(crate) use raft::in_place;
pub use raft::{ChangeFailed, Committed, MemberProgress, Members, StateMachine};
pub use start::ConsensusConfig;
pub use status::{Role, Status};
pub use transport::{AddressBook, EnsembleName, KnownVersions};
