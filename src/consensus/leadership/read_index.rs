//! Reads that see all that was acknowledged before them: Raft's ReadIndex, confirmed by answers that this server
//! counts itself.
//!
//! ```text
//! barrier          takes the next round, asks openraft up to which entry is committed
//!                  has a heartbeat sent to each voter
//! transport::link  stamps each append and heartbeat, when its first byte is written,
//!                  with its term and the round that holds then
//!                  notes that stamp for the peer when the answer to this very request comes
//! barrier          is confirmed when a majority has answered in its term, and in its round or a later one
//! ```
//!
//! A follower that answers a request of term T had promised no later term its vote until then, and the request was
//! written after the round began. So where a majority has answered, no leader of a later term existed when the
//! round began, and nothing was acknowledged that this leader does not know. An answer to what was sent before
//! says nothing of that, however late it comes. openraft's clock mixes the two: it takes one answer for all
//! requests that end at the same entry, so no read rests on it
//! ([decision 0021](../../../docs/decisions/0021-read-index.md)).
//!
//! etcd's `read_only.go` does the same with a context that travels in heartbeats and their answers. Here answers
//! come in the order of requests on each connection, so nothing has to travel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::raft_leader::RaftLeader;
use crate::consensus::error::ReadError;
use crate::consensus::start::Timings;
use crate::consensus::status::Status;
use crate::storage::{LogPosition, Vote};

/// How long a leader waits for a majority to confirm that it leads; longer where servers are far apart. It
/// knows earlier when it is deposed.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// What held when the first byte of an append or heartbeat was written: so much its answer confirms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestStamp {
    /// The term that the request speaks for.
    pub(crate) term: u64,
    /// The newest round of reads that had begun.
    pub(crate) round: u64,
    /// When that was.
    pub(crate) at: Instant,
}

/// The newest request that each of the others is known to have answered, as this server counted.
#[derive(Debug, Default)]
pub(crate) struct AnsweredRequests(BTreeMap<u64, RequestStamp>);

impl AnsweredRequests {
    /// `peer` has answered a request of this stamp, and did not refuse its term. Returns whether that may confirm a
    /// read.
    pub(crate) fn note_answer(&mut self, peer: u64, stamp: RequestStamp) -> bool {
        let Some(known) = self.0.get_mut(&peer) else {
            self.0.insert(peer, stamp);
            return true;
        };
        if known.term > stamp.term {
            return false;
        }
        if known.term < stamp.term {
            *known = stamp;
            return true;
        }
        // Connections are read one by one: an older answer may come behind a newer one.
        known.at = known.at.max(stamp.at);
        let is_later = known.round < stamp.round;
        known.round = known.round.max(stamp.round);
        is_later
    }

    /// Whether `peer` has answered a request of `term` that was written when `round` had begun.
    pub(crate) fn has_answered(&self, peer: u64, term: u64, round: u64) -> bool {
        self.0.get(&peer).is_some_and(|known| known.term == term && known.round >= round)
    }

    /// The last moment after which a majority of each set is known to have stood behind `own` in `term`: each of
    /// them has answered a request that was written then or later. `now`, where it needs nobody else.
    pub(crate) fn quorum_at(
        &self,
        (own, now): (u64, Instant),
        term: u64,
        sets: &[BTreeSet<u64>],
    ) -> Option<Instant> {
        let answered = |server: &u64| {
            if *server == own {
                return Some(now);
            }
            self.0.get(server).filter(|known| known.term == term).map(|known| known.at)
        };
        let of_set = |set: &BTreeSet<u64>| {
            let mut times: Vec<Instant> = set.iter().filter_map(answered).collect();
            times.sort_unstable_by(|one, other| other.cmp(one));
            times.get(set.len() / 2).copied()
        };
        let times: Option<Vec<Instant>> = sets.iter().map(of_set).collect();
        times?.into_iter().min()
    }
}

/// Whether more than half of each set of voters is among those that `counts` names.
pub(crate) fn is_majority(sets: &[BTreeSet<u64>], counts: impl Fn(u64) -> bool) -> bool {
    sets.iter().all(|set| set.iter().filter(|server| counts(**server)).count() > set.len() / 2)
}

/// A leader's state as a read needs it, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct LeaderView {
    /// Its own vote, for itself.
    pub(crate) vote: Vote,
    /// The later one of the first entry of its term and the newest entry that is committed.
    pub(crate) index: LogPosition,
    pub(crate) committed: Option<LogPosition>,
    /// The voters in force: two sets while they change.
    pub(crate) voters: Vec<BTreeSet<u64>>,
}

impl LeaderView {
    fn term(&self) -> u64 {
        self.vote.term
    }
}

/// A heartbeat that reads ask for.
#[derive(Clone, Debug)]
pub(crate) struct ReadHeartbeat {
    round: u64,
    leader: LeaderView,
}

impl ReadHeartbeat {
    /// Which one it is: term and round.
    pub(crate) fn id(&self) -> (u64, u64) {
        (self.leader.term(), self.round)
    }

    /// Whether the answer of `peer` would count: it has a vote.
    pub(crate) fn concerns(&self, peer: u64) -> bool {
        self.leader.voters.iter().any(|set| set.contains(&peer))
    }

