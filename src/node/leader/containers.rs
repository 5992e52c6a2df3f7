//! Removes containers and TTL nodes whose life is over (`ContainerManager`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::replica::{Command, Expired, Now, Op, VERSION_ONCE};
use kernel::time::{ElapsedTime, WallTime};
use kernel::tree::{ExpirySearch, ExpirySettings};
use tokio_util::sync::CancellationToken;

use super::super::core::Shared;

/// Candidates that are looked at before writes have their turn.
const CANDIDATES_AT_ONCE: usize = 1000;

/// Looks through the candidates every `znode.container.checkIntervalMs` and proposes their removal,
/// spread so that at most `znode.container.maxPerMinute` go a minute. Applying looks again.
pub(in crate::node) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let config = &shared.config.containers;
    let interval = Duration::from_millis(config.check_interval_ms.max(1));
    let pause = Duration::from_secs(60) / config.max_per_minute.max(1);
    let settings = ExpirySettings {
        container_never_used_ms_max: config
            .max_never_used_ms
            .map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        extended_types: shared.config.features.extended_types,
    };
    let work = async {
        'rounds: loop {
            tokio::time::sleep(interval).await;
            if shared.leading().is_none() || shared.awaits_members.load(Ordering::Acquire) {
                continue;
            }
            let mut search = ExpirySearch::default();
            while let Some(over) = look(&shared, settings, &mut search).await {
                for expired in over {
                    if !propose(&shared, &expired) {
                        // Nothing is lost: the next round finds it again.
                        continue 'rounds;
                    }
                    tokio::time::sleep(pause).await;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn look(
    shared: &Shared,
    settings: ExpirySettings,
    search: &mut ExpirySearch,
) -> Option<Vec<Expired>> {
    let replica = shared.replica.read().await;
    let now = Now {
        wall_time: WallTime(shared.clock.wall_ms()),
        elapsed: ElapsedTime(shared.elapsed_ms()),
    };
    replica.expired(now, settings, search, CANDIDATES_AT_ONCE)
}

/// Proposes to remove a node; false where nothing can be proposed.
fn propose(shared: &Shared, expired: &Expired) -> bool {
    let Some(term) = shared.leading() else { return false };
    let Expired { path, czxid, mzxid } = expired;
    let op = match shared.version.load(Ordering::Acquire) {
        ..VERSION_ONCE => Op::DeleteContainer { path },
        VERSION_ONCE.. => Op::DeleteContainerIn { path, czxid: czxid.0, mzxid: mzxid.0, term },
    };
    shared.propose_as_leader(&Command::of_server(op)).is_ok()
}
