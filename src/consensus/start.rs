//! Starting the consensus over a data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handle::{Consensus, PeerSide};
use super::raft::{CheckpointLimits, RaftNode, RaftOptions};
use super::state_machine::StateMachine;
use crate::consensus::bootstrap::{
    Answers, Bootstrap, BootstrapConfig, BootstrapPolicy, RaftControl, RaftNodeControl,
};
use crate::consensus::error::StartError;
use crate::consensus::leadership::check_quorum;
use crate::consensus::leadership::contact::Contact;
use crate::consensus::leadership::fast_failover::FastFailover;
use crate::consensus::leadership::lease_keepalive::LeaseKeeper;
use crate::consensus::leadership::raft_leader::RaftLeader;
use crate::consensus::leadership::timings::Timings;
use crate::consensus::transport::{
    AddressBook, Dialer, EnsembleName, ForwardConn, KnownVersions, LeadershipHandles,
    LocalIdentity, PeerListener, PeerServices, Peers, Secret, Security, Starts,
};
use crate::env::task;
use crate::env::task::block_in_place;
use crate::storage::DataDir;
use crate::storage::Start;
use crate::storage::reconcile;
use crate::tls::PeerTlsOptions;

/// Connections of followers that may wait to be served.
const FORWARDS_WAITING_MAX: usize = 32;

/// Who takes part, and how.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// The number of this server (`myid`).
    pub server: u64,
    /// All servers of the file with their addresses for the consensus (host and port).
    pub servers: BTreeMap<u64, String>,
    /// The numbers of those that vote, in an ensemble that is new.
    pub voters: BTreeSet<u64>,
    /// Whether this server may form an ensemble while it has no data.
    pub policy: BootstrapPolicy,
    /// A random number of this process.
    pub process: u64,
    /// The name of the ensemble, set by the state machine when it learns it.
    pub ensemble: EnsembleName,
    /// Where this server finds the others, before it looks at what the ensemble agreed on.
    pub addresses: AddressBook,
    /// Where peers connect to this server; not needed by an ensemble of one.
    pub listen: Option<SocketAddr>,
    /// How long things may take.
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
    /// TLS between the members; without it, any process that reaches the address can take part.
    pub tls: Option<PeerTlsOptions>,
    /// The file with what the members know and others do not; without it, any process that reaches the address can
    /// take part, unless there is TLS.
    pub secret_file: Option<PathBuf>,
}

impl ConsensusConfig {
    /// Whether the file has other voters than this server.
    fn names_others(&self) -> bool {
        self.voters.iter().any(|voter| *voter != self.server)
    }

    fn raft_options(&self) -> RaftOptions {
        RaftOptions {
            timings: self.timings,
            checkpoint_limits: CheckpointLimits {
                bytes: self.checkpoint_bytes,
                entries: self.checkpoint_entries,
            },
            entries_kept: self.entries_kept,
            elects: !self.names_others(),
            has_peers: self.listen.is_some(),
        }
    }

