//! Proof that this server leads, where heartbeats are answered late.
//!
//! openraft gives up a heartbeat when the next one is due. An earlier answer stands for a late one
//! (`transport/heartbeat.rs`). Where that is not enough the lease runs out, however well the ensemble works otherwise, and
//! the leader takes no write any more. Answers to entries are waited for, and count as well. So where nobody writes, an
//! entry without commands does. Reads need none: this server counts the answers for them (`leadership/read_index.rs`).
//! On a full disk there is no such entry: what is left of it is for what was accepted, and another server is to lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use openraft::impls::ProgressResponder;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::consensus::raft::handle::Handle;
use crate::consensus::raft::start::Timings;
use crate::consensus::raft::state_machine::{Machine, StateMachine};
use crate::consensus::raft::types::{Batch, TypeConfig};
use crate::consensus::status::lease_age;
use crate::storage::DataDir;

/// How often it is looked at how many entries were needed, and how many are worth a warning.
const COUNTED_OVER: Duration = Duration::from_secs(60);
const MANY: u32 = 200;

/// After an entry that came too late to prove anything none is written for so many times as long.
const REST: u32 = 10;

/// Writes entries that prove the lead, one at a time. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Proofs {
    heartbeat: Duration,
    /// How long a confirmation lasts, from when was sent what it answers.
    lease: Duration,
    /// Where entries are written.
    dir: DataDir,
    last: Arc<Last>,
}

/// The last entry.
#[derive(Debug, Default)]
struct Last {
    under_way: AtomicBool,
    /// No other is written before that.
    rest: Mutex<Option<Instant>>,
    done: Notify,
}

impl Proofs {
    pub(crate) fn new(timings: Timings, dir: DataDir) -> Self {
        let Timings { heartbeat, election_max: lease, .. } = timings;
        Self { heartbeat, lease, dir, last: Arc::default() }
    }

    /// What a confirmation may take before an entry is written for it.
    fn late(&self) -> Duration {
        self.heartbeat * 3 / 2
    }

    /// Sees to it that a leader whose heartbeats are answered late does not lose its lease, until `stop`.
    pub(crate) async fn keep_up<M: StateMachine>(
        self,
        raft: Raft<TypeConfig, Machine<M>>,
        stop: CancellationToken,
    ) {
        let metrics = raft.metrics();
        let raft: Arc<dyn Handle> = Arc::new(raft);
        let mut looks = interval(self.heartbeat);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut written, mut counted) = (0, Instant::now());
        loop {
            // One after the other: a lease is not much longer than an answer may take.
            tokio::select! {
                _ = looks.tick() => {}
                () = self.last.done.notified() => {}
                () = stop.cancelled() => return,
            }
            let confirmed = lease_age(&metrics.borrow_watched());
            if confirmed.is_some_and(|since| since > self.late()) && self.write(&raft) {
                written += 1;
            }
            if counted.elapsed() >= COUNTED_OVER {
                if written >= MANY {
                    tracing::warn!(
                        "the other servers answer later than within raft.heartbeatMs ({}): entries had to \
                         be written {written} times to keep the lead. It should be longer than the way to \
                         them and back, and raft.electionTimeoutMinMs several times that",
                        self.heartbeat.as_millis()
                    );
                }
                (written, counted) = (0, Instant::now());
            }
        }
    }

    /// Proposes an entry, unless the disk is full, the fate of the last one is open, or it was of no use.
    fn write(&self, raft: &Arc<dyn Handle>) -> bool {
        let rests = self.last.rest.lock().is_some_and(|until| Instant::now() < until);
        if self.dir.disk_full() || rests || self.last.under_way.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (raft, last, lease) = (Arc::clone(raft), Arc::clone(&self.last), self.lease);
        tokio::spawn(async move {
            let proposed = Instant::now();
            let (responder, outcome) = ProgressResponder::complete_only();
            let queued = raft.propose(Batch(Bytes::new()), Some(responder)).await;
            let written = queued.is_ok() && matches!(outcome.await, Ok(Ok(_)));
            // On slow disks heartbeats wait for the flush of an entry: without any they may be in time.
            if proposed.elapsed() >= lease {
                *last.rest.lock() = Some(Instant::now() + proposed.elapsed() * REST);
            }
            last.under_way.store(false, Ordering::Release);
            if written {
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
    use crate::consensus::raft::state_machine::tests::Nothing;
    use crate::consensus::{Consensus, ConsensusConfig};
    use crate::storage::OpenOptions;

    #[tokio::test]
    async fn no_entry_is_written_for_a_proof_on_a_full_disk() {
        // What is refused to clients for want of space is not taken by the leader itself; where there is
        // space, it is.
        const SOON: Duration = Duration::from_secs(60);
        for low_water_bytes in [0, u64::MAX] {
            let temp = tempfile::tempdir().unwrap();
            let mut options = OpenOptions::new(1);
            options.log.low_water_bytes = low_water_bytes;
            let dir = DataDir::open(temp.path(), &options).unwrap();
            let config = ConsensusConfig::standalone(1);
            let consensus = Consensus::start(config, &dir, Nothing).await.unwrap();
            consensus.wait_until_leader().await.unwrap();
            let as_full_as_it_should_be = async {
                while dir.disk_full() != (low_water_bytes > 0) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(SOON, as_full_as_it_should_be).await.unwrap();
            let before = dir.log().state().last;
            let proofs = Proofs::new(Timings::default(), dir.clone());
            let is_written = proofs.write(&consensus.raft);
            assert_eq!(is_written, low_water_bytes == 0, "low water at {low_water_bytes}");
            if is_written {
                timeout(SOON, proofs.last.done.notified()).await.unwrap();
            }
            let grown = dir.log().state().last > before;
            assert_eq!(grown, is_written);
            consensus.shutdown().await;
        }
    }
}
