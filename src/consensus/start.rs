//! Starting the consensus over a data directory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{BasicNode, Config, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checkpoints::Checkpoints;
use super::error::{Fatal, StartError};
use super::formation::{Formation, Verdict};
use super::handle::{Consensus, PeerSide};
use super::hearing::{self, Hearing};
use super::log_store::LogStore;
use super::log_task;
use super::network::{
    AddressBook, Dialer, EnsembleName, KnownVersions, Own, PeerListener, Peers, Security, Witness,
};
use super::proof::Proofs;
use super::read_index::ReadIndex;
use super::state_machine::{CheckpointLimits, Machine, StateMachine, in_place};
use super::succession::Succession;
use super::typ::TypeConfig;
use crate::storage::{DataDir, StorageError};
use crate::tls::PeerTlsOptions;

/// Connections of followers that may wait to be served.
const FORWARDS_WAITING_MAX: usize = 32;

/// The clocks of the consensus. Apart from ZooKeeper's `tickTime`, which times sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often a leader tells that it is there.
    pub heartbeat: Duration,
    /// A follower that hears nothing grants its vote to another after `election_max`, and asks for
    /// votes itself when a time has passed on top that is drawn anew each time, from this one...
    pub election_min: Duration,
    /// ... up to this one, so that two rarely ask at once.
    pub election_max: Duration,
}

impl Timings {
    /// Time enough for so many packets there and back, and at least `usual`. A leader could not keep its lease if
    /// one took longer than `election_max`, so these timings are raised where servers are far apart.
    pub(super) fn for_round_trips(&self, count: u32, usual: Duration) -> Duration {
        usual.max(self.election_max * count)
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(40),
            election_min: Duration::from_millis(100),
            election_max: Duration::from_millis(200),
        }
    }
}

/// Who takes part, and how.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// The number of this server (`myid`).
    pub server: u64,
    /// All voters with their addresses for the consensus (host and port); used only to form a new
    /// ensemble.
    pub members: BTreeMap<u64, String>,
    /// The name of the ensemble, set by the state machine when it learns it.
    pub ensemble: EnsembleName,
    /// Where this server finds the others, before it looks at what the ensemble agreed on.
    pub addresses: AddressBook,
    /// Where peers connect to this server; not needed by an ensemble of one.
    pub listen: Option<SocketAddr>,
    /// The clocks.
    pub timings: Timings,
    /// A checkpoint is begun when this many log bytes were applied since the last one. Bounds the
    /// log that a restart replays.
    pub checkpoint_bytes: u64,
    /// Likewise when this many entries were applied (`snapCount`).
    pub checkpoint_entries: u64,
    /// Entries kept in the log behind a checkpoint, so that a server that is a little behind can
    /// be brought up with entries instead of the whole state.
    pub entries_kept: u64,
    /// The versions that this software talks, and those of the others as they become known.
    pub versions: KnownVersions,
    /// TLS between the members; without it, whoever reaches the address can take part.
    pub tls: Option<PeerTlsOptions>,
}

impl ConsensusConfig {
    /// An ensemble of one.
    pub fn standalone(server: u64) -> Self {
        Self {
            server,
            members: BTreeMap::from([(server, String::new())]),
            ensemble: EnsembleName::default(),
            addresses: AddressBook::default(),
            listen: None,
            timings: Timings::default(),
            checkpoint_bytes: 64 << 20,
            checkpoint_entries: 100_000,
            // Nobody else could need them.
            entries_kept: 0,
            versions: KnownVersions::default(),
            tls: None,
        }
    }
}

