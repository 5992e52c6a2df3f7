//! Fast failover: staggered pre-votes when the leader's process has ended.
//!
//! A follower that receives nothing cannot tell a dead leader from a slow one. It waits until the leader's lease is
//! over, and then for a random time, so that two followers rarely ask for votes at once. A process that ended is
//! gone for certain, as its system closes the connections. Its followers then ask for votes as soon as the lease is
//! over, one after the other in the order of their numbers. They send pre-votes first, so a leader that only lost a
//! connection is not disturbed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernel::ensemble::MemberId;

use super::contact::Contact;
use super::raft_leader::{RaftLeader, RaftView};
use super::timings::Timings;
use crate::env::task;
use crate::env::time::{Instant, sleep_until};

/// How often each follower asks before the random election timeouts decide alone.
const ROUNDS: u32 = 2;

/// What a follower does when its leader's process ended. Clones are one.
#[derive(Clone)]
pub(crate) struct FastFailover {
    raft: Arc<dyn RaftLeader>,
    contact: Contact,
    timings: Timings,
    /// Whether this server waits for its turns.
    is_waiting: Arc<AtomicBool>,
}

impl FastFailover {
    pub(crate) fn new(raft: Arc<dyn RaftLeader>, contact: Contact, timings: Timings) -> Self {
        Self { raft, contact, timings, is_waiting: Arc::default() }
    }

    /// A connection from `peer` has ended. If that was its leader, and this server has a vote, it asks for votes in
    /// its turn.
    pub(crate) fn connection_closed(&self, peer: u64) {
        let Some((turn, followers)) = turn_of(&self.raft.view(), self.contact.own(), peer) else {
            return;
        };
        if self.is_waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (raft, is_waiting) = (Arc::clone(&self.raft), Arc::clone(&self.is_waiting));
        let last = self.contact.requesting().last(peer).unwrap_or_else(Instant::now);
        let Timings { failover_grace, failover_turn, .. } = self.timings;
        let first = last + self.timings.lease() + failover_grace + failover_turn * turn;
        task::spawn(async move {
            for round in 0..ROUNDS {
                sleep_until(first + failover_turn * followers * round).await;
                if raft.view().leader != Some(peer) {
                    break;
                }
                if let Err(error) = raft.pre_vote().await {
                    tracing::debug!(%error, "nobody is asked to vote");
                }
            }
            is_waiting.store(false, Ordering::Release);
        });
    }
}

/// The turn of the voter `own` among the followers of its leader `peer`, from 0, and how many there are.
fn turn_of(view: &RaftView, own: u64, peer: u64) -> Option<(u32, u32)> {
    if view.leader != Some(peer) {
        return None;
    }
    turn_among(view.voters.iter().flatten().copied(), own, peer)
}

/// As [`turn_of`], among these voters.
fn turn_among(voters: impl Iterator<Item = u64>, own: u64, leader: u64) -> Option<(u32, u32)> {
    let by_number = |id: &u64| (MemberId::number_of(*id), *id);
    let followers = voters.filter(|voter| *voter != leader);
    let followers: BTreeSet<(u64, u64)> = followers.map(|id| by_number(&id)).collect();
    let turn = followers.iter().position(|(_, voter)| *voter == own)?;
    Some((u32::try_from(turn).ok()?, u32::try_from(followers.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_follower_that_votes_has_a_turn_of_its_own() {
        // No two ask at the same time; observers and the leader itself do not ask.
        let turns = |leader| {
            [1, 2, 3, 5, 9].map(|own| turn_among([9, 2, 5, 1, 2].into_iter(), own, leader))
        };
        let of_three = |turn| Some((turn, 3));
        assert_eq!(turns(5), [of_three(0), of_three(1), None, None, of_three(2)]);
        assert_eq!(turns(1), [None, of_three(0), None, of_three(1), of_three(2)]);
    }
}
