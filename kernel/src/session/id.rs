//! How session ids are made: with the server's number in the top byte, as ZooKeeper makes them, so that
//! tools that read it there keep working.

use jute_proto::SessionId;

use crate::ensemble::ServerId;
use crate::time::WallTime;

/// The bits that count the sessions of a process.
const COUNT_BITS: u32 = 36;

/// The bits that tell processes apart.
const ORDINAL_BITS: u32 = 20;

/// Hands out session ids of one server.
///
/// Below the top byte stands the [ordinal](crate::replica::Registration::ordinal) of its process, and then a
/// count. Two servers whose numbers have the same low byte never give the same id, and no id is given a second time
/// before a million processes were registered; one of a live session never is.
#[derive(Debug)]
pub struct SessionIds {
    server: ServerId,
    ordinal: Option<u64>,
    next: u64,
}

impl SessionIds {
    /// Begins at a point that follows from the wall clock, as
    /// `SessionTrackerImpl.initializeNextSessionId` does; for a server whose process is not registered.
    pub fn new(server: ServerId, now: WallTime) -> Self {
        let next = (now.0.cast_unsigned() << 24) >> 8;
        Self { server, ordinal: None, next }
    }

    /// This process was registered, with this ordinal. Goes on where it is known already.
    pub fn begin(&mut self, ordinal: u64) {
        if self.ordinal != Some(ordinal) {
            self.ordinal = Some(ordinal);
            self.next = (ordinal % (1 << ORDINAL_BITS)) << COUNT_BITS | 1;
        }
    }

    /// The next id: never 0, which asks for a new session, and never the one value that marks a
    /// container.
    pub fn next_id(&mut self) -> SessionId {
        loop {
            let id = (self.server.0 << 56 | self.next & !(0xff << 56)).cast_signed();
            self.next = self.next.wrapping_add(1);
            if id != 0 && id != i64::MIN {
                return SessionId(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_server_is_in_the_top_byte() {
        // Tools find the server that made a session in the top byte of its id.
        let mut ids = SessionIds::new(ServerId(3), WallTime(1_700_000_000_000));
        assert_eq!(ids.next_id().0.cast_unsigned() >> 56, 3);
        ids.begin(1);
        let first = ids.next_id();
        assert_eq!(first.0.cast_unsigned() >> 56, 3);
        ids.begin(1);
        assert_eq!(ids.next_id().0, first.0 + 1);
    }

    #[test]
    fn ids_are_unique_whatever_the_numbers() {
        // Servers that share the low byte of their numbers, and processes that follow each other, give no id
        // twice.
        let mut seen = BTreeSet::new();
        for (ordinal, server) in (1..).zip([0, 256, 512, 1, 257, 1, 255, 0x1_00ff]) {
            let mut ids = SessionIds::new(ServerId(server), WallTime(1_700_000_000_000));
            ids.begin(ordinal);
            for _ in 0..1000 {
                assert!(seen.insert(ids.next_id()), "server {server}, process {ordinal}");
            }
        }
    }

    #[test]
    fn reserved_values_are_skipped() {
        // 0 and the container marker are never a session.
        let mut ids = SessionIds { server: ServerId(0), ordinal: None, next: 0 };
        assert_eq!(ids.next_id().0, 1);
        let mut ids = SessionIds { server: ServerId(128), ordinal: None, next: 0 };
        assert_eq!(ids.next_id().0, i64::MIN + 1);
    }
}
