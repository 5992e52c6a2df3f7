//! A running server: what holds the pure parts together.
//!
//! * [`Server`]: starts everything in order and stops it.
//! * `shared`: what all tasks of a server look at; `service` is the part about whether clients are served,
//!   `leading` that about a leader's duties, `proposing` the way of commands into the log.
//! * `clients`: the open connections, by number.
//! * `departed`: when clients that left were last heard of.
//! * `replica_lock`: the lock around the state, which no task of a client holds its thread up for.
//! * `machine`: applies committed entries and hands outcomes and events to the connections; `entry` is how far it is.
//! * `long_work`: requests that take long have turns, and other work has threads left.
//! * `descriptors`: how many connections there may be beside the files of the server.
//! * `history`: what the server remembers for operators.
//! * `presence`: whether clients are served, and whether this server has a leader's duties.
//! * `commands` and `liaison`: what the consensus has to know of commands, and what servers tell each
//!   other beside them.
//! * `barriers`: read barriers, which many connections share.
//! * `members`, `seats` and `reconfig_task`: who belongs to the ensemble, at its start and later.
//! * `expiry_task` and `container_task`: what the leader proposes by itself.
//!
//! Lock order, for who needs more than one: replica, then a connection, then the proposer's buffer.
//! None is held across an await.

mod barriers;
mod clients;
mod clock;
mod commands;
mod container_task;
mod departed;
mod descriptors;
mod elapsed;
mod entry;
mod error;
mod expiry_task;
mod hand_over;
mod history;
mod large_requests;
mod leading;
mod liaison;
mod long_work;
mod machine;
#[cfg(test)]
mod machine_test;
mod members;
mod presence;
mod proposing;
mod reconfig_task;
mod replica_lock;
mod seats;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
mod server;
mod service;
mod settings;
mod shared;

pub use clients::{Client, Clients};
pub use clock::Clock;
pub use error::ServeError;
pub use history::{CheckpointNote, CheckpointNotes, DigestLog, DigestRecord};
pub use large_requests::{LargeRequests, TooMuch};
pub use long_work::{LongTurn, LongWork};
pub use replica_lock::{Figures, ReplicaLock};
pub use server::Server;
pub use service::Service;
pub use shared::Shared;
