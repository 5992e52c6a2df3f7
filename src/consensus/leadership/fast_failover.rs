//! Who leads when the leader's process has ended.
//!
//! A leader that falls silent may only be slow: it is waited for as long as its lease lasts, and then for a time drawn
//! at random, so that two of its followers rarely ask for votes at once. A process that ended is gone for certain,
//! as its system closes the connections. Its followers then take turns in the order of their numbers as soon as the
//! lease is over. They ask first whether they would be elected (pre-vote), which a leader that only lost a
//! connection does not notice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernel::ensemble::MemberId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::{Raft, RaftMetrics};
use tokio::time::{Instant, sleep_until};

use super::check_quorum::PeerActivity;
use crate::consensus::raft::start::Timings;
use crate::consensus::raft::state_machine::{Machine, StateMachine};
use crate::consensus::raft::types::TypeConfig;

/// How long after the lease the first one asks: the others may have heard the leader a little later.
const GRACE: Duration = Duration::from_millis(5);

/// How long the next one waits: more than an election takes among servers that are near each other.
const TURN: Duration = Duration::from_millis(30);

/// How often each one asks, before it is left to the random times.
const ROUNDS: u32 = 2;

/// What a follower does when its leader's process ended. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Succession {
    own: u64,
    lease: Duration,
    /// When each server was last heard, over whichever connection.
    heard: Arc<PeerActivity>,
    /// Whether somebody takes a turn.
    begun: Arc<AtomicBool>,
}

impl Succession {
    pub(crate) fn new(own: u64, timings: Timings) -> Self {
        let (heard, begun) = (Arc::default(), Arc::default());
        Self { own, lease: timings.election_max, heard, begun }
    }

    /// Something came from `peer`.
    pub(crate) fn hear(&self, peer: u64) {
        self.heard.note(peer);
    }

    /// When something last did.
    pub(crate) fn last_heard(&self, peer: u64) -> Option<Instant> {
        self.heard.last(peer)
    }

    /// A connection from `peer` has ended.
    pub(crate) fn left<M: StateMachine>(&self, raft: &Raft<TypeConfig, Machine<M>>, peer: u64) {
        let Some((turn, followers)) = place(&raft.metrics().borrow_watched(), self.own, peer)
        else {
            return;
        };
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        let (raft, begun) = (raft.clone(), Arc::clone(&self.begun));
        let heard = self.heard.last(peer).unwrap_or_else(Instant::now);
        let first = heard + self.lease + GRACE + TURN * turn;
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                sleep_until(first + TURN * followers * round).await;
                if raft.metrics().borrow_watched().current_leader != Some(peer) {
                    break;
                }
                if let Err(error) = raft.trigger().elect(true).await {
                    tracing::debug!(%error, "nobody is asked to vote");
                }
            }
            begun.store(false, Ordering::Release);
        });
    }
}

/// The place of a voter in the line behind its leader `peer`, from 0, and how many stand there.
fn place(metrics: &RaftMetrics<TypeConfig>, own: u64, peer: u64) -> Option<(u32, u32)> {
    if metrics.current_leader != Some(peer) {
        return None;
    }
    line(metrics.membership_config.membership().voter_ids(), own, peer)
}

/// As [`place`], among these voters.
fn line(voters: impl Iterator<Item = u64>, own: u64, leader: u64) -> Option<(u32, u32)> {
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
        let turns =
            |leader| [1, 2, 3, 5, 9].map(|own| line([9, 2, 5, 1, 2].into_iter(), own, leader));
        let of_three = |turn| Some((turn, 3));
        assert_eq!(turns(5), [of_three(0), of_three(1), None, None, of_three(2)]);
        assert_eq!(turns(1), [None, of_three(0), None, of_three(1), of_three(2)]);
    }
}
