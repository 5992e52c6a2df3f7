//! When this server last heard whom: the one owner of all times of contact.
//!
//! | what is known | type | who notes it | who asks |
//! |---|---|---|---|
//! | something came from peer X at t, on a connection that this server made | [`PeerActivity`], [`Contact::answering`] | `transport::link` | check-quorum |
//! | a request came from peer X at t, on a connection that X made | [`PeerActivity`], [`Contact::requesting`] | `transport::acceptor` | fast failover, bootstrap |
//! | peer X has answered a request of term T that was sent at t | [`AnsweredRequests`] | `transport::link` | ReadIndex; since when a majority confirms the lead |
//! | a majority stood behind the leader at t | [`QuorumContact`] | the leader from those answers; a follower from its leader's notices; both from read barriers | the node: whether clients are served |
//! | something came over this connection at t | [`ConnectionActivity`] | the two ends of a forwarding connection, `transport::link` | the same: when to give it up |
//!
//! The first two are apart because they differ when a network is cut in one direction. A leader is deposed for what
//! it does not receive in answer; a follower waits for the requests of its leader.
//!
//! Two times count from when a request was *sent*: those of [`AnsweredRequests`] and of [`QuorumContact`]. Promises
//! rest on them. An answer may have been under way for long, so the time at which it is read proves nothing. The
//! others count from when something was *read*, and only decide when somebody is given up
//! (`docs/internals/safety-read-index.md` has the argument).
//!
//! Raft keeps a time of its own for its lease, [`RaftView::lease_age`](super::raft_leader::RaftView::lease_age). No
//! promise rests on that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::env::time::Instant;

/// All times of contact of one server. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Contact(Arc<State>);

#[derive(Debug)]
struct State {
    own: u64,
    answering: PeerActivity,
    requesting: PeerActivity,
    answered: watch::Sender<AnsweredRequests>,
    quorum: QuorumContact,
}

impl Contact {
    /// Server `own` has heard from nobody yet.
    pub(crate) fn new(own: u64) -> Self {
        Self(Arc::new(State {
            own,
            answering: PeerActivity::default(),
            requesting: PeerActivity::default(),
            answered: watch::Sender::default(),
            quorum: QuorumContact::default(),
        }))
    }

    /// The server whose contact this is.
    pub(crate) fn own(&self) -> u64 {
        self.0.own
    }

    /// What came from peers on connections that this server made.
    pub(crate) fn answering(&self) -> &PeerActivity {
        &self.0.answering
    }

    /// Requests that came from peers on connections that they made.
    pub(crate) fn requesting(&self) -> &PeerActivity {
        &self.0.requesting
    }

    /// `peer` has answered a request of this stamp, and did not refuse its term.
    pub(crate) fn note_answer(&self, peer: u64, stamp: RequestMark) {
        self.0.answered.send_if_modified(|answered| answered.note(peer, stamp));
    }

    /// The requests that peers have answered. Changes when a read may be confirmed by an answer.
    pub(super) fn answered(&self) -> watch::Receiver<AnsweredRequests> {
        self.0.answered.subscribe()
    }

    /// How long ago a majority of each set is known to have stood behind this server as leader of `term`.
    pub(crate) fn since_quorum(&self, term: u64, sets: &[BTreeSet<u64>]) -> Option<Duration> {
        let now = Instant::now();
        let at = self.0.answered.borrow().quorum_at((self.0.own, now), term, sets)?;
        Some(now.saturating_duration_since(at))
    }

    /// When a majority last stood behind the leader, whichever server that was.
    pub(crate) fn quorum(&self) -> &QuorumContact {
        &self.0.quorum
    }
}

/// When something last came from each peer.
#[derive(Debug, Default)]
pub(crate) struct PeerActivity(Mutex<BTreeMap<u64, Instant>>);

impl PeerActivity {
    /// Something came from `peer`.
    pub(crate) fn note(&self, peer: u64) {
        self.0.lock().insert(peer, Instant::now());
    }

    /// When it last did.
    pub(crate) fn last(&self, peer: u64) -> Option<Instant> {
        self.0.lock().get(&peer).copied()
    }

