//! When a leader with a full disk asks that another server takes the lead.

use std::time::Duration;

use crate::env::time::Instant;

/// After so long a leader asks again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where the lead came back sooner than this, the others' disks are taken to be full too.
const BACK_SOON: Duration = Duration::from_secs(5);

/// The time between doubles up to this one then.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(600);

/// One spell in which the disk of this server is full.
///
/// Where the others' disks are full too, the lead comes back at once. Each change of leader takes a term. A server that
/// was away refuses a term that is 2^20 ahead of its own (`consensus/transport/terms`). So the time between two
/// requests grows with each time that the lead came back soon.
#[derive(Debug)]
pub(in crate::node) struct FullDiskHandover {
    /// When this server asked last.
    last: Option<Instant>,
    /// In which term it was last seen to lead.
    term: u64,
    pause: Duration,
}

impl Default for FullDiskHandover {
    fn default() -> Self {
        Self { last: None, term: 0, pause: AGAIN_AFTER }
    }
}

impl FullDiskHandover {
    /// Whether the leader of `term`, whose disk is full, has to ask now.
    pub(in crate::node) fn is_due(&mut self, term: u64, now: Instant) -> bool {
        let came_back = std::mem::replace(&mut self.term, term) != term;
        if let Some(last) = self.last {
            if came_back {
                self.pause = match now < last + BACK_SOON {
                    true => (2 * self.pause).min(AGAIN_AFTER_MAX),
                    false => AGAIN_AFTER,
                };
            }
            if now < last + self.pause {
                return false;
            }
        }
        self.last = Some(now);
        true
    }

    /// There is space again.
    pub(in crate::node) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn where_all_disks_are_full_the_lead_changes_seldom() {
        // Three servers with full disks that hand the lead round for sixty days use few terms.
        let mut servers: [FullDiskHandover; 3] =
            std::array::from_fn(|_| FullDiskHandover::default());
        let (start, mut leader, mut terms) = (Instant::now(), 0, 0_u32);
        let days = 60 * 86_400;
        for second in 0..days {
            while servers[leader].is_due(terms.into(), start + second * SECOND) {
                (leader, terms) = ((leader + 1) % 3, terms + 1);
            }
        }
        assert!(terms < 3 * days / 600 + 50, "{terms} terms");
    }

    #[test]
    fn a_leader_asks_at_once_where_others_have_space() {
        // Also where it leads again after a while; and again every five seconds where nobody takes over.
        let (mut server, start) = (FullDiskHandover::default(), Instant::now());
        assert!(server.is_due(1, start));
        assert!(!server.is_due(1, start + 4 * SECOND));
        assert!(server.is_due(1, start + 5 * SECOND));
        assert!(server.is_due(1, start + 10 * SECOND));
        assert!(server.is_due(3, start + 16 * SECOND));
        // It comes back at once: nobody has space.
        assert!(!server.is_due(5, start + 17 * SECOND));
        assert!(!server.is_due(5, start + 25 * SECOND));
        assert!(server.is_due(5, start + 26 * SECOND));
        server.end();
        assert!(server.is_due(7, start + 27 * SECOND));
    }
}
