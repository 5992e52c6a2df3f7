//! What applying entries and serving connections have in common.

use std::net::SocketAddr;
use std::sync::Arc;

use kernel::conn::{CloseReason, Conn, Refusal, Settings, Surroundings, View};
use kernel::replica::{Members, Replica};
use kernel::session::ConnId;
use kernel::watch::WatchTable;
use parking_lot::Mutex;

use super::checkpoint_info::RecentCheckpoints;
use super::clock::Clock;
use super::connections::{ConnectionHandle, ConnectionRegistry};
use super::digest_log::DigestLog;
use super::ensemble_time::EnsembleTime;
use super::leader_duties::LeaderDuties;
use super::membership::Membership;
use super::process::LocalProcess;
use super::replica_lock::ReplicaLock;
use super::serving::{ServingMode, ServingState};
use super::settings::settings;
use crate::config::Config;
use crate::consensus::{AddressBook, EnsembleName, ProposeError};
use crate::env::net::OwnedWriteHalf;
use crate::env::task::yield_now;
use crate::storage::ClusterId;
use crate::telemetry::ServerStats;

/// Watches that are removed before other tasks get a turn.
const WATCHES_AT_ONCE: usize = 1000;

/// The parts of a server that need neither a log nor a socket: its state, its open connections, and what applying tells
/// the rest. A test makes one without a server.
///
/// Each part guards what it holds; there is nothing here that could contradict them. Lock order, for who needs more
/// than one: the replica, then a connection or the leader's duties, then the proposer's buffer. The other parts lock
/// for a single read or change. No lock is held across an await.
#[derive(Debug)]
pub struct Core {
    /// What connections live by.
    pub settings: Settings,
    /// The state: reads share the lock, applying has it alone.
    pub replica: ReplicaLock,
    /// The watches, also without that lock.
    pub watches: Arc<WatchTable>,
    /// The open connections.
    pub connections: ConnectionRegistry,
    /// What is counted.
    pub stats: ServerStats,
    /// The clocks.
    pub clock: Clock,
    /// Digests of the tree at some of the last writes (`hash`).
    pub digests: Mutex<DigestLog>,
    /// The last checkpoints (`last_snapshot`).
    pub snapshots: Mutex<RecentCheckpoints>,
    /// Whether clients are served.
    pub serving: ServingState,
    /// Whether this server has the duties of a leader.
    pub leader_duties: LeaderDuties,
    /// Who belongs to the ensemble.
    pub membership: Membership,
    /// This process, as the ensemble knows it.
    pub process: LocalProcess,
    /// The times of the ensemble.
    pub(super) time: EnsembleTime,
    /// The name of the ensemble.
    pub(super) ensemble: EnsembleName,
}

impl Core {
    /// A server with this state, which serves nobody yet. `boot` is a random number that tells its process from others;
    /// `addresses` is where it finds the other servers.
    pub(super) fn new(
        config: &Config,
        replica: Replica,
        boot: u64,
        addresses: AddressBook,
    ) -> Self {
        let clock = Clock::start();
        let server = config.ensemble.number();
        let core = Self {
            settings: settings(config),
            watches: Arc::clone(replica.watches()),
            connections: ConnectionRegistry::default(),
            stats: ServerStats::default(),
            digests: Mutex::default(),
            snapshots: Mutex::default(),
            serving: ServingState::new(config),
            leader_duties: LeaderDuties::new(u64::from(config.sessions.tick_time_ms)),
            membership: Membership::new(&config.ensemble, replica.members().clone(), addresses),
            process: LocalProcess::new(server, boot, replica.version(), clock.wall_ms()),
            time: EnsembleTime::new(replica.last_wall_time().0),
            ensemble: EnsembleName::default(),
            clock,
            replica: ReplicaLock::new(replica),
        };
        core.learn_all(&core.replica.read_blocking());
        core
    }

    fn learn_all(&self, replica: &Replica) {
        self.learn_name(replica);
        self.learn_members(replica.members());
        self.process.learn(replica);
    }

