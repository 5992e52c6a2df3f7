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
//! let consensus = Consensus::start(config, &dir, machine).await?;       // applies the log's tail
//! let proposer = Proposer::start(&consensus, options, commands, liaison);
//! ```
//!
//! A failure of the local storage, or an entry or row that the state machine cannot decode, stops
//! the server with [`Status::failure`]; it never diverges.
//!
//! Servers of an ensemble talk through `network`; commands find the leader through `proposer`.

mod checkpoints;
#[cfg(test)]
mod ensemble_test;
mod error;
mod formation;
mod handle;
mod hearing;
mod log_store;
mod log_task;
mod members;
mod membership;
mod network;
mod proof;
mod proposer;
mod read_index;
mod start;
mod state_machine;
mod status;
mod succession;
mod typ;

#[cfg(test)]
mod log_suite_test;

pub use error::{Fatal, ProposeError, ReadError, StartError};
pub use formation::{
    Forms, INITIALIZE,
    admission::{Admissions, Joiner},
};
pub use handle::Consensus;
pub use members::{ChangeFailed, MemberProgress, Members};
pub use network::{AddressBook, EnsembleName, KnownVersions};
pub use proposer::{Commands, Liaison, Place, ProcessState, Progress, Proposer, ProposerOptions};
pub use start::{ConsensusConfig, Timings};
pub(crate) use state_machine::in_place;
pub use state_machine::{Committed, StateMachine};
pub use status::{Role, Status};
