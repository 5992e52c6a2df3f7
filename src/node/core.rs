//! What all tasks of a server look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kernel::conn::{CloseReason, Settings, Surroundings, View};
use kernel::replica::{Members, Registration, Replica, VERSION_ONCE};
use kernel::session::{ConnId, ConnectionThrottle, Expiry, SessionIds};
use kernel::time::SessionTime;
use kernel::watch::WatchTable;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::clock::Clock;
use super::connections::{ConnectionHandle, ConnectionRegistry};
use super::consensus_config::{ClientAddresses, client_addresses};
use super::descriptors::Descriptors;
use super::digest_log::{DigestLog, RecentSnapshots};
use super::elapsed::Elapsed;
use super::large_requests::LargeRequests;
use super::long_requests::LongRequests;
use super::read_barriers::ReadBarriers;
use super::recent_disconnects::RecentDisconnects;
use super::replica_lock::ReplicaLock;
use super::serving::{self, ServingMode};
use super::settings::connection_throttle;
use crate::config::Config;
use crate::consensus::{
    AddressBook, Consensus, EnsembleName, KnownVersions, ProcessState, Progress, Proposer,
    SectionNumber,
};
use crate::failpoints;
use crate::storage::ClusterId;
use crate::telemetry::ServerStats;

/// A new term begins when the counter of its zxids has come this far: the rest, a hundred million, is
/// for what is applied until then.
const ZXID_COUNTER_MAX: u32 = u32::MAX - 100_000_000;

/// Watches that go before other tasks have their turn.
const WATCHES_AT_ONCE: usize = 1000;

/// ZooKeeper's default of what `gtmk` answers.
const TRACE_MASK_DEFAULT: i64 = 306;

/// What all tasks of a server look at.
#[derive(Debug)]
pub struct Shared {
    /// The configuration as it was read.
    pub config: Config,
    /// The part of it that connections live by.
    pub settings: Settings,
    /// The state: reads share the lock, applying has it alone.
    pub replica: ReplicaLock,
    /// The watches, also without that lock.
    pub watches: Arc<WatchTable>,
    /// Who belongs to the ensemble, as of the last change.
    members: Mutex<Arc<Members>>,
    /// The open connections.
    pub connections: ConnectionRegistry,
    /// How many there may be.
    pub descriptors: Descriptors,
    /// What is counted.
    pub stats: ServerStats,
    /// The clocks.
    pub clock: Clock,
    /// The deadlines of the sessions, kept by the leader.
    pub expiry: Mutex<Expiry>,
    /// What the next reports to the leader say of clients that are gone.
    pub(super) recent_disconnects: RecentDisconnects,
    /// When each follower last reported, in milliseconds of the server's clock.
    pub(super) reports: Mutex<BTreeMap<u64, u64>>,
    /// The name of the ensemble.
    pub(super) ensemble: EnsembleName,
    pub(super) read_barriers: ReadBarriers,
    /// Where the other servers are.
    addresses: AddressBook,
    /// Where clients reach them.
    pub(super) client_addresses: Mutex<ClientAddresses>,
    /// Whether this server belongs to its ensemble.
    is_member: AtomicBool,
    /// The numbers of the servers that are to vote: those of the configuration, or of the file.
    pub(super) named_voters: Mutex<BTreeSet<u64>>,
    /// Whether this server leads, but fewer than a majority of those have their vote yet: nothing ends for want
    /// of clients that could not come.
    pub(super) awaits_members: AtomicBool,
    /// Signalled when the members of the ensemble changed, or are to.
    pub(super) members_changed: Notify,
    /// The term in which this server has the duties of a leader; 0 for none. Changes under the lock of
    /// `expiry`.
    pub(super) leading: AtomicU64,
    /// Since when, in microseconds of the server's clock.
    pub(super) leading_since_us: AtomicU64,
    pub(super) leading_since_ms: AtomicU64,
    pub(super) service: AtomicU8,
    /// Clients get everything from now on.
    pub(super) serves: Notify,
    /// This process was registered, or another version is in force.
    pub(super) process_changed: Notify,
    /// When there was contact to a majority last, in microseconds of the server's clock.
    pub(super) contact_us: AtomicU64,
    /// The wall time of the last applied entry, in milliseconds.
    pub(super) last_time_ms: AtomicI64,
    pub(super) elapsed: Elapsed,
    /// The version in force, as applied here.
    pub(super) version: AtomicU16,
    /// What applying has shown of the sections of this process.
    pub(super) progress: Progress,
    /// What peers are greeted with.
    pub(super) versions: KnownVersions,
    pub(super) failure: watch::Sender<Option<String>>,
    /// Connections with this number and those before it were closed without waiting for the outcome of what they
    /// sent.
    abandoned_up_to: AtomicU64,
    pub(super) zxid_counter_max: u32,
    /// Digests of the tree at some of the last writes (`hash`).
    pub digests: Mutex<DigestLog>,
    /// The last checkpoints (`last_snapshot`).
    pub checkpoints: Mutex<RecentSnapshots>,
    /// The number that `gtmk` and `stmk` exchange. It selects nothing: what is logged is chosen with
    /// `--log`.
    pub trace_mask: AtomicI64,
    pub(super) session_ids: Mutex<SessionIds>,
    /// How fast connections may come, where that is limited.
    pub(super) throttle: Option<Mutex<ConnectionThrottle>>,
    /// Bytes of large requests that are not answered yet.
    pub large_requests: LargeRequests,
    /// The turns at requests that take long.
    pub long_requests: LongRequests,
    pub(super) engine: OnceLock<Engine>,
    pub(super) server: u64,
    boot: u64,
}

