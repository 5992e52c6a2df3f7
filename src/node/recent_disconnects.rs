//! Clients that have left, until the leader knows when they were last heard of.

use std::collections::VecDeque;

use jute_proto::SessionId;
use parking_lot::Mutex;

/// So many are remembered. When more leave between two reports, the sessions of the first ones may end as much
/// earlier as reports are apart.
const DISCONNECTS_MAX: usize = 100_000;

/// The last sign of life of clients that are gone.
#[derive(Debug, Default)]
pub(super) struct RecentDisconnects(Mutex<VecDeque<(SessionId, u64)>>);

impl RecentDisconnects {
    /// A client is gone that was last heard of at that time, in microseconds.
    pub(super) fn note(&self, session: SessionId, heard_us: u64) {
        if session == SessionId(0) {
            return;
        }
        let mut departed = self.0.lock();
        if departed.len() == DISCONNECTS_MAX {
            departed.pop_front();
        }
        departed.push_back((session, heard_us));
    }

    /// Those that were heard of since then. Others are forgotten: the leader knows of them.
    pub(super) fn since(&self, since_us: u64) -> Vec<(SessionId, u64)> {
        let mut departed = self.0.lock();
        departed.retain(|(_, heard_us)| *heard_us >= since_us);
        departed.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_reported_until_the_leader_knows() {
        // A client that sends something and leaves at once has its session for the whole timeout from then on.
        let departed = RecentDisconnects::default();
        departed.note(SessionId(0), 15);
        departed.note(SessionId(1), 10);
        departed.note(SessionId(2), 20);
        assert_eq!(departed.since(5), [(SessionId(1), 10), (SessionId(2), 20)]);
        assert_eq!(departed.since(5).len(), 2, "the report may have been lost");
        assert_eq!(departed.since(15), [(SessionId(2), 20)]);
        assert!(departed.since(21).is_empty());
        (0..DISCONNECTS_MAX as u64 + 1).for_each(|at| departed.note(SessionId(3), at));
        assert_eq!(departed.since(0).first(), Some(&(SessionId(3), 1)));
    }
}
