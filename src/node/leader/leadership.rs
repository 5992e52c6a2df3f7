//! The duties of a leader: since when this server has them, and in which term.

use std::sync::atomic::Ordering;

use kernel::time::SessionTime;

use super::super::core::Shared;

impl Shared {
    /// The term in which this server has the duties of a leader, if it has them.
    pub fn leading(&self) -> Option<u64> {
        Some(self.leading.load(Ordering::Acquire)).filter(|term| *term != 0)
    }

    /// Since when, in milliseconds of the server's clock.
    pub(in crate::node) fn leading_since_ms(&self) -> u64 {
        self.leading_since_ms.load(Ordering::Relaxed)
    }

    /// Takes up the duties of the leader of this term: every session gets its full timeout.
    pub(in crate::node) async fn begin_leading(&self, term: u64) {
        // Under this lock no session comes or goes.
        let replica = self.replica.read().await;
        let now = SessionTime::from_us(self.clock.now_us());
        let mut expiry = self.expiry.lock();
        expiry.clear();
        for (session, record) in replica.sessions().iter() {
            expiry.track(now, session, record.timeout_ms);
        }
        self.reports.lock().clear();
        self.elapsed.begin();
        self.leading_since_ms.store(now.0, Ordering::Relaxed);
        self.leading_since_us.store(self.clock.now_us(), Ordering::Relaxed);
        self.leading.store(term, Ordering::Release);
    }

    /// For how long this server has the duties of a leader, in milliseconds.
    pub fn leading_for_ms(&self) -> u64 {
        let since_us = self.leading_since_us.load(Ordering::Relaxed);
        self.clock.now_us().saturating_sub(since_us) / 1000
    }

    /// Another server decides from now on.
    pub(in crate::node) fn end_leading(&self) {
        let mut expiry = self.expiry.lock();
        expiry.clear();
        self.elapsed.end();
        self.leading.store(0, Ordering::Release);
    }

    /// Whether the zxids of the term are used up, but for a reserve: the counter has 32 bits.
    pub(in crate::node) fn counter_runs_out(&self) -> bool {
        self.replica.figures().last_zxid().counter() >= self.zxid_counter_max
    }
}
