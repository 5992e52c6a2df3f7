//! Reads that see all that was acknowledged before them: Raft's ReadIndex, confirmed by answers that this server
//! counts itself.
//!
//! ```text
//! barrier          takes the next round, asks openraft up to which entry is committed
//!                  has a heartbeat sent to each voter
//! network::link    stamps each append and heartbeat, when its first byte is written,
//!                  with its term and the round that holds then
//!                  credits the peer with that stamp when the answer to this very request comes
//! barrier          is confirmed when a majority is credited with its term and with its round or a later one
//! ```
//!
//! A follower that answers a request of term T had promised no later term its vote until then, and the request was
//! written after the round began. So where a majority is credited, no leader of a later term existed when the
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

use openraft::RaftState;
use openraft::raft::AppendEntriesRequest;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::consensus::error::ReadError;
use crate::consensus::raft::handle::Handle;
use crate::consensus::raft::start::Timings;
use crate::consensus::raft::types::LogId;
use crate::consensus::raft::types::RaftVote;
use crate::consensus::raft::types::TypeConfig;
use crate::consensus::raft::types::position;
use crate::consensus::status::Status;
use crate::storage::LogPosition;

/// How long a leader waits for a majority to confirm that it leads; longer where servers are far apart. It
/// knows earlier when it is deposed.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// What the answer to an append or heartbeat is worth: what held when its first byte was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// The term that the request speaks for.
    pub(crate) term: u64,
    /// The newest round of reads that had begun.
    pub(crate) round: u64,
    /// When that was.
    pub(crate) at: Instant,
}

/// The newest request that each of the others is known to have answered, as this server counted.
#[derive(Debug, Default)]
pub(crate) struct Credits(BTreeMap<u64, Stamp>);

impl Credits {
    /// `peer` has answered a request of this stamp, and did not refuse its term. Says whether a read may be
    /// confirmed by that.
    pub(crate) fn credit(&mut self, peer: u64, stamp: Stamp) -> bool {
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
    pub(crate) fn has(&self, peer: u64, term: u64, round: u64) -> bool {
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

/// What a leader knows at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    vote: RaftVote,
    /// The later one of the first entry of its term and the newest entry that is committed.
    index: LogPosition,
    committed: Option<LogId>,
    /// The voters in force: two sets while they change.
    voters: Vec<BTreeSet<u64>>,
}

impl Lead {
    /// What `state` says, if server `own` leads.
    pub(crate) fn of(state: &RaftState<TypeConfig>, own: u64) -> Option<Self> {
        let vote = *state.vote_ref();
        if !vote.committed || vote.leader_id.voted_for != own {
            return None;
        }
        let committed = state.local_committed().copied();
        let term = vote.leader_id.term;
        // What earlier terms left is committed with the first entry of the own one.
        let index = match committed {
            Some(committed) if committed.leader_id.term == term => committed,
            Some(_) | None => first_of_term(state, term)?,
        };
        let membership = state.membership_state.effective().membership();
        let voters = membership.get_joint_config().clone();
        Some(Self { vote, index: position(&index), committed, voters })
    }

    fn term(&self) -> u64 {
        self.vote.leader_id.term
    }
}

/// The first entry of a leader's own term, which ends its log.
fn first_of_term(state: &RaftState<TypeConfig>, term: u64) -> Option<LogId> {
    let last = state.log_ids.last()?;
    let mut first = state.log_ids.purged().map_or(0, |purged| purged.index + 1);
    let mut end = last.index;
    while first < end {
        let middle = first + (end - first) / 2;
        match state.log_ids.get(middle) {
            Some(id) if id.leader_id.term == term => end = middle,
            Some(_) | None => first = middle + 1,
        }
    }
    state.log_ids.get(first).filter(|id| id.leader_id.term == term)
}

/// A heartbeat that reads ask for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    round: u64,
    lead: Lead,
}

impl Asked {
    /// Which one it is: term and round.
    pub(crate) fn number(&self) -> (u64, u64) {
        (self.lead.term(), self.round)
    }

    /// Whether the answer of `peer` would count.
    pub(crate) fn concerns(&self, peer: u64) -> bool {
        self.lead.voters.iter().any(|set| set.contains(&peer))
    }

    /// The heartbeat. It names no entry that the other one should have: only the vote is asked about.
    pub(crate) fn request(&self) -> AppendEntriesRequest<TypeConfig> {
        AppendEntriesRequest {
            vote: self.lead.vote,
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: self.lead.committed,
        }
    }
}

/// A follower that asks for a read and says that it had promised no term after this one its vote when the read
/// had begun. It counts for that read alone: others may have begun later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vouch {
    pub(crate) server: u64,
    pub(crate) term: u64,
}

