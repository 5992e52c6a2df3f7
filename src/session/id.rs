//! How session ids are made: as ZooKeeper makes them, so that tools that read the server's id from
//! the top byte keep working.

use jute_proto::SessionId;

/// Hands out session ids of one server: its id in the top byte, the start time of the process below
/// it, counting up by one.
#[derive(Debug)]
pub struct SessionIds {
    next: i64,
}

impl SessionIds {
    /// Starts at a point that follows from the server's id (its low eight bits count) and from the
    /// wall clock in milliseconds, as `SessionTrackerImpl.initializeNextSessionId` does.
    pub fn new(server_id: u64, now_ms: i64) -> Self {
        let time = ((now_ms << 24) as u64) >> 8;
        let next = (time | (server_id << 56)) as i64;
        Self { next }
    }

    /// The next id: never 0, which asks for a new session, and never the one value that marks a
    /// container.
    pub fn next_id(&mut self) -> SessionId {
        loop {
            let id = self.next;
            self.next = self.next.wrapping_add(1);
            if id != 0 && id != i64::MIN {
                return SessionId(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_in_the_top_byte() {
        // Tools find the server that made a session in the top byte of its id.
        let mut ids = SessionIds::new(3, 1_700_000_000_000);
        let first = ids.next_id();
        assert_eq!((first.0 as u64) >> 56, 3);
        assert_eq!(ids.next_id().0, first.0 + 1);
    }

    #[test]
    fn reserved_values_are_skipped() {
        // 0 and the container marker are never a session.
        let mut ids = SessionIds { next: i64::MAX };
        assert_eq!(ids.next_id().0, i64::MAX);
        assert_eq!(ids.next_id().0, i64::MIN + 1);
        let mut ids = SessionIds { next: 0 };
        assert_eq!(ids.next_id().0, 1);
    }
}