    /// The leader that sends it.
    pub(crate) fn leader(&self) -> &LeaderView {
        &self.leader
    }
}

/// An acknowledgement of the leader's term that a follower sends with its request for a read: when that read had
/// begun, the follower had promised no later term its vote. It counts for that read alone: others may have begun later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeadershipAck {
    pub(crate) server: u64,
    pub(crate) term: u64,
}

/// Confirms reads. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct ReadIndex(Arc<State>);

#[derive(Debug)]
struct State {
    own: u64,
    confirmed_within: Duration,
    /// How many rounds have begun.
    round: AtomicU64,
    answered: watch::Sender<AnsweredRequests>,
    /// The newest heartbeat that reads have asked for.
    heartbeat: watch::Sender<Option<ReadHeartbeat>>,
}

impl ReadIndex {
    /// Confirms the reads of server `own`.
    pub(crate) fn new(own: u64, timings: Timings) -> Self {
        Self(Arc::new(State {
            own,
            confirmed_within: timings.for_round_trips(2, CONFIRMED_WITHIN),
            round: AtomicU64::new(0),
            answered: watch::Sender::default(),
            heartbeat: watch::Sender::default(),
        }))
    }

    /// The stamp of a request of `term`, to be taken before its first byte is written.
    pub(crate) fn stamp(&self, term: u64) -> RequestStamp {
        RequestStamp { term, round: self.0.round.load(Ordering::SeqCst), at: Instant::now() }
    }

    /// `peer` has answered a request of this stamp, and did not refuse its term.
    pub(crate) fn note_answer(&self, peer: u64, stamp: RequestStamp) {
        self.0.answered.send_if_modified(|answered| answered.note_answer(peer, stamp));
    }

    /// The heartbeats that reads ask for. Where several are asked for at once, the last one does for all.
    pub(crate) fn heartbeats(&self) -> watch::Receiver<Option<ReadHeartbeat>> {
        self.0.heartbeat.subscribe()
    }

    /// How long ago a majority of each set is known to have stood behind this server as leader of `term`.
    pub(crate) fn since_quorum(&self, term: u64, sets: &[BTreeSet<u64>]) -> Option<Duration> {
        let now = Instant::now();
        let at = self.0.answered.borrow().quorum_at((self.0.own, now), term, sets)?;
        Some(now.saturating_duration_since(at))
    }

    /// The entry that must be applied before a read that has begun already. `asker` is what the follower says that
    /// asks for it, if one does.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: this server does not lead, or no majority confirmed in time that it does.
    pub(crate) async fn confirm(
        &self,
        raft: &dyn RaftLeader,
        mut status: watch::Receiver<Status>,
        asker: Option<LeadershipAck>,
    ) -> Result<LogPosition, ReadError> {
        // First the round: whatever is written from here on was written after the read had begun.
        let round = self.0.round.fetch_add(1, Ordering::SeqCst) + 1;
        let leader = raft.leader_view().await?;
        let (term, own) = (leader.term(), self.0.own);
        let asker = asker.filter(|ack| ack.term == term).map(|ack| ack.server);
        let is_confirmed = |answered: &AnsweredRequests| {
            is_majority(&leader.voters, |server| {
                server == own || Some(server) == asker || answered.has_answered(server, term, round)
            })
        };
        let mut answered = self.0.answered.subscribe();
        if is_confirmed(&answered.borrow()) {
            return Ok(leader.index);
        }
        self.ask(ReadHeartbeat { round, leader: leader.clone() });
        let is_lost =
            |status: &Status| status.term > term || (status.term == term && !status.is_leader());
        tokio::select! {
            biased;
            confirmed = answered.wait_for(is_confirmed) => {
                confirmed.map(|_| leader.index).map_err(|_| ReadError::Stopped)
            }
            lost = status.wait_for(is_lost) => match lost {
                Ok(status) => Err(ReadError::NotLeader { hint: status.leader.map(|leader| leader.number) }),
                Err(_) => Err(ReadError::Stopped),
            },
            () = sleep(self.0.confirmed_within) => Err(ReadError::NoQuorum),
        }
    }

    /// How many rounds have begun.
    #[cfg(test)]
    pub(crate) fn rounds_begun(&self) -> u64 {
        self.0.round.load(Ordering::SeqCst)
    }

    /// As if a leader of term 4 with these voters began a read.
    #[cfg(test)]
    pub(crate) fn begin(&self, voters: &[u64]) {
        let round = self.0.round.fetch_add(1, Ordering::SeqCst) + 1;
        let vote = Vote { term: 4, server: self.0.own, committed: true };
        let index = LogPosition { term: 4, index: 1 };
        let voters = vec![voters.iter().copied().collect()];
        self.ask(ReadHeartbeat {
            round,
            leader: LeaderView { vote, index, committed: None, voters },
        });
    }

    /// Has a heartbeat sent, unless a later one was asked for.
    fn ask(&self, heartbeat: ReadHeartbeat) {
        self.0.heartbeat.send_if_modified(|newest| {
            let is_newer = newest.as_ref().is_none_or(|newest| newest.id() < heartbeat.id());
            if is_newer {
                *newest = Some(heartbeat);
            }
            is_newer
        });
    }
}

#[cfg(test)]
#[path = "read_index_test.rs"]
mod tests;
