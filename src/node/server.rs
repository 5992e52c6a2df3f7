//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::apply::{Applier, restore};
use super::consensus_config::consensus_config;
use super::core::Shared;
use super::digest_log::SnapshotInfo;
use super::entry_stamper::EntryStamper;
use super::error::ServeError;
use super::leader::{containers, expiry, reconfig};
use super::peer_status::PeerStatusReports;
use super::read_barriers;
use super::serving_task::ServingTask;
use super::settings::settings;
use crate::admin;
use crate::admin::http::Surfaces;
use crate::config::{ClientsConfig, Config};
use crate::consensus::{
    AddressBook, Consensus, ConsensusConfig, Fatal, Proposer, ProposerOptions, Role,
};
use crate::env::random;
use crate::failpoints;
use crate::net::Listener;
use crate::storage::{DataDir, OpenOptions, StorageError};

/// How long a leader that stops waits until another leads.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(500);

/// How long a server that is alone waits, before it listens, until it can serve.
const SERVES_WITHIN: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    consensus: Consensus,
    admin_addr: Option<SocketAddr>,
    prometheus_addr: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Opens the data directory, brings the state up to date, and serves clients.
    ///
    /// # Errors
    /// [`ServeError`] says what is in the way; the data directory is as it was.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let server = config.ensemble.number();
        let data_dir = config.data.dir.clone();
        let dir = open_data_dir(&config, server)?;
        let replica = restore(&mut dir.state().reader()?.rows_ahead()?, nodes_in_log(&dir))?
            .map_err(|reason| ServeError::Restore { path: data_dir, reason })?;
        let listeners = Listener::bind(&config.clients)?;
        let surfaces = Surfaces::bind(&config).await?;
        let (admin_addr, prometheus_addr) = (surfaces.admin_addr(), surfaces.prometheus_addr());
        // From here on the address in use counts, which has a port where the file says 0.
        let mut config = config;
        use_addresses(&mut config.clients, &listeners);
        // Tells this process from all others.
        let boot = random::number();
        let addresses = AddressBook::default();
        if config.ensemble.addresses_from_file || failpoints::own_addresses_only() {
            addresses.own_only();
        }
        let consensus_config = consensus_config(&config, &addresses)?;
        let settings = settings(&config);
        let is_alone = settings.is_alone;
        let stored = dir.state().mark().position.map(|position| SnapshotInfo {
            index: position.index,
            zxid: replica.last_zxid(),
            // When it was written is not kept; its last write is the nearest there is.
            time_ms: replica.last_wall_time().0,
        });
        let shared = Arc::new(Shared::new(config, settings, replica, boot, addresses));
        shared.checkpoints.lock().extend(stored);
        shared.learn_name(&shared.replica.read_blocking());
        shared.learn_members(&shared.members());
        shared.learn_process(&shared.replica.read_blocking());
        let machine = Applier::new(Arc::clone(&shared));
        let ensemble = shared.ensemble.clone();
        let (versions, process) = (shared.versions.clone(), boot);
        let consensus_config = ConsensusConfig { ensemble, versions, process, ..consensus_config };
        let consensus = Consensus::start(consensus_config, &dir, Box::new(machine)).await?;
        if is_alone {
            consensus.wait_until_leader().await?;
        }
        let options = ProposerOptions::default();
        let (commands, liaison) =
            (EntryStamper::new(Arc::clone(&shared)), PeerStatusReports::new(Arc::clone(&shared)));
        let progress = shared.progress.clone();
        let proposer = Proposer::start(&consensus, options, commands, Arc::new(liaison), progress);
        shared.start_with(consensus.clone(), proposer.clone());
        // What was counted while the log was read again happened before.
        admin::reading::reset(&shared);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let presence = ServingTask::new(Arc::clone(&shared), consensus.clone(), proposer.clone());
        if is_alone {
            shared.begin_leading(consensus.status().term).await;
        }
        tasks.spawn(presence.run(stop.clone()));
        if is_alone {
            // Where nothing can be written, words are answered all the same.
            let _ = tokio::time::timeout(SERVES_WITHIN, shared.serves()).await;
        }
        tasks.spawn(reconfig::run(Arc::clone(&shared), consensus.clone(), stop.clone()));
        tasks.spawn(read_barriers::run(Arc::clone(&shared), proposer, stop.clone()));
        tasks.spawn(expiry::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(containers::run(Arc::clone(&shared), stop.clone()));
        surfaces.run(&shared, &stop, &tasks);
        for listener in listeners {
            tasks.spawn(listener.run(Arc::clone(&shared), stop.clone(), tasks.clone()));
        }
        Ok(Self { shared, consensus, admin_addr, prometheus_addr, stop, tasks })
    }

    /// Where clients connect; those with TLS where no others are served.
    pub fn client_addr(&self) -> SocketAddr {
        self.shared.config.clients.addr
    }

    /// Where clients with TLS connect, if they have a port of their own.
    pub fn secure_addr(&self) -> Option<SocketAddr> {
        self.shared.config.clients.secure.as_ref().and_then(|secure| secure.addr)
    }

    /// Where the administration server listens, if it does.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Where Prometheus finds `/metrics`, if anywhere.
    pub fn prometheus_addr(&self) -> Option<SocketAddr> {
        self.prometheus_addr
    }

    /// What the server's tasks look at.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until the server stops by itself, which it does only where it cannot go on.
    pub async fn failed(&self) -> ServeError {
        let mut status = self.consensus.watch_status();
        let stopped = tokio::select! {
            stopped = status.wait_for(|status| status.role == Role::Stopped) => stopped,
            why = self.shared.failed() => return ServeError::Fatal(Fatal(why)),
            why = self.consensus.excluded() => return ServeError::Excluded(why),
        };
        let reason = match stopped {
            Ok(status) => status.failure.clone(),
            Err(_) => None,
        };
        ServeError::Fatal(Fatal(reason.unwrap_or_else(|| "the consensus ended".to_owned())))
    }

    /// Closes all connections and stops. Sessions stay; their clients find them after a restart, or at
    /// another server. A leader hands over the lead first, so that the others need not miss it.
    pub async fn stop(self) {
        if !self.shared.settings.is_alone {
            let mut status = self.consensus.watch_status();
            self.consensus.begin_next_term().await;
            let deposed = status.wait_for(|status| !status.is_leader());
            let _ = tokio::time::timeout(HAND_OVER_WITHIN, deposed).await;
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.consensus.shutdown().await;
    }
}

