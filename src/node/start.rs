//! Starting the parts of a node, each over those before it.

use std::sync::Arc;
use std::time::Duration;

use kernel::replica::Replica;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::apply::Applier;
use super::checkpoint_info::CheckpointInfo;
use super::consensus_config::{PeerAddressError, consensus_config};
use super::core::Core;
use super::entry_stamper::EntryStamper;
use super::ingress::Ingress;
use super::leader::commands::LeaderCommands;
use super::leader::containers::ContainerSettings;
use super::leader::reconfig::ReconfigSettings;
use super::leader::{containers, expiry, reconfig};
use super::peer_status::PeerStatusReports;
use super::read_barrier_task;
use super::serving_task::{ServingSettings, ServingTask};
use crate::config::Config;
use crate::consensus::{
    AddressBook, Consensus, ConsensusConfig, Fatal, Proposer, ProposerOptions, Role, StartError,
    serve_followers,
};
use crate::env::random;
use crate::env::time::timeout;
use crate::failpoints;
use crate::storage::DataDir;

/// How long a leader that stops waits until another leads.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(500);

/// How long a server that is alone waits, before it listens, until it can serve.
const SERVES_WITHIN: Duration = Duration::from_secs(5);

/// Why a node does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The consensus does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its data are not those of the servers that its file names.
    #[error("{0}")]
    Excluded(String),
    /// The server cannot go on.
    #[error("the server cannot go on: {0}")]
    Fatal(#[from] Fatal),
    /// This server's own address among its peers cannot be found.
    #[error(transparent)]
    PeerAddress(#[from] PeerAddressError),
}

/// A server of an ensemble without its client ports: the state, the log, and the tasks that keep them.
///
/// Its parts are made in one order, each over those before it, and no part is filled in later:
///
/// ```text
/// Core ──► Applier ──► Consensus ──► Proposer ──► Ingress, LeaderCommands ──► tasks
/// ```
#[derive(Debug)]
pub struct Node {
    core: Arc<Core>,
    ingress: Arc<Ingress>,
    consensus: Consensus,
}

impl Node {
    /// Starts a node over a data directory and the state of its checkpoint; what the log has behind that is applied
    /// before this returns. Its tasks are among `tasks` and end with `stop`.
    ///
    /// # Errors
    /// [`NodeError`] says what is in the way; the data directory is as it was.
    pub async fn start(
        config: &Config,
        (dir, replica): (&DataDir, Replica),
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Self, NodeError> {
        // Tells this process from all others.
        let boot = random::number();
        let addresses = AddressBook::default();
        if config.ensemble.addresses_from_file || failpoints::own_addresses_only() {
            addresses.own_only();
        }
        let consensus_config = consensus_config(config, &addresses)?;
        let core = Arc::new(Core::new(config, replica, boot, addresses));
        core.snapshots.lock().extend(last_snapshot(dir, &core));
        let consensus_config = ConsensusConfig {
            ensemble: core.ensemble.clone(),
            versions: core.process.versions(),
            process: boot,
            ..consensus_config
        };
        let applier = Box::new(Applier::new(Arc::clone(&core)));
        let consensus = Consensus::start(consensus_config, dir, applier).await?;
        if core.settings.is_alone {
            consensus.wait_until_leader().await?;
        }
        let peer_status = Arc::new(PeerStatusReports::new(Arc::clone(&core)));
        let proposer = Proposer::start(
            &consensus,
            ProposerOptions::default(),
            EntryStamper::new(Arc::clone(&core)),
            peer_status.clone(),
            core.process.progress(),
        );
        serve_followers(&proposer, peer_status);
        let ingress = Ingress::new(config, Arc::clone(&core), &consensus, proposer);
        let node = Self { core, ingress: Arc::new(ingress), consensus };
        // What was counted while the log was read again happened before.
        node.reset_stats();
        node.start_tasks(config, stop, tasks).await;
        Ok(node)
    }

    async fn start_tasks(&self, config: &Config, stop: &CancellationToken, tasks: &TaskTracker) {
        let (core, consensus) = (&self.core, &self.consensus);
        let proposer = self.ingress.proposer();
        let leader = LeaderCommands::new(Arc::clone(core), proposer.clone());
        let reconfig = ReconfigSettings::new(config);
        let serving = ServingTask::new(
            (Arc::clone(core), leader.clone()),
            (consensus.clone(), proposer.clone()),
            reconfig.clone(),
            ServingSettings::new(config),
        );
        if core.settings.is_alone {
            core.begin_leading(consensus.status().term).await;
        }
        tasks.spawn(serving.run(stop.clone()));
        if core.settings.is_alone {
            // Where nothing can be written, words are answered all the same.
            let _ = timeout(SERVES_WITHIN, core.serving.read_write()).await;
        }
        let members = (Arc::clone(core), consensus.clone());
        tasks.spawn(reconfig::run(members, leader.clone(), reconfig, stop.clone()));
        tasks.spawn(read_barrier_task::run(Arc::clone(&self.ingress), stop.clone()));
        let tick_ms = u64::from(config.sessions.tick_time_ms);
        tasks.spawn(expiry::run(Arc::clone(core), leader.clone(), tick_ms, stop.clone()));
        let settings = ContainerSettings::new(config);
        tasks.spawn(containers::run(Arc::clone(core), leader, settings, stop.clone()));
    }

    /// What applying and serving have in common.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Where requests of connections come in.
    pub fn ingress(&self) -> &Arc<Ingress> {
        &self.ingress
    }

    /// The agreement on the log.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// Forgets all counts (`srst`).
    fn reset_stats(&self) {
        reset_stats(&self.core, &self.consensus);
    }

    /// Waits until the node stops by itself, which it does only where it cannot go on.
    pub async fn failed(&self) -> NodeError {
        let mut status = self.consensus.watch_status();
        let stopped = tokio::select! {
            stopped = status.wait_for(|status| status.role == Role::Stopped) => stopped,
            why = self.core.serving.failed() => return NodeError::Fatal(Fatal(why)),
            why = self.consensus.excluded() => return NodeError::Excluded(why),
        };
        let reason = match stopped {
            Ok(status) => status.failure.clone(),
            Err(_) => None,
        };
        NodeError::Fatal(Fatal(reason.unwrap_or_else(|| "the consensus ended".to_owned())))
    }

    /// A leader hands over the lead, so that the others need not miss it.
    pub async fn hand_over(&self) {
        if self.core.settings.is_alone {
            return;
        }
        let mut status = self.consensus.watch_status();
        self.consensus.begin_next_term().await;
        let deposed = status.wait_for(|status| !status.is_leader());
        let _ = timeout(HAND_OVER_WITHIN, deposed).await;
    }

    /// Stops taking part. To be called when the tasks have ended and no connection is open.
    pub async fn shutdown(&self) {
        self.consensus.shutdown().await;
    }
}

/// Forgets all counts (`srst`).
pub fn reset_stats(core: &Core, consensus: &Consensus) {
    core.stats.reset();
    let dir = consensus.data_dir();
    dir.log().flush_us().reset();
    dir.state().checkpoint_us().reset();
}

/// The checkpoint that a server starts with.
fn last_snapshot(dir: &DataDir, core: &Core) -> Option<CheckpointInfo> {
    let replica = core.replica.read_blocking();
    dir.state().mark().position.map(|position| CheckpointInfo {
        index: position.index,
        zxid: replica.last_zxid(),
        // When it was written is not kept; its last write is the nearest there is.
        time_ms: replica.last_wall_time().0,
    })
}
