//! How a leader keeps its lead while a majority hears it, and how another takes its place.

pub(crate) mod check_quorum;
pub(crate) mod contact;
pub(crate) mod fast_failover;
pub(crate) mod lease_keepalive;
pub(crate) mod raft_leader;
pub(crate) mod read_index;
pub(crate) mod timings;