/// The way into the log, there once the server has started.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) consensus: Consensus,
    pub(super) proposer: Proposer,
}

/// The servers that vote as the file has them; a server on its own is the only one.
fn named_voters(config: &Config) -> BTreeSet<u64> {
    if !config.ensemble.is_distributed() {
        return BTreeSet::from([config.ensemble.number()]);
    }
    let servers = config.ensemble.servers.iter();
    servers.filter(|server| server.votes()).map(|server| server.id).collect()
}

impl Shared {
    /// A server with this state that has not started yet; `boot` is a random number.
    pub(super) fn new(
        config: Config,
        settings: Settings,
        replica: Replica,
        boot: u64,
        addresses: AddressBook,
    ) -> Self {
        let clock = Clock::start();
        let server = config.ensemble.number();
        let session_ids = Mutex::new(SessionIds::new(server, clock.wall_ms()));
        let expiry = Mutex::new(Expiry::new(u64::from(config.sessions.tick_time_ms)));
        let throttle = connection_throttle(&config)
            .map(|throttle| Mutex::new(ConnectionThrottle::new(throttle, clock.now_us() / 1000)));
        Self {
            settings,
            throttle,
            large_requests: LargeRequests::new(&config.limits),
            long_requests: LongRequests::for_this_machine(),
            connections: ConnectionRegistry::default(),
            descriptors: Descriptors::raise_limit(),
            stats: ServerStats::default(),
            clock,
            expiry,
            digests: Mutex::default(),
            checkpoints: Mutex::default(),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
            recent_disconnects: RecentDisconnects::default(),
            reports: Mutex::default(),
            ensemble: EnsembleName::default(),
            read_barriers: ReadBarriers::default(),
            addresses,
            client_addresses: Mutex::new(client_addresses(&config.ensemble.servers)),
            is_member: AtomicBool::new(true),
            named_voters: Mutex::new(named_voters(&config)),
            awaits_members: AtomicBool::new(false),
            members_changed: Notify::new(),
            leading: AtomicU64::new(0),
            leading_since_us: AtomicU64::new(0),
            leading_since_ms: AtomicU64::new(0),
            service: AtomicU8::new(serving::NOT_SERVING),
            serves: Notify::new(),
            process_changed: Notify::new(),
            contact_us: AtomicU64::new(0),
            last_time_ms: AtomicI64::new(replica.last_wall_time().0),
            elapsed: Elapsed::default(),
            version: AtomicU16::new(replica.version()),
            progress: Progress::default(),
            versions: KnownVersions::default(),
            failure: watch::Sender::new(None),
            abandoned_up_to: AtomicU64::new(0),
            zxid_counter_max: failpoints::zxid_counter_max().unwrap_or(ZXID_COUNTER_MAX),
            watches: Arc::clone(replica.watches()),
            members: Mutex::new(Arc::new(replica.members().clone())),
            replica: ReplicaLock::new(replica),
            session_ids,
            engine: OnceLock::new(),
            server,
            boot,
            config,
        }
    }

    pub(super) fn start_with(&self, consensus: Consensus, proposer: Proposer) {
        let first = self.engine.set(Engine { consensus, proposer }).is_ok();
        debug_assert!(first, "a server starts once");
    }

    /// The consensus, once the server has started.
    pub fn consensus(&self) -> Option<&Consensus> {
        self.engine.get().map(|engine| &engine.consensus)
    }

    /// Takes the name of the ensemble from the replicated state.
    pub(super) fn learn_name(&self, replica: &Replica) {
        if let Some(name) = replica.ensemble() {
            self.ensemble.set(ClusterId(name));
        }
    }