impl Consensus {
    /// Starts the consensus. The state machine must hold the rows of the directory's checkpoint;
    /// entries behind it that are known to be committed are applied before this returns, the
    /// others when a leader is found (an ensemble of one leads at once).
    ///
    /// # Errors
    ///
    /// [`StartError::Config`]: this server is not one of the members, or peers have nowhere to
    /// connect. [`StartError::Listen`]: the address for them is taken.
    /// [`StartError::Tls`]: keys or certificates cannot be used. [`StartError::Storage`],
    /// [`StartError::Restore`]: the stored state and log do not fit together or cannot be applied.
    pub async fn start<M: StateMachine>(
        config: ConsensusConfig,
        dir: &DataDir,
        machine: M,
    ) -> Result<Self, StartError> {
        check(&config)?;
        check_stored(dir)?;
        let (ensemble, versions) = (config.ensemble.clone(), config.versions.clone());
        let own = Own { server: config.server, ensemble, versions };
        let spool = dir.spool()?;
        // A server of its own needs no keys.
        let security = Security::load(config.tls.clone().filter(|_| config.listen.is_some()))?;
        let book = config.addresses.clone();
        let (forward_to, forwards) = mpsc::channel(FORWARDS_WAITING_MAX);
        let dialer = Dialer::new(own.clone(), book.clone(), security.clone());
        let dialer = dialer.with_timings(config.timings);
        let listener = match config.listen {
            Some(addr) => Some(
                PeerListener::bind(addr, own, (security, book), Some(forward_to), spool)
                    .await
                    .map_err(|source| StartError::Listen { addr, source })?,
            ),
            None => None,
        };
        let (written, checkpoint_written) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), written)?;
        let log_store = LogStore::new(dir.log().clone());
        let mut machine = Machine::new(
            machine,
            dir.state().clone(),
            Arc::clone(&checkpoints),
            CheckpointLimits { bytes: config.checkpoint_bytes, entries: config.checkpoint_entries },
            dir.log().state().last.map_or(0, |last| last.index),
        )
        .map_err(|Fatal(what)| StartError::Restore(what))?;
        in_place(|| machine.apply_again(&log_store))
            .map_err(|Fatal(what)| StartError::Restore(what))?;
        let reads = ReadIndex::new(config.server, config.timings);
        let witness = Witness { hearing: Hearing::default(), reads: reads.clone() };
        let hearing = witness.hearing.clone();
        let raft = Raft::<TypeConfig, Machine<M>>::new(
            config.server,
            Arc::new(raft_config(&config)?),
            Peers::new(dialer.clone(), witness),
            log_store,
            machine,
        )
        .await
        .map_err(|error| StartError::Restore(error.to_string()))?;
        log_task::start(dir.log(), &raft, config.listen.is_some());
        let stop = CancellationToken::new();
        let (own, timings) = (config.server, config.timings);
        tokio::spawn(hearing::run(raft.clone(), own, hearing, timings, stop.clone()));
        let formation = begin(&raft, &config, dir, &dialer, &stop).await?;
        if let Some(listener) = listener {
            let succession = Succession::new(own, timings);
            tokio::spawn(listener.run(raft.clone(), formation, succession, stop.clone()));
        }
        let forwards = Mutex::new(Some(forwards));
        let proofs = Proofs::new(timings);
        let peers = PeerSide { server: own, dialer, forwards, proofs, reads, timings };
        Ok(Self::new(raft, dir.clone(), checkpoints, checkpoint_written, stop, peers))
    }
}

/// Takes up the ensemble where it was left, or sees to it that one is formed.
async fn begin<M: StateMachine>(
    raft: &Raft<TypeConfig, Machine<M>>,
    config: &ConsensusConfig,
    dir: &DataDir,
    dialer: &Dialer,
    stop: &CancellationToken,
) -> Result<Arc<Formation>, StartError> {
    let voters = config.members.keys().copied().collect();
    let formation = Formation::new(config.server, voters, dir);
    let formation = Arc::new(formation);
    let restore = |error: &dyn std::fmt::Display| StartError::Restore(error.to_string());
    let members: BTreeMap<u64, BasicNode> =
        config.members.iter().map(|(id, address)| (*id, BasicNode::new(address))).collect();
    if raft.is_initialized().await.map_err(|error| restore(&error))? {
        let membership = raft.metrics().borrow_watched().membership_config.clone();
        if membership.membership().voter_ids().eq([config.server]) {
            // Nobody else could win: there is nothing to wait for.
            raft.trigger().elect(false).await.map_err(|error| restore(&error))?;
        }
    } else if config.members.len() == 1 && members.contains_key(&config.server) {
        raft.initialize(members).await.map_err(|error| restore(&error))?;
    } else {
        let (raft, dialer) = (raft.clone(), dialer.clone());
        formation.undecided();
        let (formation, stop, server) = (Arc::clone(&formation), stop.clone(), config.server);
        tokio::spawn(async move {
            tokio::select! {
                () = form(&raft, &formation, &dialer, server, members) => {}
                () = stop.cancelled() => {}
            }
        });
    }
    Ok(formation)
}

