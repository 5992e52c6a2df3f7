//! What a follower and its leader say to each other on a connection for forwarding.
//!
//! ```text
//! follower                              leader
//!   Open { term }                  ──►
//!                                  ◄──  Accepted, or the connection ends
//!   Batch { number: 1.. }          ──►  into the leader's own batches, in order
//!                                  ◄──  Applied { number }: all up to it are in the log for good
//!   ReadIndex { id }               ──►  after a majority confirmed the leader
//!                                  ◄──  ReadIndex { id, at }
//!   Report                         ──►  several times a second
//!                                  ◄──  Notice { has_quorum }
//! ```
//!
//! From version 2 on a follower sees in its own state which of its sections are applied:
//!
//! ```text
//!   Register { process }           ──►  into an entry, unless the process is registered
//!   Numbered { incarnation, .. }   ──►  into the leader's own batches, in order
//! ```
//!
//! Variants are numbered on the wire: new ones go to the end.

use serde::{Deserialize, Serialize};

use super::super::typ::Batch as Payload;

/// From a follower.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToLeader {
    /// First of all: which term the other is taken to lead.
    Open { term: u64 },
    /// Commands of the follower's clients.
    Batch { number: u64, commands: u32, payload: Payload },
    /// Which entry must be applied for a linearizable read?
    ReadIndex { id: u64 },
    /// What the leader is to know.
    Report { report: Payload },
    /// A process of the follower wants to number what it wants written.
    Register { process: u64 },
    /// Commands of the follower's clients, with their place among all that its process wants written.
    Numbered { incarnation: u64, number: u64, commands: u32, payload: Payload },
}

/// From the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToFollower {
    /// It leads that term.
    Accepted,
    /// All batches up to this one are applied.
    Applied { number: u64 },
    /// The answer to the question of this number, a term and an index: `None` where no majority confirmed the leader.
    ReadIndex { id: u64, at: Option<(u64, u64)> },
    /// The answer to a report: whether a majority heard of the leader lately, and more.
    Notice { has_quorum: bool, notice: Payload },
}
