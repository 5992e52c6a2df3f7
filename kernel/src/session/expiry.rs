//! When sessions end: deadlines in buckets of one tick, as ZooKeeper's `ExpiryQueue` keeps them.
//!
//! A deadline is rounded up to the next tick, so a silent session ends after its timeout and at most
//! one tick later, never before.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use hashbrown::HashMap;
use jute_proto::SessionId;

use crate::time::SessionTime;

/// The deadlines of all sessions.
#[derive(Debug)]
pub struct Expiry {
    tick_ms: u64,
    deadlines: HashMap<SessionId, Deadline>,
    buckets: BTreeMap<SessionTime, BTreeSet<SessionId>>,
}

#[derive(Debug, Clone, Copy)]
struct Deadline {
    /// The tick at which it is looked at.
    at: SessionTime,
    /// When the session has been silent for its timeout.
    due: SessionTime,
    timeout_ms: u32,
}

/// A session whose deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The session.
    pub session: SessionId,
    /// When it had been silent for its timeout.
    pub due: SessionTime,
}

impl Expiry {
    /// No sessions yet; `tick_ms` is the width of a bucket and must not be 0.
    pub fn new(tick_ms: u64) -> Self {
        assert!(tick_ms > 0, "a tick has a length");
        Self { tick_ms, deadlines: HashMap::new(), buckets: BTreeMap::new() }
    }

    /// Starts, or restarts, the clock of a session with this timeout.
    pub fn track(&mut self, now: SessionTime, session: SessionId, timeout_ms: u32) {
        let due = now.after_ms(timeout_ms.into());
        self.move_to(session, Deadline { at: self.round_up(due), due, timeout_ms });
    }

    /// The session was heard of at `heard`. A deadline never moves back; an unknown session stays
    /// unknown.
    pub fn touch(&mut self, heard: SessionTime, session: SessionId) {
        let Some(old) = self.deadlines.get(&session).copied() else { return };
        let due = heard.after_ms(old.timeout_ms.into());
        if due > old.due {
            let at = self.round_up(due).max(old.at);
            self.move_to(session, Deadline { at, due, ..old });
        }
    }

    /// The session gets one more tick: whether it is silent is not known yet.
    pub fn postpone(&mut self, now: SessionTime, overdue: Overdue, timeout_ms: u32) {
        let (at, due) = (self.round_up(now), overdue.due);
        self.move_to(overdue.session, Deadline { at, due, timeout_ms });
    }

    /// The session ended in another way.
    pub fn forget(&mut self, session: SessionId) {
        if let Some(old) = self.deadlines.remove(&session) {
            self.leave(old.at, session);
        }
    }

    /// Whether the session has a deadline.
    pub fn contains(&self, session: SessionId) -> bool {
        self.deadlines.contains_key(&session)
    }

    /// Takes out the sessions whose deadline has passed, in the order of deadline and id.
    pub fn expired(&mut self, now: SessionTime) -> Vec<Overdue> {
        let later = self.buckets.split_off(&now.after_ms(1));
        let due = core::mem::replace(&mut self.buckets, later);
        let sessions = due.into_values().flatten();
        let overdue = sessions.filter_map(|session| {
            let due = self.deadlines.remove(&session)?.due;
            Some(Overdue { session, due })
        });
        overdue.collect()
    }

    /// The buckets in the order of time, for the `dump` command.
    pub fn buckets(&self) -> impl Iterator<Item = (SessionTime, &BTreeSet<SessionId>)> {
        self.buckets.iter().map(|(at, sessions)| (*at, sessions))
    }

    /// Forgets every session: this server does not decide about them any more.
    pub fn clear(&mut self) {
        self.deadlines.clear();
        self.buckets.clear();
    }

    fn round_up(&self, at: SessionTime) -> SessionTime {
        SessionTime((at.0 / self.tick_ms + 1) * self.tick_ms)
    }

    fn move_to(&mut self, session: SessionId, deadline: Deadline) {
        if let Some(old) = self.deadlines.insert(session, deadline) {
            if old.at == deadline.at {
                return;
            }
            self.leave(old.at, session);
        }
        self.buckets.entry(deadline.at).or_default().insert(session);
    }

    fn leave(&mut self, at: SessionTime, session: SessionId) {
        if let Some(bucket) = self.buckets.get_mut(&at) {
            bucket.remove(&session);
            if bucket.is_empty() {
                self.buckets.remove(&at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_silent_session_ends_within_a_tick_after_its_timeout() {
        // Expiry falls in (timeout, timeout + tick].
        for start_ms in [0, 1, 999, 1000, 1001, 12_345] {
            let mut expiry = Expiry::new(1000);
            expiry.track(SessionTime(start_ms), SessionId(1), 4000);
            assert!(expiry.expired(SessionTime(start_ms + 4000)).is_empty(), "early at {start_ms}");
            let overdue = Overdue { session: SessionId(1), due: SessionTime(start_ms + 4000) };
            assert_eq!(expiry.expired(SessionTime(start_ms + 5000)), vec![overdue]);
            assert!(expiry.expired(SessionTime(start_ms + 50_000)).is_empty(), "twice");
        }
    }

    #[test]
    fn a_touch_prolongs_and_never_shortens() {
        // Reports of touches that arrive late or out of order do no harm.
        let mut expiry = Expiry::new(1000);
        expiry.track(SessionTime(0), SessionId(1), 4000);
        expiry.touch(SessionTime(3000), SessionId(1));
        expiry.touch(SessionTime(100), SessionId(1));
        assert!(expiry.expired(SessionTime(7000)).is_empty());
        assert_eq!(
            expiry.expired(SessionTime(8000)),
            vec![Overdue { session: SessionId(1), due: SessionTime(7000) }]
        );
    }

    #[test]
    fn a_postponed_session_is_looked_at_again_and_can_still_be_heard() {
        // Who was silent as far as is known gets another tick, in which a late report may save it.
        let mut expiry = Expiry::new(1000);
        expiry.track(SessionTime(0), SessionId(1), 4000);
        let overdue = expiry.expired(SessionTime(5000))[0];
        expiry.postpone(SessionTime(5000), overdue, 4000);
        assert!(expiry.expired(SessionTime(5999)).is_empty());
        assert_eq!(expiry.expired(SessionTime(6000)), vec![overdue]);
        expiry.postpone(SessionTime(6000), overdue, 4000);
        expiry.touch(SessionTime(3900), SessionId(1));
        assert!(expiry.expired(SessionTime(7800)).is_empty());
        assert_eq!(expiry.expired(SessionTime(8000)).len(), 1);
    }

    #[test]
    fn a_forgotten_session_never_expires() {
        // A closed session is not closed a second time, and a touch does not revive it.
        let mut expiry = Expiry::new(1000);
        expiry.track(SessionTime(0), SessionId(1), 4000);
        expiry.forget(SessionId(1));
        expiry.touch(SessionTime(10), SessionId(1));
        assert!(expiry.expired(SessionTime(100_000)).is_empty());
        assert_eq!(expiry.buckets().count(), 0);
    }
}