    /// Whether this server belongs to its ensemble, as far as it knows. One that does not serves
    /// nobody.
    pub(super) fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Acquire)
    }

    /// Who belongs to the ensemble.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.lock())
    }

    /// Takes who belongs to the ensemble from the replicated state.
    pub(super) fn learn_members(&self, members: &Members) {
        *self.members.lock() = Arc::new(members.clone());
        self.members_changed.notify_one();
        let Some(current) = &members.current else { return };
        *self.named_voters.lock() = current.voters();
        // What was formed has the addresses of the files, which may be newer.
        if current.was_agreed_on() {
            self.addresses.agree(current.addresses());
            *self.client_addresses.lock() = client_addresses(current.servers.values());
        }
        let is_member = current.servers.contains_key(&self.server);
        if self.is_member.swap(is_member, Ordering::AcqRel) == is_member {
            return;
        }
        if is_member {
            tracing::info!("this server belongs to the ensemble now");
        } else {
            tracing::warn!("this server does not belong to the ensemble: it serves no clients");
            self.set_mode(ServingMode::NotServing);
        }
    }

    /// How long the ensemble has had leaders, as this server measures it, in milliseconds.
    pub(super) fn elapsed_ms(&self) -> u64 {
        self.elapsed.at(self.clock.now_us())
    }

    /// Takes what the replicated state knows of this process, and of versions.
    pub(super) fn learn_process(&self, replica: &Replica) {
        let version = replica.version();
        self.version.store(version, Ordering::Release);
        self.versions.raise(version);
        let registered = replica.processes().get(self.server);
        let registered = registered.filter(|known| known.process == self.boot);
        if let Some(known) = registered {
            self.session_ids.lock().begin(known.ordinal);
        }
        let place = |known: Registration| SectionNumber {
            incarnation: known.incarnation,
            number: known.applied,
        };
        let (before, registered) = (self.progress.get(), registered.map(place));
        self.progress.publish(ProcessState { version, registered });
        if (before.version, before.registered.is_some()) != (version, registered.is_some()) {
            self.process_changed.notify_one();
        }
    }

    /// Whether what clients want can be written: this process is registered, where that is asked for.
    pub(super) fn may_write(&self) -> bool {
        let process = self.progress.get();
        process.version < VERSION_ONCE || process.registered.is_some()
    }

    /// The wall time of the last applied entry, in milliseconds.
    pub(super) fn last_time_ms(&self) -> i64 {
        self.last_time_ms.load(Ordering::Relaxed)
    }

    /// What connections always need to know.
    pub fn around(&self) -> Surroundings<'_> {
        let now_us = self.clock.now_us();
        let read_only = self.serving_mode() == ServingMode::ReadOnly;
        Surroundings { settings: &self.settings, stats: &self.stats.conns, now_us, read_only }
    }

    /// What a connection looks at under the lock of the replica.
    pub fn view<'a>(&'a self, replica: &'a Replica) -> View<'a> {
        View { replica, around: self.around(), at_length: false }
    }

    /// The number of this server.
    pub fn server(&self) -> u64 {
        self.server
    }

    /// A name for a new connection.
    pub fn next_conn_id(&self) -> ConnId {
        ConnId { server: self.server, boot: self.boot, number: self.connections.next_number() }
    }

    /// Whether the connection is, or was, one of this process.
    pub(super) fn is_local(&self, conn: ConnId) -> bool {
        conn.server == self.server && conn.boot == self.boot && !conn.is_none()
    }

    /// All connections of now were closed: outcomes of what they sent count for nothing any more.
    pub(super) fn abandon_outcomes(&self) {
        self.abandoned_up_to.store(self.connections.last_number(), Ordering::Relaxed);
        self.stats.conns.settle_writes();
    }

    /// Whether the outcome of what a connection of this server sent counts for nothing any more.
    pub(super) fn is_abandoned(&self, connection: u64) -> bool {
        connection <= self.abandoned_up_to.load(Ordering::Relaxed)
    }

    /// A connection is gone: its watches go, its session stays.
    pub async fn disconnect(&self, client: &ConnectionHandle, reason: CloseReason) {
        self.stats.count_close(reason.kind());
        let (id, session) = {
            let mut conn = client.conn.lock();
            conn.close(reason);
            (conn.id(), conn.session())
        };
        let heard_us = client.heard_us.load(Ordering::Relaxed);
        self.recent_disconnects.note(session, heard_us);
        self.connections.remove(id.number);
        self.expiry.lock().touch(SessionTime::from_us(heard_us), session);
        while self.watches.remove_watcher(id.number, WATCHES_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
}
