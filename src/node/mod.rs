//! One server: the state, the log and what keeps them, without the ports that clients and operators connect to.
//!
//! ```text
//! Node ── Core:    replica_lock, connections, serving, leadership, membership, process, ensemble_time, ...
//!  │        ▲
//!  │      apply:   committed entries change the state; outcomes and events go to the connections
//!  │        ▲
//!  │      consensus, proposer
//!  │        ▲
//!  ├──── ingress:  admission and throttles; the way of requests into the log
//!  └──── serving_task, leader, read_barriers: tasks
//! ```
//!
//! Each is made over those above it (`start`), and none knows those below. `crate::app` puts ports in front.
//!
//! * `core`: what applying needs, and what it tells the rest. `replica_lock`: the lock around the state. `connections`:
//!   the open connections, by number; `recent_disconnects`: when clients that left were last heard of.
//! * `serving`: whether clients are served. `leader_duties`: whether this server has the duties of a leader.
//!   `membership`: who belongs to the ensemble. `process`: this process, as the ensemble knows it. `ensemble_time`:
//!   what entries say of time. `clock`: the clocks of this process.
//! * `apply`: applies committed entries; `entry_progress` is how far one is applied, `checkpoint` how the state gets to
//!   the storage and from there.
//! * `ingress`: who is admitted and who has to wait; `large_requests` and `long_requests` keep memory and processors
//!   for others. `read_barriers`: one barrier for all connections that wait.
//! * `read_barrier_task`: asks for these barriers. `serving_task`: begins and ends service, and the duties of a leader.
//!   `leader`: what only a leader does.
//! * `entry_stamper` and `peer_status`: what the consensus asks of the node: entries made of commands, and what servers
//!   tell each other beside them.
//! * `digest_log` and `checkpoint_info`: what is kept for operators, and to compare with the leader.
//! * `settings` and `consensus_config`: from the configuration to what the parts live by.
//!
//! Lock order, for who needs more than one: the replica, then a connection or the leader's duties, then the proposer's
//! buffer. None is held across an await.

mod apply;
#[cfg(test)]
mod apply_test;
mod checkpoint;
mod checkpoint_info;
mod clock;
mod connections;
mod consensus_config;
mod core;
mod digest_log;
mod ensemble_time;
mod entry_progress;
mod entry_stamper;
mod ingress;
mod large_requests;
mod leader;
mod leader_duties;
mod long_requests;
mod membership;
mod peer_status;
mod process;
mod read_barrier_task;
mod read_barriers;
mod recent_disconnects;
mod replica_lock;
mod serving;
mod serving_task;
mod settings;
mod start;

pub use checkpoint::restore;
pub use checkpoint_info::{CheckpointInfo, RecentCheckpoints};
pub use clock::Clock;
pub use connections::{ConnectionHandle, ConnectionRegistry};
pub use consensus_config::PeerAddressError;
pub use core::Core;
pub use digest_log::{DigestLog, DigestRecord};
pub use ingress::Ingress;
pub use large_requests::{LargeRequests, OverLimit};
pub use leader_duties::LeaderDuties;
pub use long_requests::{LongRequestPermit, LongRequests};
pub use membership::Membership;
pub use process::LocalProcess;
pub use replica_lock::{Figures, ReplicaLock};
pub use serving::{ServingMode, ServingState};
pub use start::{Node, NodeError, reset_stats};
