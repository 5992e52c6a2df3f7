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

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::contact::{AnsweredRequests, Contact, RequestMark, is_majority};
use super::raft_leader::RaftLeader;
use super::timings::Timings;
use crate::consensus::error::ReadError;
use crate::consensus::status::Status;
use crate::env::time::{Instant, sleep};
use crate::storage::{LogPosition, Vote};

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
/// begun, the follower had promised no later term its vote. It counts for that read alone: others may have begun
/// later.
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
    contact: Contact,
    confirmed_within: Duration,
    /// How many rounds have begun.
    round: AtomicU64,
    /// The newest heartbeat that reads have asked for.
    heartbeat: watch::Sender<Option<ReadHeartbeat>>,
}

impl ReadIndex {
    /// Confirms the reads of a server by its contact to the others.
    pub(crate) fn new(contact: Contact, timings: Timings) -> Self {
        Self(Arc::new(State {
            contact,
            confirmed_within: timings.read_confirmed_within(),
            round: AtomicU64::new(0),
            heartbeat: watch::Sender::default(),
        }))
    }

    /// The stamp of a request of `term`, to be taken before its first byte is written.
    pub(crate) fn stamp(&self, term: u64) -> RequestMark {
        RequestMark { term, round: self.0.round.load(Ordering::SeqCst), at: Instant::now() }
    }

    /// The heartbeats that reads ask for. Where several are asked for at once, the last one does for all.
    pub(crate) fn heartbeats(&self) -> watch::Receiver<Option<ReadHeartbeat>> {
        self.0.heartbeat.subscribe()
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
        let (term, own) = (leader.term(), self.0.contact.own());
        let asker = asker.filter(|ack| ack.term == term).map(|ack| ack.server);
        let is_confirmed = |answered: &AnsweredRequests| {
            is_majority(&leader.voters, |server| {
                server == own || Some(server) == asker || answered.has(server, term, round)
            })
        };
        let mut answered = self.0.contact.answered();
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
        let vote = Vote { term: 4, server: self.0.contact.own(), committed: true };
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
