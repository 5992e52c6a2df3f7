//! Whether this server has the duties of a leader, and what it keeps for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use jute_proto::SessionId;
use kernel::replica::Replica;
use kernel::session::{Expiry, Overdue};
use kernel::time::SessionTime;
use parking_lot::Mutex;

use super::ensemble_time::EnsembleTime;

/// The duties of a leader, while this server has them.
///
/// They are not the lead itself: the consensus elects a leader, and `ServingTask` has it take up the duties when it has
/// applied all that was acknowledged before, and drop them when it sees that another one leads. Proposals of the leader
/// name the term in which they were given, so what is proposed in between comes to nothing.
///
/// One lock holds the term and all that is kept in it. So nothing of a former term is seen in the next one. Where the
/// replica is locked too, it is locked first: sessions come and go under its exclusive lock, and so their deadlines do.
#[derive(Debug)]
pub struct LeaderDuties {
    /// The width of a bucket of deadlines.
    tick_ms: u64,
    duties: Mutex<Option<Duties>>,
    /// Fewer than a majority of the servers that are to vote have their vote yet: nothing ends for want of clients that
    /// could not come. Changed by `ServingTask` alone.
    awaits_voters: AtomicBool,
}

/// What is kept while this server has the duties of a leader.
#[derive(Debug)]
struct Duties {
    term: u64,
    /// When they were taken up, in microseconds of the server's clock.
    since_us: u64,
    /// When sessions end.
    deadlines: Expiry,
    /// When each follower last reported, in milliseconds of the server's clock.
    reported_ms: BTreeMap<u64, u64>,
}

impl LeaderDuties {
    /// No duties yet. Deadlines are multiples of `tick_ms`, which must not be 0.
    pub(super) fn new(tick_ms: u64) -> Self {
        Self { tick_ms, duties: Mutex::new(None), awaits_voters: AtomicBool::new(false) }
    }

    /// The term in which this server has the duties of a leader, if it has them.
    pub fn term(&self) -> Option<u64> {
        self.duties.lock().as_ref().map(|duties| duties.term)
    }

    /// For how long this server has had the duties of a leader, in milliseconds; 0 where it has none.
    pub fn age_ms(&self, now_us: u64) -> u64 {
        let since_us = self.duties.lock().as_ref().map_or(now_us, |duties| duties.since_us);
        now_us.saturating_sub(since_us) / 1000
    }

    /// Takes up the duties of the leader of this term: every session gets its full timeout. To be called under a lock
    /// of the replica, so that no session comes or goes meanwhile.
    pub(super) fn begin(&self, term: u64, replica: &Replica, time: &EnsembleTime, now_us: u64) {
        let mut held = self.duties.lock();
        let mut deadlines = Expiry::new(self.tick_ms);
        for (session, record) in replica.sessions().iter() {
            deadlines.track(SessionTime::from_us(now_us), session, record.timeout_ms);
        }
        time.begin_leading();
        *held = Some(Duties { term, since_us: now_us, deadlines, reported_ms: BTreeMap::new() });
    }

    /// Another server decides from now on.
    pub(super) fn end(&self, time: &EnsembleTime) {
        let mut duties = self.duties.lock();
        time.end_leading();
        *duties = None;
    }

    /// Says whether a majority of the servers that are to vote lack their vote; returns what was said before.
    pub(super) fn set_awaits_voters(&self, awaits_voters: bool) -> bool {
        self.awaits_voters.swap(awaits_voters, Ordering::AcqRel)
    }

    /// Whether sessions and nodes may end by the word of this server.
    pub(super) fn may_expire(&self) -> bool {
        self.term().is_some() && !self.awaits_voters.load(Ordering::Acquire)
    }

    /// A session was opened at this moment. To be called under the exclusive lock of the replica.
    pub(super) fn track(&self, now_ms: u64, session: SessionId, timeout_ms: u32) {
        if let Some(duties) = self.duties.lock().as_mut() {
            duties.deadlines.track(SessionTime(now_ms), session, timeout_ms);
        }
    }

    /// A session was closed. To be called under the exclusive lock of the replica.
    pub(super) fn forget(&self, session: SessionId) {
        if let Some(duties) = self.duties.lock().as_mut() {
            duties.deadlines.forget(session);
        }
    }

    /// A client of this server was heard of at this moment.
    pub(super) fn touch(&self, heard_ms: u64, session: SessionId) {
        if let Some(duties) = self.duties.lock().as_mut() {
            duties.deadlines.touch(SessionTime(heard_ms), session);
        }
    }

    /// A follower reports which sessions it heard of, and how long ago that was.
    pub(super) fn reported(&self, from: u64, now_ms: u64, heard: &[(i64, u32)]) {
        let mut duties = self.duties.lock();
        let Some(duties) = duties.as_mut() else { return };
        for (session, age_ms) in heard {
            let heard_ms = now_ms.saturating_sub(u64::from(*age_ms));
            duties.deadlines.touch(SessionTime(heard_ms), SessionId(*session));
        }
        duties.reported_ms.insert(from, now_ms);
    }

    /// When a follower last reported, in milliseconds of the server's clock. Who has not reported to a new leader yet
    /// may have much to say: it counts from when the duties were taken up.
    pub(super) fn last_report_ms(&self, server: u64) -> u64 {
        let duties = self.duties.lock();
        let Some(duties) = duties.as_ref() else { return 0 };
        let reported_ms = duties.reported_ms.get(&server).copied();
        reported_ms.unwrap_or(duties.since_us / 1000)
    }

    /// Takes out the sessions whose deadline has passed.
    pub(super) fn take_overdue(&self, now_ms: u64) -> Vec<Overdue> {
        let mut duties = self.duties.lock();
        duties
            .as_mut()
            .map_or_else(Vec::new, |duties| duties.deadlines.expired(SessionTime(now_ms)))
    }

    /// Whether a session has a deadline.
    pub(super) fn tracks(&self, session: SessionId) -> bool {
        self.duties.lock().as_ref().is_some_and(|duties| duties.deadlines.contains(session))
    }

    /// Whether an overdue session is silent is not known yet: it gets one more tick.
    pub(super) fn postpone(&self, now_ms: u64, overdue: Overdue, timeout_ms: u32) {
        if let Some(duties) = self.duties.lock().as_mut() {
            duties.deadlines.postpone(SessionTime(now_ms), overdue, timeout_ms);
        }
    }

    /// The sessions by the time at which they end if nothing more comes, in milliseconds of the server's clock.
    pub fn deadlines(&self) -> Vec<(u64, Vec<SessionId>)> {
        let duties = self.duties.lock();
        let Some(duties) = duties.as_ref() else { return Vec::new() };
        let buckets = duties.deadlines.buckets();
        buckets.map(|(at, ids)| (at.0, ids.iter().copied().collect())).collect()
    }
}
