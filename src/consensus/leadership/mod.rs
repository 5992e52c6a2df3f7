//! How a leader keeps its lead while it has a quorum, and how another server takes its place.
//!
//! Raft elects and replicates ([`raft_leader`] is what this room asks of it). Raft alone leaves four gaps, and each
//! part here closes one.
//!
//! | gap | part |
//! |---|---|
//! | A leader that sends and does not receive stays in office: its heartbeats keep the others from electing. | [`check_quorum`] stops its heartbeats. |
//! | openraft gives up an answer that comes after the next heartbeat is due. A leader far away from its followers loses its lease though all works. | [`lease_keepalive`] appends no-ops, whose answers are awaited. |
//! | Followers of a leader whose process ended wait for a random time, although it is certain that it is gone. | [`fast_failover`] has them ask for votes in turn. |
//! | openraft takes a late answer for one to a newer request, so its clock cannot confirm a read. | [`read_index`] counts the answers itself. |
//!
//! [`contact`] owns all times at which somebody was heard from. [`timings`] holds all limits, and says how they
//! depend on each other.
//!
//! What must hold:
//!
//! * No promise to a client rests on a clock of another server, on a lease, or on when an answer was *read*. A read
//!   is confirmed by answers to requests that were sent after it began (`docs/internals/safety-read-index.md`).
//! * Whatever is decided here too early or too late costs time, and nothing else: an election needs votes, and a
//!   write a majority.

pub(crate) mod check_quorum;
pub(crate) mod contact;
pub(crate) mod fast_failover;
pub(crate) mod lease_keepalive;
pub(crate) mod raft_leader;
pub(crate) mod read_index;
pub(crate) mod timings;