    /// Whether something came from a majority of each of `sets` since `since`; `own` always counts.
    pub(super) fn has_majority(&self, own: u64, sets: &[BTreeSet<u64>], since: Instant) -> bool {
        let is_active = |id: u64| self.last(id).is_some_and(|at| at >= since);
        is_majority(sets, |id| id == own || is_active(id))
    }
}

/// What held when the first byte of an append or heartbeat was written: so much its answer confirms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestMark {
    /// The term that the request speaks for.
    pub(crate) term: u64,
    /// The newest round of reads that had begun.
    pub(crate) round: u64,
    /// When that was.
    pub(crate) at: Instant,
}

/// The newest request that each peer is known to have answered, as this server counted.
#[derive(Debug, Default)]
pub(super) struct AnsweredRequests(BTreeMap<u64, RequestMark>);

impl AnsweredRequests {
    /// `peer` has answered a request of this stamp, and did not refuse its term. Returns whether that may confirm a
    /// read.
    pub(super) fn note(&mut self, peer: u64, stamp: RequestMark) -> bool {
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
    pub(super) fn has(&self, peer: u64, term: u64, round: u64) -> bool {
        self.0.get(&peer).is_some_and(|known| known.term == term && known.round >= round)
    }

    /// The last moment after which a majority of each set is known to have stood behind `own` in `term`: each of
    /// them has answered a request that was written then or later. `now`, where it needs nobody else.
    pub(super) fn quorum_at(
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
pub(super) fn is_majority(sets: &[BTreeSet<u64>], counts: impl Fn(u64) -> bool) -> bool {
    sets.iter().all(|set| set.iter().filter(|server| counts(**server)).count() > set.len() / 2)
}

/// The last moment of which this server knows that a majority stood behind its leader, or behind itself where it
/// leads. It outlives the lead: a deposed leader had contact until then.
#[derive(Debug)]
pub(crate) struct QuorumContact(Mutex<Instant>);

impl Default for QuorumContact {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl QuorumContact {
    /// It is known of this moment; of a later one it may be known already.
    pub(crate) fn note_at(&self, at: Instant) {
        let mut last = self.0.lock();
        *last = at.max(*last);
    }

    /// As [`QuorumContact::note_at`], so long ago.
    pub(crate) fn note_age(&self, age: Duration) {
        if let Some(at) = Instant::now().checked_sub(age) {
            self.note_at(at);
        }
    }

    /// How long ago that moment was.
    pub(crate) fn age(&self) -> Duration {
        self.0.lock().elapsed()
    }
}

/// When something last came over one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionActivity(Instant);

impl ConnectionActivity {
    /// Of a connection that was made now.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Something came, or time is to be counted from now on.
    pub(crate) fn note(&mut self) {
        self.0 = Instant::now();
    }

    /// When the connection is to be given up, if nothing else comes for so long.
    pub(crate) fn idle_at(&self, idle_max: Duration) -> Instant {
        self.0 + idle_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_contact_to_a_quorum_counts() {
        // A leader's contact is remembered when it leads no more; an older one changes nothing.
        let contact = QuorumContact::default();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(contact.age(), Duration::from_secs(60));
        contact.note_age(Duration::from_secs(2));
        contact.note_age(Duration::from_secs(5));
        assert_eq!(contact.age(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_on_one_side_says_nothing_of_the_other() {
        // A peer whose requests come, and whose answers do not, is active as a leader and not as a follower.
        let (contact, start) = (Contact::new(1), Instant::now());
        contact.requesting().note(2);
        assert_eq!(contact.requesting().last(2), Some(start));
        assert_eq!(contact.answering().last(2), None);
    }

    #[test]
    fn a_majority_of_the_old_and_one_of_the_new_voters_have_to_be_active() {
        // While the voters change, both sets count.
        let (activity, start) = (PeerActivity::default(), Instant::now());
        let sets = [BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 4, 5])];
        activity.note(2);
        assert!(activity.has_majority(1, &sets[..1], start));
        assert!(!activity.has_majority(1, &sets, start));
        activity.note(5);
        assert!(activity.has_majority(1, &sets, start));
        assert!(activity.has_majority(1, &[BTreeSet::from([1])], start), "alone");
    }
}
