//! Read barriers: many connections wait for one.
//!
//! Where the others are near, one follows the other, and each serves all that came meanwhile. Where they are far
//! away the next one does not wait for the last: who has just missed it would wait twice as long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ingress::Ingress;
use crate::consensus::Proposer;
use crate::env::time::{Instant, sleep, sleep_until};

/// How long to wait before a barrier that could not be had is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// A barrier that takes longer is waited for no more before the next one begins.
const OVERLAP_AFTER: Duration = Duration::from_millis(30);

/// So many may be under way.
const UNDER_WAY_MAX: usize = 256;

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

    fn begin(&self) -> ReadBarrier {
        let mut next = self.next.lock();
        next.begun += 1;
        ReadBarrier { number: next.begun, connections: std::mem::take(&mut next.connections) }
    }

    /// These connections wait for the next barrier in place of one that could not be had.
    fn again(&self, mut connections: Vec<u64>) {
        let mut next = self.next.lock();
        next.connections.append(&mut connections);
        drop(next);
        self.wanted.notify_one();
    }
}

/// A barrier that is under way.
struct ReadBarrier {
    number: u64,
    connections: Vec<u64>,
}

impl ReadBarrier {
    /// Waits for it; whether it could be had.
    async fn wait(self, proposer: &Proposer) -> (Self, bool) {
        let had = proposer.read_barrier().await.is_ok();
        if !had {
            sleep(PAUSE).await;
        }
        (self, had)
    }
}

/// Asks for barriers and tells the connections that wait. Who waits for one that cannot be had waits for the next,
/// until it can: connections that wait too long are closed for want of contact.
pub(super) async fn run(ingress: Arc<Ingress>, stop: CancellationToken) {
    let barriers = &ingress.read_barriers;
    let work = async {
        let mut under_way = FuturesUnordered::new();
        let mut begun = Instant::now();
        loop {
            let (is_first, has_room) = (under_way.is_empty(), under_way.len() < UNDER_WAY_MAX);
            let wanted = async {
                if !is_first {
                    sleep_until(begun + OVERLAP_AFTER).await;
                }
                barriers.wanted.notified().await;
            };
            tokio::select! {
                biased;
                Some((barrier, had)) = under_way.next() => {
                    let ReadBarrier { number, connections } = barrier;
                    match had {
                        true => pass(&ingress, number, &connections).await,
                        false => barriers.again(connections),
                    }
                }
                () = wanted, if has_room => {
                    begun = Instant::now();
                    under_way.push(barriers.begin().wait(ingress.proposer()));
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn pass(ingress: &Ingress, number: u64, connections: &[u64]) {
    let core = ingress.core();
    for connection in connections {
        let Some(handle) = core.connections.get(*connection) else { continue };
        let replica = core.replica.read().await;
        handle.pass_barrier(core.view(&replica), &mut &*ingress, number);
        drop(replica);
        handle.wake();
    }
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
