//! When to look for a server that takes writes.
//!
//! While the connection is one to a read-only server, the client asks the others whether they take
//! writes: one after the other, ever more rarely. It goes to the first that does.

use std::time::Duration;

use super::connection::Time;

/// The pauses between two questions.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// When to ask next.
#[derive(Debug, Default)]
pub(super) struct ReadWriteSearch {
    /// `None` where the server of the connection takes writes.
    next: Option<Time>,
    pause: Duration,
}

impl ReadWriteSearch {
    /// A connection is open, to a server that is read-only or not.
    pub(super) fn connected(&mut self, now: Time, read_only: bool) {
        self.pause = PAUSE_MIN;
        self.next = read_only.then_some(now + PAUSE_MIN);
    }

    /// When to ask next.
    pub(super) fn due_at(&self) -> Option<Time> {
        self.next
    }

    /// Whether to ask now. If so, the next question is due later, after twice the pause.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        let is_due = self.next.is_some_and(|at| at <= now);
        if is_due {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            self.next = Some(now + self.pause);
        }
        is_due
    }
}