/// Confirms reads. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct ReadIndex(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    own: u64,
    confirmed_within: Duration,
    /// How many rounds have begun.
    round: AtomicU64,
    credits: watch::Sender<Credits>,
    /// The newest heartbeat that reads have asked for.
    asked: watch::Sender<Option<Asked>>,
}

impl ReadIndex {
    /// Confirms the reads of server `own`.
    pub(crate) fn new(own: u64, timings: Timings) -> Self {
        Self(Arc::new(Shared {
            own,
            confirmed_within: timings.for_round_trips(2, CONFIRMED_WITHIN),
            round: AtomicU64::new(0),
            credits: watch::Sender::default(),
            asked: watch::Sender::default(),
        }))
    }

    /// The stamp of a request of `term`, to be taken before its first byte is written.
    pub(crate) fn stamp(&self, term: u64) -> Stamp {
        Stamp { term, round: self.0.round.load(Ordering::SeqCst), at: Instant::now() }
    }

    /// `peer` has answered a request of this stamp, and did not refuse its term.
    pub(crate) fn credit(&self, peer: u64, stamp: Stamp) {
        self.0.credits.send_if_modified(|credits| credits.credit(peer, stamp));
    }

    /// The heartbeats that reads ask for. Where several are asked for at once, the last one does for all.
    pub(crate) fn asked(&self) -> watch::Receiver<Option<Asked>> {
        self.0.asked.subscribe()
    }

    /// How long ago a majority of each set is known to have stood behind this server as leader of `term`.
    pub(crate) fn since_quorum(&self, term: u64, sets: &[BTreeSet<u64>]) -> Option<Duration> {
        let now = Instant::now();
        let at = self.0.credits.borrow().quorum_at((self.0.own, now), term, sets)?;
        Some(now.saturating_duration_since(at))
    }

    /// The entry that must be applied before a read that has begun already. `vouched` is the follower that asks
    /// for it.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: this server does not lead, or no majority confirmed in time that it does.
    pub(crate) async fn confirm(
        &self,
        raft: &dyn Handle,
        mut status: watch::Receiver<Status>,
        vouched: Option<Vouch>,
    ) -> Result<LogPosition, ReadError> {
        // First the round: whatever is written from here on was written after the read had begun.
        let round = self.0.round.fetch_add(1, Ordering::SeqCst) + 1;
        let lead = raft.lead().await?;
        let (term, own) = (lead.term(), self.0.own);
        let vouched = vouched.filter(|vouched| vouched.term == term).map(|vouched| vouched.server);
        let is_confirmed = |credits: &Credits| {
            is_majority(&lead.voters, |server| {
                server == own || Some(server) == vouched || credits.has(server, term, round)
            })
        };
        let mut credits = self.0.credits.subscribe();
        if is_confirmed(&credits.borrow()) {
            return Ok(lead.index);
        }
        self.ask(Asked { round, lead: lead.clone() });
        let is_lost =
            |status: &Status| status.term > term || (status.term == term && !status.is_leader());
        tokio::select! {
            biased;
            confirmed = credits.wait_for(is_confirmed) => {
                confirmed.map(|_| lead.index).map_err(|_| ReadError::Stopped)
            }
            lost = status.wait_for(is_lost) => match lost {
                Ok(status) => Err(ReadError::NotLeader { hint: status.leader.map(|leader| leader.number) }),
                Err(_) => Err(ReadError::Stopped),
            },
            () = sleep(self.0.confirmed_within) => Err(ReadError::NoQuorum),
        }
    }

    /// As if a leader of term 4 with these voters began a read.
    #[cfg(test)]
    pub(crate) fn begin(&self, voters: &[u64]) {
        let round = self.0.round.fetch_add(1, Ordering::SeqCst) + 1;
        let vote = RaftVote { committed: true, ..RaftVote::new(4, self.0.own) };
        let index = LogPosition { term: 4, index: 1 };
        let voters = vec![voters.iter().copied().collect()];
        self.ask(Asked { round, lead: Lead { vote, index, committed: None, voters } });
    }

    /// Has a heartbeat sent, unless a later one was asked for.
    fn ask(&self, asked: Asked) {
        self.0.asked.send_if_modified(|newest| {
            let is_newer = newest.as_ref().is_none_or(|newest| newest.number() < asked.number());
            if is_newer {
                *newest = Some(asked);
            }
            is_newer
        });
    }
}

#[cfg(test)]
#[path = "read_index_test.rs"]
mod tests;
