//! Asks for read barriers, as long as connections want them.
//!
//! Where the others are near, one follows the other, and each serves all that came meanwhile. Where they are far
//! away the next one does not wait for the last: who has just missed it would wait twice as long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::ingress::Ingress;
use super::read_barriers::ReadBarrier;
use crate::consensus::Proposer;
use crate::env::time::{Instant, sleep, sleep_until};

/// How long to wait before a barrier that could not be had is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// A barrier that takes longer is waited for no more before the next one begins.
const OVERLAP_AFTER: Duration = Duration::from_millis(30);

/// So many may be under way.
const UNDER_WAY_MAX: usize = 256;

/// Waits for a barrier; whether it could be had.
async fn wait_for(barrier: ReadBarrier, proposer: &Proposer) -> (ReadBarrier, bool) {
    let had = proposer.read_barrier().await.is_ok();
    if !had {
        sleep(PAUSE).await;
    }
    (barrier, had)
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
                barriers.wanted().await;
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
                    under_way.push(wait_for(barriers.begin(), ingress.proposer()));
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