    /// Takes the name of the ensemble from the replicated state.
    pub(super) fn learn_name(&self, replica: &Replica) {
        if let Some(name) = replica.ensemble() {
            self.ensemble.set(ClusterId(name));
        }
    }

    /// Takes who belongs to the ensemble from the replicated state. A server that was removed by it serves nobody.
    pub(super) fn learn_members(&self, members: &Members) {
        if self.membership.learn(members) {
            self.serving.stop();
        }
    }

    /// Takes up the duties of the leader of this term.
    pub(super) async fn begin_leading(&self, term: u64) {
        let replica = self.replica.read().await;
        self.leader_duties.begin(term, &replica, &self.time, self.clock.now_us());
    }

    /// How long the ensemble has had leaders, as this server measures it, in milliseconds.
    pub(super) fn elapsed_ms(&self) -> u64 {
        self.time.elapsed_ms(self.clock.now_us())
    }

    /// What connections always need to know.
    pub(super) fn around(&self) -> Surroundings<'_> {
        let now_us = self.clock.now_us();
        let read_only = self.serving.mode() == ServingMode::ReadOnly;
        Surroundings { settings: &self.settings, stats: &self.stats.conns, now_us, read_only }
    }

    /// What a connection looks at under the lock of the replica.
    pub fn view<'a>(&'a self, replica: &'a Replica) -> View<'a> {
        View { replica, around: self.around(), at_length: false }
    }

    /// Whether clients are served at all.
    pub fn is_serving(&self) -> bool {
        self.serving.may_answer(self.clock.now_us())
    }

    /// Whether the outcome of a command is for a connection of this process, open or closed, that was not told already
    /// that none will come.
    pub(super) fn awaits_outcome(&self, conn: ConnId) -> bool {
        self.process.owns(conn) && !self.connections.is_abandoned(conn.number)
    }

    /// The connection of this process with that id, while it is open.
    pub(super) fn local_connection(&self, conn: ConnId) -> Option<Arc<ConnectionHandle>> {
        self.process.owns(conn).then(|| self.connections.get(conn.number)).flatten()
    }

    /// All connections of now were closed: outcomes of what they sent count for nothing any more. Under the exclusive
    /// lock of the replica, so that none of them sends anything after that.
    pub(super) fn abandon_outcomes(&self) {
        self.connections.abandon_outcomes();
        self.stats.conns.settle_writes();
    }

    /// Closes all connections.
    pub(super) fn close_all(&self, reason: &CloseReason) {
        for handle in self.connections.all() {
            handle.close(reason.clone());
        }
    }

    /// Takes in a client that connected from there; `prepare` changes its connection before anybody else sees it. Bytes
    /// can be written to `outlet` as they are.
    pub fn connect(
        &self,
        peer: SocketAddr,
        outlet: Option<Arc<OwnedWriteHalf>>,
        prepare: impl FnOnce(&mut Conn),
    ) -> Arc<ConnectionHandle> {
        let now_us = self.clock.now_us();
        let id = self.process.conn_id(self.connections.next_number());
        let mut conn = Conn::new(id, peer, now_us);
        prepare(&mut conn);
        self.connections.insert(conn, now_us, outlet)
    }

    /// A connection is gone: its watches go, its session stays.
    pub async fn disconnect(&self, handle: &ConnectionHandle, reason: CloseReason) {
        self.stats.count_close(reason.kind());
        let (id, session) = {
            let mut conn = handle.conn.lock();
            conn.close(reason);
            (conn.id(), conn.session())
        };
        let heard_us = self.connections.remove(id.number, handle, session);
        self.leader_duties.touch(heard_us / 1000, session);
        // A closed connection adds none meanwhile.
        while self.watches.remove_watcher(id.number, WATCHES_AT_ONCE) {
            yield_now().await;
        }
    }

    /// The refusal for a write that the proposer did not take.
    pub(super) fn refusal(&self, error: &ProposeError) -> Refusal {
        match error {
            ProposeError::DiskFull => {
                self.stats.refused_disk_full.increment();
                Refusal::DiskFull
            }
            ProposeError::NotLeader { .. } | ProposeError::Unavailable | ProposeError::Stopped => {
                Refusal::Unavailable
            }
        }
    }
}
