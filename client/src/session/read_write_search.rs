//! Leaving a read-only server for one that has a quorum.
//!
//! While the connection is one to a read-only server the others are asked, one after the other and
//! ever more rarely, whether they take writes; the first that does is where the client goes.

use std::time::Duration;

use super::state_machine::{Effect, Phase, Session, Time};
use super::status::SessionState;

/// The pauses between two questions.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// When to ask next.
#[derive(Debug, Default)]
pub(super) struct ReadWriteSearch {
    next: Option<Time>,
    pause: Duration,
}

impl<T, W: Clone> Session<T, W> {
    /// Begins or ends asking, with each new connection.
    pub(super) fn plan_probes(&mut self, now: Time) {
        let wanted = self.status.state == SessionState::ReadOnly;
        self.read_write_search.pause = PAUSE_MIN;
        self.read_write_search.next = wanted.then_some(now + PAUSE_MIN);
    }

    pub(super) fn probe_at(&self) -> Option<Time> {
        self.read_write_search.next.filter(|_| matches!(self.phase, Phase::Open { .. }))
    }

    /// Asks the next server, if it is time.
    pub(super) fn probe(&mut self, now: Time) {
        if self.probe_at().is_some_and(|at| at <= now) {
            self.read_write_search.pause = (self.read_write_search.pause * 2).min(PAUSE_MAX);
            self.read_write_search.next = Some(now + self.read_write_search.pause);
            self.effects.push_back(Effect::Probe(self.hosts.next()));
        }
    }

    /// The server asked takes writes.
    pub(crate) fn found_writable(&mut self, now: Time, host: usize) {
        if let (Phase::Open { since }, SessionState::ReadOnly) = (self.phase, self.status.state) {
            self.hosts.aim(host);
            self.lose_connection(now, since);
        }
    }
}
