//! A running server: what holds the pure parts together.
//!
//! * [`Server`]: starts everything in order and stops it.
//! * `core`: what all tasks of a server look at; `serving` is the part about whether clients are served,
//!   `ingress` the way of commands into the log.
//! * `connections`: the open connections, by number.
//! * `recent_disconnects`: when clients that left were last heard of.
//! * `replica_lock`: the lock around the state, which no task of a client holds its thread up for.
//! * `apply`: applies committed entries and hands outcomes and events to the connections; `entry_progress` is how far it
//!   is.
//! * `long_requests`: requests that take long have turns, and other work has threads left.
//! * `descriptors`: how many connections there may be beside the files of the server.
//! * `digest_log`: what the server remembers for operators.
//! * `serving_task`: whether clients are served, and whether this server has a leader's duties.
//! * `entry_stamper` and `peer_status`: what the consensus has to know of commands, and what servers tell each
//!   other beside them.
//! * `read_barriers`: read barriers, which many connections share.
//! * `consensus_config`: who belongs to the ensemble at its start.
//! * `leader`: what only a leader does.
//!
//! Lock order, for who needs more than one: replica, then a connection, then the proposer's buffer.
//! None is held across an await.

mod apply;
#[cfg(test)]
mod apply_test;
mod clock;
mod connections;
mod consensus_config;
mod core;
mod descriptors;
mod digest_log;
mod elapsed;
mod entry_progress;
mod entry_stamper;
mod error;
mod ingress;
mod large_requests;
mod leader;
mod long_requests;
mod peer_status;
mod read_barriers;
mod recent_disconnects;
mod replica_lock;
mod server;
mod serving;
mod serving_task;
mod settings;

pub use clock::Clock;
pub use connections::{ConnectionHandle, ConnectionRegistry};
pub use core::Shared;
pub use digest_log::{DigestLog, DigestRecord, RecentSnapshots, SnapshotInfo};
pub use error::ServeError;
pub use large_requests::{LargeRequests, OverLimit};
pub use long_requests::{LongRequestPermit, LongRequests};
pub use replica_lock::{Figures, ReplicaLock};
pub use server::Server;
pub use serving::ServingMode;
