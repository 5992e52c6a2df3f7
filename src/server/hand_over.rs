//! When a leader with a full disk asks that another server takes the lead.

use std::time::Duration;

use tokio::time::Instant;

/// After so long the leader asks again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The time between doubles up to this one.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(600);

/// One spell in which the disk of this server is full.
///
/// Where the others' disks are full too, the lead comes back at once. Each change of leader takes a term. A server that
/// was away refuses a term that is 2^20 ahead of its own (`consensus/network/terms`). So the time between two requests
/// grows for as long as the disk is full, whoever leads meanwhile.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    last: Option<(Instant, Duration)>,
}

impl HandOver {
    /// Whether a leader whose disk is full has to ask now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let pause = match self.last {
            None => AGAIN_AFTER,
            Some((at, pause)) if now >= at + pause => (2 * pause).min(AGAIN_AFTER_MAX),
            Some(_) => return false,
        };
        self.last = Some((now, pause));
        true
    }

    /// There is space again.
    pub(super) fn end(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_disks_are_full_the_lead_changes_seldom() {
        // Three servers with full disks that hand the lead round for a year use few terms; the first is asked at
        // once, in the next spell too.
        let mut servers = [const { HandOver { last: None } }; 3];
        let (start, mut terms) = (Instant::now(), 0_u32);
        let year = Duration::from_secs(365 * 86_400);
        let mut at = Duration::ZERO;
        while at < year {
            for server in &mut servers {
                terms += u32::from(server.is_due(start + at));
            }
            at += Duration::from_secs(if at < Duration::from_secs(3600) { 1 } else { 60 });
        }
        assert!(terms < 3 * 53_000, "{terms} terms");
        let mut server = HandOver::default();
        assert!(server.is_due(start) && !server.is_due(start));
        server.end();
        assert!(server.is_due(start));
    }
}
