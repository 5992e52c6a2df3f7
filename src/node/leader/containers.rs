//! Removes containers and TTL nodes whose life is over (`ContainerManager`).

use std::sync::Arc;
use std::time::Duration;

use kernel::replica::{Command, Expired, Now, Op, VERSION_2};
use kernel::time::{ElapsedTime, WallTime};
use kernel::tree::{ExpirySearch, ExpirySettings};
use tokio_util::sync::CancellationToken;

use super::commands::LeaderCommands;
use crate::config::Config;
use crate::env::{task, time};
use crate::node::core::Core;

/// Candidates that are looked at before writes have their turn.
const CANDIDATES_AT_ONCE: usize = 1000;

/// How often to look, and for what.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct ContainerSettings {
    interval: Duration,
    /// Between two removals.
    pause: Duration,
    expiry: ExpirySettings,
}

impl ContainerSettings {
    pub(in crate::node) fn new(config: &Config) -> Self {
        let containers = &config.containers;
        let never_used_ms_max = |ms| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            interval: Duration::from_millis(containers.check_interval_ms.max(1)),
            pause: Duration::from_secs(60) / containers.max_per_minute.max(1),
            expiry: ExpirySettings {
                container_never_used_ms_max: containers
                    .max_never_used_ms
                    .map_or(0, never_used_ms_max),
                extended_types: config.features.extended_types,
            },
        }
    }
}

/// Looks through the candidates every `znode.container.checkIntervalMs` and proposes their removal,
/// spread so that at most `znode.container.maxPerMinute` go a minute. Applying looks again.
pub(in crate::node) async fn run(
    core: Arc<Core>,
    leader: LeaderCommands,
    settings: ContainerSettings,
    stop: CancellationToken,
) {
    let work = async {
        'rounds: loop {
            time::sleep(settings.interval).await;
            if !core.leader_duties.may_expire() {
                continue;
            }
            let mut search = ExpirySearch::default();
            while let Some(over) = next_expired(&core, settings.expiry, &mut search).await {
                for expired in over {
                    if !remove(&core, &leader, &expired) {
                        // Nothing is lost: the next round finds it again.
                        continue 'rounds;
                    }
                    time::sleep(settings.pause).await;
                }
                task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn next_expired(
    core: &Core,
    settings: ExpirySettings,
    search: &mut ExpirySearch,
) -> Option<Vec<Expired>> {
    let replica = core.replica.read().await;
    let now =
        Now { wall_time: WallTime(core.clock.wall_ms()), elapsed: ElapsedTime(core.elapsed_ms()) };
    replica.expired(now, settings, search, CANDIDATES_AT_ONCE)
}

/// Proposes to remove a node; false where nothing can be proposed.
fn remove(core: &Core, leader: &LeaderCommands, expired: &Expired) -> bool {
    let Some(term) = core.leader_duties.term() else { return false };
    let Expired { path, czxid, mzxid } = expired;
    let op = match core.process.version() {
        ..VERSION_2 => Op::DeleteContainer { path },
        VERSION_2.. => Op::DeleteContainerIn { path, czxid: czxid.0, mzxid: mzxid.0, term },
    };
    leader.propose(&Command::of_server(op)).is_ok()
}
