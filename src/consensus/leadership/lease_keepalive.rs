//! Lease keep-alive: no-op entries that renew the lease where heartbeats are answered late.
//!
//! openraft gives up a heartbeat when the next one is due. An earlier answer stands in for a late one
//! (`transport/heartbeat.rs`). If a round trip is so long that this is not enough, the lease runs out, although the
//! ensemble works, and the leader takes no write any more. The answer to an entry is waited for, and renews the
//! lease as well. So a leader without writes appends no-op entries. Reads need none: this server counts the answers
//! for them (`leadership/read_index.rs`). A full disk takes no no-op: its last space is for what was accepted, and
//! another server is to lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::raft_leader::RaftLeader;
use super::timings::Timings;
use crate::env::task;
use crate::env::time::{Instant, MissedTickBehavior, interval};
use crate::storage::DataDir;

/// The no-ops of this time are counted...
const COUNTED_OVER: Duration = Duration::from_secs(60);
/// ... and so many are worth a warning.
const WARNED_FROM: u32 = 200;

/// Appends no-op entries that renew the lease, one at a time. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct LeaseKeeper {
    timings: Timings,
    /// Where no-ops are written.
    dir: DataDir,
    last: Arc<LastNoop>,
}

/// The last no-op.
#[derive(Debug, Default)]
struct LastNoop {
    under_way: AtomicBool,
    /// No other is appended before that.
    back_off_until: Mutex<Option<Instant>>,
    done: Notify,
}

impl LeaseKeeper {
    pub(crate) fn new(timings: Timings, dir: DataDir) -> Self {
        Self { timings, dir, last: Arc::default() }
    }

    /// Appends a no-op whenever the last confirmation of the lead is too old, until `stop`.
    pub(crate) async fn run(self, raft: Arc<dyn RaftLeader>, stop: CancellationToken) {
        let mut ticks = interval(self.timings.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut appended, mut counted) = (0, Instant::now());
        loop {
            // The next no-op may be due as soon as the last one is applied: its answer may have taken most of the
            // lease.
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.last.done.notified() => {}
                () = stop.cancelled() => return,
            }
            let confirmed = raft.view().lease_age;
            if confirmed.is_some_and(|since| since > self.timings.noop_due_after())
                && self.append_noop(&raft)
            {
                appended += 1;
            }
            if counted.elapsed() >= COUNTED_OVER {
                if appended >= WARNED_FROM {
                    tracing::warn!(
                        "the other servers answer later than within raft.heartbeatMs ({}): entries had to \
                         be written {appended} times to keep the lead. It should be longer than the way to \
                         them and back, and raft.electionTimeoutMinMs several times that",
                        self.timings.heartbeat.as_millis()
                    );
                }
                (appended, counted) = (0, Instant::now());
            }
        }
    }

    /// Proposes a no-op. Does not where the disk is full, the last no-op is under way, or this leader backs off.
    fn append_noop(&self, raft: &Arc<dyn RaftLeader>) -> bool {
        let backs_off = self.last.back_off_until.lock().is_some_and(|until| Instant::now() < until);
        if self.dir.disk_full() || backs_off || self.last.under_way.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (raft, last, timings) = (Arc::clone(raft), Arc::clone(&self.last), self.timings);
        task::spawn(async move {
            let proposed = Instant::now();
            let is_applied = raft.append_noop().await;
            // The no-op itself may be what makes answers late: on a slow disk heartbeats wait behind its flush. So
            // a leader whose no-op outlasted the lease backs off for ten times as long. If heartbeats then are in
            // time, the lease holds without no-ops; if not, it is tried again.
            if proposed.elapsed() >= timings.lease() {
                *last.back_off_until.lock() =
                    Some(Instant::now() + proposed.elapsed() * timings.noop_back_off);
            }
            last.under_way.store(false, Ordering::Release);
            if is_applied {
                last.done.notify_one();
            }
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::consensus::{Consensus, ConsensusConfig, Nothing};
    use crate::storage::OpenOptions;

    #[tokio::test]
    async fn no_noop_is_appended_on_a_full_disk() {
        // What is refused to clients for want of space is not taken by the leader itself; where there is
        // space, it is.
        const SOON: Duration = Duration::from_secs(60);
        for low_water_bytes in [0, u64::MAX] {
            let temp = tempfile::tempdir().unwrap();
            let mut options = OpenOptions::new(1);
            options.log.low_water_bytes = low_water_bytes;
            let dir = DataDir::open(temp.path(), &options).unwrap();
            let config = ConsensusConfig::standalone(1);
            let consensus = Consensus::start(config, &dir, Box::new(Nothing)).await.unwrap();
            consensus.wait_until_leader().await.unwrap();
            let as_full_as_it_should_be = async {
                while dir.disk_full() != (low_water_bytes > 0) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(SOON, as_full_as_it_should_be).await.unwrap();
            let before = dir.log().state().last;
            let raft: Arc<dyn RaftLeader> = Arc::new(consensus.raft.clone());
            let keeper = LeaseKeeper::new(Timings::default(), dir.clone());
            let is_appended = keeper.append_noop(&raft);
            assert_eq!(is_appended, low_water_bytes == 0, "low water at {low_water_bytes}");
            if is_appended {
                timeout(SOON, keeper.last.done.notified()).await.unwrap();
            }
            let grown = dir.log().state().last > before;
            assert_eq!(grown, is_appended);
            consensus.shutdown().await;
        }
    }
}