async fn form<M: StateMachine>(
    raft: &Raft<TypeConfig, Machine<M>>,
    formation: &Formation,
    dialer: &Dialer,
    server: u64,
    members: BTreeMap<u64, BasicNode>,
) {
    let others = members.iter().filter(|(id, _)| **id != server);
    let others: Vec<(u64, String)> = others.map(|(id, node)| (*id, node.addr.clone())).collect();
    match formation.decide(dialer, &others).await {
        Verdict::Form => {
            formation.form();
            // Refused where another server was faster: that is as good.
            if let Err(error) = raft.initialize(members).await {
                tracing::debug!(%error, "no ensemble is formed by this server");
            }
        }
        Verdict::Join => {
            tracing::info!("there is an ensemble: this server waits to be brought up to date");
            if let Err(error) = formation.join() {
                tracing::warn!("cannot note that this server has to catch up: {error}");
            }
        }
        Verdict::Wait => {}
    }
}

fn check(config: &ConsensusConfig) -> Result<(), StartError> {
    let refuse = |what: &str| Err(StartError::Config(what.to_owned()));
    if !config.members.contains_key(&config.server) && config.listen.is_none() {
        return refuse(&format!(
            "server {} is not one of the members of the ensemble: check `myid` and `server.N`",
            config.server
        ));
    }
    if config.members.len() > 1 && config.listen.is_none() {
        return refuse("a server of an ensemble needs an address where its peers connect");
    }
    Ok(())
}

/// The checkpoint and the log must meet: a gap means that one of them was replaced or rolled back.
fn check_stored(dir: &DataDir) -> Result<(), StartError> {
    let applied = dir.state().mark().position;
    if applied.is_some() && dir.log().vote().is_none() {
        let what = "there is a checkpoint, but the log is new: the directory `log` was lost";
        return Err(StorageError::corrupt(&dir.path().join("log"), 0, what).into());
    }
    let purged = dir.log().state().purged;
    if purged <= applied {
        return Ok(());
    }
    let name = |position: Option<crate::storage::LogPosition>| {
        position.map_or_else(|| "the beginning".to_owned(), |position| position.to_string())
    };
    let what = format!(
        "the checkpoint stands at {}, but the log begins behind {}: entries in between are \
         missing. The two files are not of one moment",
        name(applied),
        name(purged)
    );
    Err(StorageError::corrupt(&dir.path().join("state.redb"), 0, what).into())
}

fn raft_config(config: &ConsensusConfig) -> Result<Config, StartError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let raft = Config {
        cluster_name: "grovekeeper".to_owned(),
        heartbeat_interval: millis(config.timings.heartbeat),
        election_timeout_min: millis(config.timings.election_min),
        election_timeout_max: millis(config.timings.election_max),
        // Checkpoints are begun by the bytes applied, see `state_machine.rs`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.entries_kept,
        // A server that was cut off must not depose a leader when it returns.
        enable_pre_vote: Some(true),
        // A restarted leader might have missed a newer one: it must be elected again.
        enable_leader_restore: Some(false),
        // A server that lost its disk begins anew under its id, and votes only when it has caught up
        // (`Formation`): the leader goes back with it instead of taking that for a broken promise.
        allow_log_reversion: Some(true),
        ..Config::default()
    };
    raft.validate().map_err(|error| StartError::Config(format!("the Raft timings: {error}")))
}