/// Puts the addresses in use into the configuration.
fn use_addresses(clients: &mut ClientsConfig, listeners: &[Listener]) {
    for listener in listeners {
        let addr = listener.local_addr();
        if let Some(secure) = clients.secure.as_mut().filter(|_| listener.is_secure()) {
            secure.addr = Some(addr);
        }
        if !listener.is_secure() || !clients.plain {
            clients.addr = addr;
        }
    }
}

fn open_data_dir(config: &Config, server: u64) -> Result<DataDir, StorageError> {
    let data = &config.data;
    if !data.create_dirs {
        for dir in [&data.dir, &data.log_dir] {
            let action = "find, while datadir.autocreate is false, the directory";
            std::fs::metadata(dir).map_err(StorageError::io(action, dir))?;
        }
    }
    let mut options = OpenOptions::new(server);
    // Earlier builds took server 0 for one without a number.
    options.formerly = (!config.ensemble.is_distributed() && server == 0).then_some(1);
    options.log_dir = Some(data.log_dir.clone());
    options.log.slow_flush = Duration::from_millis(data.slow_fsync_warning_ms);
    DataDir::open(&data.dir, &options)
}

/// Bytes of the log that make one node, about: more room is made than is needed where nodes are larger,
/// or where the log has other writes, and less where they are smaller.
const LOG_BYTES_PER_NODE: u64 = 192;
/// Room for more nodes than this is not made in advance: at five bytes each, 10 MB.
const NODES_IN_LOG_MAX: u64 = 2 << 20;

/// How many nodes the log may add to those of the checkpoint. A table that has room for them need not grow,
/// which would look at every node of it again.
fn nodes_in_log(dir: &DataDir) -> usize {
    let bytes = dir.log().bytes_after(dir.state().mark().position);
    usize::try_from((bytes / LOG_BYTES_PER_NODE).min(NODES_IN_LOG_MAX)).unwrap_or(0)
}
