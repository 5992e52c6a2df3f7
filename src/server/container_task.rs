//! Removes containers and TTL nodes whose life is over (`ContainerManager`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jute_proto::SessionId;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::replica::{Command, Expired, Now, Op, Origin, VERSION_ONCE};
use crate::session::ConnId;
use crate::tree::ExpirySettings;

/// Looks through the candidates every `znode.container.checkIntervalMs` and proposes their removal,
/// spread so that at most `znode.container.maxPerMinute` go a minute. Applying looks again.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
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
        loop {
            tokio::time::sleep(interval).await;
            if shared.leading().is_none() || shared.awaits_members.load(Ordering::Acquire) {
                continue;
            }
            let now = Now { wall_ms: shared.clock.wall_ms(), elapsed_ms: shared.elapsed_ms() };
            let over = shared.replica.read().expired(now, settings);
            for Expired { path, czxid, mzxid } in over {
                let Some(term) = shared.leading() else { break };
                let op = match shared.version.load(Ordering::Acquire) {
                    ..VERSION_ONCE => Op::DeleteContainer { path: &path },
                    VERSION_ONCE.. => {
                        let (czxid, mzxid) = (czxid.0, mzxid.0);
                        Op::DeleteContainerIn { path: &path, czxid, mzxid, term }
                    }
                };
                let origin = Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 };
                let command = Command { origin, identities: &[], op };
                if shared.propose_as_leader(&command).is_err() {
                    // Nothing is lost: the next round finds it again.
                    break;
                }
                tokio::time::sleep(pause).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}
