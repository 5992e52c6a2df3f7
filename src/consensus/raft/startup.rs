//! Starting Raft over a data directory.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use tokio::sync::mpsc;

use super::checkpoints::Checkpoints;
use super::log_store::LogStore;
use super::log_task;
use super::network::RaftNetwork;
use super::node::{Raft, RaftNode};
use super::state_machine_store::{CheckpointLimits, StateMachineStore};
use crate::consensus::error::{Fatal, StartError};
use crate::consensus::leadership::timings::Timings;
use crate::consensus::state_machine::StateMachine;
use crate::consensus::transport::Peers;
use crate::env::task;
use crate::env::task::block_in_place;
use crate::storage::DataDir;

/// How Raft is to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RaftOptions {
    pub(crate) timings: Timings,
    /// How much may be applied before a checkpoint is begun.
    pub(crate) checkpoint_limits: CheckpointLimits,
    /// Entries kept in the log behind a checkpoint.
    pub(crate) entries_kept: u64,
    /// Whether this server asks for votes from the start, when it hears of no leader.
    pub(crate) elects: bool,
    /// Whether entries are sent to peers.
    pub(crate) has_peers: bool,
}

impl RaftNode {
    /// Starts Raft. Entries that are known to be committed are applied before this returns.
    ///
    /// # Errors
    ///
    /// [`StartError::Config`]: timings that cannot work. [`StartError::Storage`], [`StartError::Restore`]: the stored
    /// state and log do not fit together or cannot be applied.
    pub(crate) async fn start(
        options: &RaftOptions,
        dir: &DataDir,
        machine: Box<dyn StateMachine>,
        peers: Peers,
    ) -> Result<(Self, Arc<Checkpoints>), StartError> {
        let restore = |Fatal(what)| StartError::Restore(what);
        // One message for each checkpoint, which are written one at a time and minutes apart: its bound is theirs.
        let (written, checkpoint_written) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), written)?;
        let log_store = LogStore::new(dir.log().clone());
        let limits = options.checkpoint_limits;
        let again_to = dir.log().state().last.map_or(0, |last| last.index);
        let machine =
            StateMachineStore::new(machine, dir, Arc::clone(&checkpoints), limits, again_to);
        let mut machine = machine.map_err(restore)?;
        block_in_place(|| machine.apply_again(&log_store)).map_err(restore)?;
        let raft = Raft::new(
            dir.member().raft_id(),
            Arc::new(raft_config(options)?),
            RaftNetwork(peers),
            log_store,
            machine,
        )
        .await
        .map_err(|error| StartError::Restore(error.to_string()))?;
        log_task::start(dir.log(), &raft, options.has_peers);
        task::spawn(follow_checkpoints(raft.clone(), checkpoint_written));
        Ok((Self::new(raft), checkpoints))
    }
}

/// Tells openraft of each checkpoint that is on disk, so that it purges the log.
async fn follow_checkpoints(raft: Raft, mut written: mpsc::UnboundedReceiver<()>) {
    while written.recv().await.is_some() {
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

fn raft_config(options: &RaftOptions) -> Result<Config, StartError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "grovekeeper".to_owned(),
        heartbeat_interval: millis(options.timings.heartbeat),
        election_timeout_min: millis(options.timings.election_min),
        election_timeout_max: millis(options.timings.election_max),
        // Checkpoints are begun by the bytes applied, see `state_machine_store.rs`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: options.entries_kept,
        // A server that was cut off must not depose a leader when it returns.
        enable_pre_vote: Some(true),
        // A restarted leader might have missed a newer one: it must be elected again.
        enable_leader_restore: Some(false),
        // One that was formed on its own would elect itself before it has looked for the others.
        enable_elect: options.elects,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Config(format!("the Raft timings: {error}")))
}