    /// An ensemble of one.
    pub fn standalone(server: u64) -> Self {
        Self {
            server,
            servers: BTreeMap::from([(server, String::new())]),
            voters: BTreeSet::from([server]),
            policy: BootstrapPolicy::WithAll,
            process: 0,
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
            secret_file: None,
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
    pub async fn start(
        config: ConsensusConfig,
        dir: &DataDir,
        machine: Box<dyn StateMachine>,
    ) -> Result<Self, StartError> {
        check(&config)?;
        check_joined(dir)?;
        block_in_place(|| reconcile(dir.log(), dir.state()))?;
        let member = dir.member();
        let own = introduce(&config, dir)?;
        // A server of its own needs no keys.
        let security = Security::load(config.tls.clone().filter(|_| config.listen.is_some()))?;
        let (forward_to, forwards) = mpsc::channel(FORWARDS_WAITING_MAX);
        let dialer = Dialer::new(own.clone(), config.addresses.clone(), security.clone());
        let dialer = dialer.with_timings(config.timings);
        let listener = listen(&config, own, security, forward_to, dir).await?;
        let contact = Contact::new(member.raft_id());
        let leadership = LeadershipHandles::new(contact.clone(), config.timings);
        let LeadershipHandles { quorum_check, read_index, .. } = leadership.clone();
        let peers = Peers::new(dialer.clone(), leadership);
        let (raft, checkpoints) =
            RaftNode::start(&config.raft_options(), dir, machine, peers).await?;
        let stop = CancellationToken::new();
        let timings = config.timings;
        let leader: Arc<dyn RaftLeader> = Arc::new(raft.clone());
        let checking = check_quorum::run(
            Arc::clone(&leader),
            contact.clone(),
            quorum_check,
            timings,
            stop.clone(),
        );
        task::spawn(checking);
        let failover = FastFailover::new(leader, contact.clone(), timings);
        let book = config.addresses.clone();
        let control = RaftNodeControl::new(raft.clone(), contact.clone(), book, timings);
        let control: Arc<dyn RaftControl> = Arc::new(control);
        let bootstrap = begin(&raft, &config, dir, &*control).await?;
        if let Some(listener) = listener {
            let looking = bootstrap.clone();
            task::spawn(looking.run(Arc::clone(&control), dialer.clone(), stop.clone()));
            let services = PeerServices {
                raft: Arc::new(raft.clone()),
                bootstrap: Arc::new(Answers::new(bootstrap.clone(), control)),
                contact: contact.clone(),
                failover,
            };
            task::spawn(listener.run(services, stop.clone()));
        }
        let forwards = Mutex::new(Some(forwards));
        let lease_keeper = LeaseKeeper::new(timings, dir.clone());
        let process = config.process;
        let peers = PeerSide {
            member,
            process,
            dialer,
            forwards,
            lease_keeper,
            bootstrap,
            contact,
            read_index,
            timings,
        };
        Ok(Self::new(raft, dir.clone(), checkpoints, stop, peers))
    }
}

/// Listens for peers, where the configuration says so.
async fn listen(
    config: &ConsensusConfig,
    own: LocalIdentity,
    security: Security,
    forward_to: mpsc::Sender<ForwardConn>,
    dir: &DataDir,
) -> Result<Option<PeerListener>, StartError> {
    let spool = dir.spool()?;
    let Some(addr) = config.listen else { return Ok(None) };
    let place = (security, config.addresses.clone());
    let bound = PeerListener::bind(addr, own, place, forward_to, spool).await;
    bound.map(Some).map_err(|source| StartError::Listen { addr, source })
}

/// This server as it introduces itself.
fn introduce(config: &ConsensusConfig, dir: &DataDir) -> Result<LocalIdentity, StartError> {
    let (ensemble, versions) = (config.ensemble.clone(), config.versions.clone());
    let start = Start { number: dir.starts(), process: config.process };
    let secret = config.secret_file.as_deref().map_or(Ok(Secret::default()), |file| {
        let of =
            |error| StartError::Config(format!("quorum.secretFile {}: {error}", file.display()));
        Secret::read(file).map_err(of)
    })?;
    let starts = Starts::new(start, dir.known_starts()?, secret);
    Ok(LocalIdentity { member: dir.member(), starts, ensemble, versions })
}

/// Takes up the ensemble where it was left. Where there is none yet, a server on its own begins one;
/// another one looks for it as soon as it listens.
async fn begin(
    raft: &RaftNode,
    config: &ConsensusConfig,
    dir: &DataDir,
    control: &dyn RaftControl,
) -> Result<Bootstrap, StartError> {
    raft.wait_until_started().await.map_err(StartError::Restore)?;
    let (own, view) = (dir.member().raft_id(), control.view());
    let is_empty = view.last_index.is_none();
    if is_empty {
        config.ensemble.begin_empty();
    }
    let bootstrap = Bootstrap::new(BootstrapConfig {
        id: dir.member(),
        servers: config.servers.clone(),
        voters: config.voters.clone(),
        policy: config.policy,
        name: dir.identity().cluster.0,
        ensemble: config.ensemble.clone(),
        book: config.addresses.clone(),
        dir: dir.path().to_path_buf(),
    });
    let bootstrap = bootstrap.map_err(|error| StartError::Restore(error.to_string()))?;
    if config.names_others() {
        // One that was formed on its own has to look for the others first.
        if !view.voters.iter().eq([&own]) || view.agreed {
            control.allow_elections();
        }
    } else if is_empty
        && config.voters.contains(&config.server)
        && config.policy != BootstrapPolicy::Never
    {
        let address = config.servers.get(&config.server).cloned().unwrap_or_default();
        config.ensemble.decide(dir.identity().cluster.0);
        let formed = control.initialize(BTreeMap::from([(own, address)])).await;
        formed.map_err(StartError::Restore)?;
    } else if view.voters.iter().eq([&own]) {
        // Nobody else could win: there is nothing to wait for.
        raft.elect().await.map_err(StartError::Restore)?;
    }
    Ok(bootstrap)
}

fn check(config: &ConsensusConfig) -> Result<(), StartError> {
    let refuse = |what: &str| Err(StartError::Config(what.to_owned()));
    if !config.servers.contains_key(&config.server) && config.listen.is_none() {
        return refuse(&format!(
            "server {} is not one of the members of the ensemble: check `myid` and `server.N`",
            config.server
        ));
    }
    if config.servers.len() > 1 && config.listen.is_none() {
        return refuse("a server of an ensemble needs an address where its peers connect");
    }
    Ok(())
}

/// The file with which earlier builds marked a directory whose data were not complete.
const JOINING: &str = "joining";

fn check_joined(dir: &DataDir) -> Result<(), StartError> {
    if dir.path().join(JOINING).exists() {
        return Err(StartError::Config(format!(
            "the data directory {} was lost before, and an earlier version had not finished to copy the data \
             of the ensemble into it (it has a file `{JOINING}`). Empty it, so that this server joins anew",
            dir.path().display()
        )));
    }
    Ok(())
}
