//! What a follower reports of which time: of all that no leader is known to have heard of.

use std::collections::VecDeque;

use crate::env::time::Instant;

/// Reports that were sent on one connection after the other, and are answered in their order.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// When each was sent that is not answered, and up to when it says something.
    unanswered: VecDeque<(Instant, u64)>,
    /// Up to when a leader has answered.
    answered_until: u64,
}

impl Reports {
    /// From when on the next report is to say something: a report that is lost costs nothing.
    pub(crate) fn since(&self) -> u64 {
        self.answered_until
    }

    /// A report is about to be sent that says all up to `until`.
    pub(crate) fn sent(&mut self, until: u64) {
        self.unanswered.push_back((Instant::now(), until));
    }

    /// The leader has answered the oldest one. Returns when that was sent.
    pub(crate) fn answered(&mut self) -> Option<Instant> {
        let (at, until) = self.unanswered.pop_front()?;
        self.answered_until = self.answered_until.max(until);
        Some(at)
    }

    /// The connection is gone: those that were not answered may be lost.
    pub(crate) fn connection_ended(&mut self) {
        self.unanswered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lost_report_said_is_said_again() {
        // A report covers all since the last one that was answered, on whichever connection.
        let mut reports = Reports::default();
        assert_eq!((reports.since(), reports.answered()), (0, None));
        reports.sent(10);
        reports.sent(20);
        assert_eq!(reports.since(), 0);
        assert!(reports.answered().is_some());
        assert_eq!(reports.since(), 10);
        reports.connection_ended();
        assert_eq!((reports.answered(), reports.since()), (None, 10));
        reports.sent(30);
        assert!(reports.answered().is_some());
        assert_eq!(reports.since(), 30);
    }
}
