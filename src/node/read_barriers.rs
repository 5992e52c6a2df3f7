//! Read barriers: many connections wait for one.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The connections that wait for the next barrier.
#[derive(Debug, Default)]
pub(super) struct ReadBarriers {
    next: Mutex<NextBarrier>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct NextBarrier {
    /// How many were begun.
    begun: u64,
    connections: Vec<u64>,
}

impl ReadBarriers {
    /// Waits until a connection wants a barrier that has not begun. To be awaited in one place only.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The number of the barrier that begins next, for this connection.
    pub(super) fn want(&self, connection: u64) -> u64 {
        let mut next = self.next.lock();
        let is_first = next.connections.is_empty();
        if next.connections.last() != Some(&connection) {
            next.connections.push(connection);
        }
        let number = next.begun + 1;
        drop(next);
        if is_first {
            self.wanted.notify_one();
        }
        number
    }

    pub(super) fn begin(&self) -> ReadBarrier {
        let mut next = self.next.lock();
        next.begun += 1;
        ReadBarrier { number: next.begun, connections: std::mem::take(&mut next.connections) }
    }

    /// These connections wait for the next barrier in place of one that could not be had.
    pub(super) fn again(&self, mut connections: Vec<u64>) {
        let mut next = self.next.lock();
        next.connections.append(&mut connections);
        drop(next);
        self.wanted.notify_one();
    }
}

/// A barrier that was begun.
pub(super) struct ReadBarrier {
    pub(super) number: u64,
    pub(super) connections: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_during_a_barrier_waits_for_the_next() {
        // A barrier that has begun says nothing of what was acknowledged since.
        let barriers = ReadBarriers::default();
        assert_eq!(barriers.want(7), 1);
        assert_eq!(barriers.want(7), 1);
        assert_eq!(barriers.want(8), 1);
        let first = barriers.begin();
        assert_eq!((first.number, &first.connections[..]), (1, &[7, 8][..]));
        assert_eq!(barriers.want(7), 2);
        let second = barriers.begin();
        assert_eq!((second.number, &second.connections[..]), (2, &[7][..]));
    }

    #[test]
    fn who_was_not_served_waits_for_the_next() {
        // A barrier that could not be had is asked for again together with what came meanwhile.
        let barriers = ReadBarriers::default();
        barriers.want(7);
        let first = barriers.begin();
        barriers.want(8);
        barriers.again(first.connections);
        let second = barriers.begin();
        assert_eq!((second.number, &second.connections[..]), (2, &[8, 7][..]));
    }
}
