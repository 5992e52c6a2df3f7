//! Read barriers: many connections wait for one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::consensus::Proposer;

/// How long to wait before a barrier that could not be had is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The connections that wait for the next barrier.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    next: Mutex<Next>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Next {
    /// How many were begun.
    begun: u64,
    connections: Vec<u64>,
}

impl Barriers {
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

    fn begin(&self) -> (u64, Vec<u64>) {
        let mut next = self.next.lock();
        next.begun += 1;
        (next.begun, std::mem::take(&mut next.connections))
    }
}

/// Asks for barriers, one after the other, and tells the connections that wait. A barrier that cannot
/// be had is tried again until it can: connections that wait too long are closed for want of contact.
pub(super) async fn run(shared: Arc<Shared>, proposer: Proposer, stop: CancellationToken) {
    let work = async {
        loop {
            shared.barriers.wanted.notified().await;
            let (number, connections) = shared.barriers.begin();
            while proposer.read_barrier().await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            pass(&shared, number, &connections).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn pass(shared: &Arc<Shared>, number: u64, connections: &[u64]) {
    for connection in connections {
        let Some(client) = shared.clients.get(*connection) else { continue };
        let replica = shared.replica.read().await;
        client.pass_barrier(shared.view(&replica), &mut &**shared, number);
        drop(replica);
        client.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_during_a_barrier_waits_for_the_next() {
        // A barrier that has begun says nothing of what was acknowledged since.
        let barriers = Barriers::default();
        assert_eq!(barriers.want(7), 1);
        assert_eq!(barriers.want(7), 1);
        assert_eq!(barriers.want(8), 1);
        assert_eq!(barriers.begin(), (1, vec![7, 8]));
        assert_eq!(barriers.want(7), 2);
        assert_eq!(barriers.begin(), (2, vec![7]));
    }
}
