//! What all tasks of a server look at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use jute_proto::{LeaderHint, SessionId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::barriers::Barriers;
use super::clients::{Client, Clients};
use super::clock::Clock;
use super::history::{CheckpointNotes, DigestLog};
use super::large_requests::LargeRequests;
use super::members::{ClientAddresses, client_addresses};
use super::settings::connection_throttle;
use super::test_settings;
use crate::config::Config;
use crate::conn::{CloseReason, Propose, Refusal, Settings, Surroundings, View};
use crate::consensus::{AddressBook, Consensus, EnsembleName, ProposeError, Proposer};
use crate::replica::entry::push_command;
use crate::replica::{Command, Members, Replica};
use crate::session::{ConnId, ConnectionThrottle, Expiry, SessionIds};
use crate::storage::ClusterId;
use crate::telemetry::ServerStats;

/// How many bytes of commands may wait for the log before requests wait in front of the server;
/// well below what the proposer refuses.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long they wait before they look again.
const BYTES_STALL: Duration = Duration::from_millis(5);
/// Ticks without contact after which clients are let go, where the configuration does not say.
const SYNC_LIMIT_TICKS_DEFAULT: u32 = 5;

/// A new term begins when the counter of its zxids has come this far: the rest, a hundred million, is
/// for what is applied until then.
const ZXID_COUNTER_MAX: u32 = u32::MAX - 100_000_000;

/// ZooKeeper's default of what `gtmk` answers.
const TRACE_MASK_DEFAULT: i64 = 306;

/// What clients get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Nothing: the server is not up to date, or has no contact to a majority.
    None,
    /// Reads of what the server has, for those who want that (`readonlymode.enabled`).
    ReadOnly,
    /// Everything.
    Full,
}

const NONE: u8 = 0;
const READ_ONLY: u8 = 1;
const FULL: u8 = 2;

/// What all tasks of a server look at.
#[derive(Debug)]
pub struct Shared {
    /// The configuration as it was read.
    pub config: Config,
    /// The part of it that connections live by.
    pub settings: Settings,
    /// The state: reads share the lock, applying has it alone.
    pub replica: RwLock<Replica>,
    /// The open connections.
    pub clients: Clients,
    /// What is counted.
    pub stats: ServerStats,
    /// The clocks.
    pub clock: Clock,
    /// The deadlines of the sessions, kept by the leader.
    pub expiry: Mutex<Expiry>,
    /// When each follower last reported, in milliseconds of the server's clock.
    pub(super) reports: Mutex<BTreeMap<u64, u64>>,
    /// The name of the ensemble.
    pub(super) ensemble: EnsembleName,
    pub(super) barriers: Barriers,
    /// Where the other servers are.
    addresses: AddressBook,
    /// Where clients reach them.
    client_addresses: Mutex<ClientAddresses>,
    /// Whether this server belongs to its ensemble.
    is_member: AtomicBool,
    /// Signalled when the members of the ensemble changed, or are to.
    pub(super) members_changed: Notify,
    /// The term in which this server has the duties of a leader; 0 for none. Changes under the lock of
    /// `expiry`.
    leading: AtomicU64,
    /// Since when, in microseconds of the server's clock.
    leading_since_us: AtomicU64,
    leading_since_ms: AtomicU64,
    service: AtomicU8,
    /// When there was contact to a majority last, in microseconds of the server's clock.
    contact_us: AtomicU64,
    /// The stamp of the last applied command, in milliseconds.
    pub(super) last_time_ms: AtomicI64,
    failure: watch::Sender<Option<String>>,
    zxid_counter_max: u32,
    wrong_digest: Option<PathBuf>,
    /// Digests of the tree at some of the last writes (`hash`).
    pub digests: Mutex<DigestLog>,
    /// The last checkpoints (`last_snapshot`).
    pub checkpoints: Mutex<CheckpointNotes>,
    /// The number that `gtmk` and `stmk` exchange. It selects nothing: what is logged is chosen with
    /// `--log`.
    pub trace_mask: AtomicI64,
    session_ids: Mutex<SessionIds>,
    /// How fast connections may come, where that is limited.
    throttle: Option<Mutex<ConnectionThrottle>>,
    /// Bytes of large requests that are not answered yet.
    pub large_requests: LargeRequests,
    engine: OnceLock<Engine>,
    server: u64,
    boot: u64,
}

/// The way into the log, there once the server has started.
#[derive(Debug)]
struct Engine {
    consensus: Consensus,
    proposer: Proposer,
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
        let server = config.ensemble.my_id.max(1);
        let session_ids = Mutex::new(SessionIds::new(server, clock.wall_ms()));
        let expiry = Mutex::new(Expiry::new(u64::from(config.sessions.tick_time_ms)));
        let throttle = connection_throttle(&config)
            .map(|throttle| Mutex::new(ConnectionThrottle::new(throttle, clock.now_us() / 1000)));
        Self {
            settings,
            throttle,
            large_requests: LargeRequests::new(&config.limits),
            clients: Clients::default(),
            stats: ServerStats::default(),
            clock,
            expiry,
            digests: Mutex::default(),
            checkpoints: Mutex::default(),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
            reports: Mutex::default(),
            ensemble: EnsembleName::default(),
            barriers: Barriers::default(),
            addresses,
            client_addresses: Mutex::new(client_addresses(&config.ensemble.servers)),
            is_member: AtomicBool::new(true),
            members_changed: Notify::new(),
            leading: AtomicU64::new(0),
            leading_since_us: AtomicU64::new(0),
            leading_since_ms: AtomicU64::new(0),
            service: AtomicU8::new(NONE),
            contact_us: AtomicU64::new(0),
            last_time_ms: AtomicI64::new(replica.last_time_ms()),
            failure: watch::Sender::new(None),
            wrong_digest: test_settings::wrong_digest_file(),
            zxid_counter_max: test_settings::zxid_counter_max().unwrap_or(ZXID_COUNTER_MAX),
            replica: RwLock::new(replica),
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

    /// What clients get at the moment.
    pub fn service(&self) -> Service {
        match self.service.load(Ordering::Acquire) {
            FULL => Service::Full,
            READ_ONLY => Service::ReadOnly,
            _ => Service::None,
        }
    }

    /// Whether clients are served at all.
    pub fn is_serving(&self) -> bool {
        self.may_answer(self.clock.now_us())
    }

    /// Changes what clients get; says whether it is another than before.
    pub(super) fn set_service(&self, service: Service) -> bool {
        let number = match service {
            Service::None => NONE,
            Service::ReadOnly => READ_ONLY,
            Service::Full => FULL,
        };
        self.service.swap(number, Ordering::AcqRel) != number
    }

    /// How long a server serves clients without contact to a majority (`syncLimit`).
    pub fn contact_max(&self) -> Duration {
        let ticks = match self.config.ensemble.sync_limit_ticks {
            0 => SYNC_LIMIT_TICKS_DEFAULT,
            ticks => ticks,
        };
        Duration::from_millis(u64::from(ticks) * u64::from(self.config.sessions.tick_time_ms))
    }

    /// Whether this server serves and had contact lately. Looks at the clock, as a process that was
    /// stopped for a while does not know before.
    pub fn may_answer(&self, now_us: u64) -> bool {
        match self.service() {
            Service::None => false,
            Service::ReadOnly => true,
            Service::Full => self.settings.is_alone || self.has_contact(now_us),
        }
    }

    fn has_contact(&self, now_us: u64) -> bool {
        let contact_us = self.contact_us.load(Ordering::Relaxed);
        Duration::from_micros(now_us.saturating_sub(contact_us)) <= self.contact_max()
    }

    /// The last contact to a majority was this long ago.
    pub(super) fn had_contact(&self, age: Duration) {
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.contact_us.store(self.clock.now_us().saturating_sub(age_us), Ordering::Relaxed);
    }

    /// The term in which this server has the duties of a leader, if it has them.
    pub fn leading(&self) -> Option<u64> {
        Some(self.leading.load(Ordering::Acquire)).filter(|term| *term != 0)
    }

    /// Since when, in milliseconds of the server's clock.
    pub(super) fn leading_since_ms(&self) -> u64 {
        self.leading_since_ms.load(Ordering::Relaxed)
    }

    /// Takes up the duties of the leader of this term: every session gets its full timeout.
    pub(super) fn begin_leading(&self, term: u64) {
        let now_ms = self.clock.now_us() / 1000;
        // Under this lock no session comes or goes.
        let replica = self.replica.read();
        let mut expiry = self.expiry.lock();
        expiry.clear();
        for (session, record) in replica.sessions().iter() {
            expiry.track(now_ms, session, record.timeout_ms);
        }
        self.reports.lock().clear();
        self.leading_since_ms.store(now_ms, Ordering::Relaxed);
        self.leading_since_us.store(self.clock.now_us(), Ordering::Relaxed);
        self.leading.store(term, Ordering::Release);
    }

    /// For how long this server has the duties of a leader, in milliseconds.
    pub fn leading_for_ms(&self) -> u64 {
        let since_us = self.leading_since_us.load(Ordering::Relaxed);
        self.clock.now_us().saturating_sub(since_us) / 1000
    }

    /// Another server decides from now on.
    pub(super) fn end_leading(&self) {
        let mut expiry = self.expiry.lock();
        expiry.clear();
        self.leading.store(0, Ordering::Release);
    }

    /// Where the leader is, for clients with TLS or for those without.
    fn leader(&self, secure: bool) -> LeaderHint<'static> {
        let Some(engine) = self.engine.get() else { return LeaderHint::Election };
        match engine.consensus.watch_status().borrow().leader {
            Some(leader) if leader == self.server => LeaderHint::Here,
            Some(leader) => match self.client_addresses.lock().get(&(leader, secure)) {
                Some(address) => LeaderHint::At(address.clone().into()),
                None => LeaderHint::Elsewhere,
            },
            None => LeaderHint::Election,
        }
    }

    /// Whether the zxids of the term are used up, but for a reserve: the counter has 32 bits.
    pub(super) fn counter_runs_out(&self) -> bool {
        self.replica.read().last_zxid().counter() >= self.zxid_counter_max
    }

    /// Takes the name of the ensemble from the replicated state.
    pub(super) fn learn_name(&self, replica: &Replica) {
        if let Some(name) = replica.ensemble() {
            self.ensemble.set(ClusterId(name));
        }
    }

    /// What tests add to the digest, to have it found wrong.
    pub(super) fn digest_error(&self) -> u64 {
        u64::from(self.wrong_digest.as_ref().is_some_and(|file| file.exists()))
    }

    /// Whether this server belongs to its ensemble, as far as it knows. One that does not serves
    /// nobody.
    pub(super) fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Acquire)
    }

    /// Takes who belongs to the ensemble from the replicated state.
    pub(super) fn learn_members(&self, members: &Members) {
        self.members_changed.notify_one();
        let Some(current) = &members.current else { return };
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
            self.set_service(Service::None);
        }
    }

    /// The stamp of the last applied command, in milliseconds.
    pub(super) fn last_time_ms(&self) -> i64 {
        self.last_time_ms.load(Ordering::Relaxed)
    }

    /// The server cannot go on: it serves nobody any more, and its process ends with this message.
    pub(super) fn fail(&self, why: String) {
        self.set_service(Service::None);
        self.failure.send_if_modified(|failure| {
            failure.is_none() && {
                tracing::error!("{why}");
                *failure = Some(why);
                true
            }
        });
    }

    /// Waits until the server cannot go on; returns why.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|failure| failure.clone()).unwrap_or_default()
    }

    /// What connections always need to know.
    pub fn around(&self) -> Surroundings<'_> {
        let now_us = self.clock.now_us();
        let read_only = self.service() == Service::ReadOnly;
        Surroundings { settings: &self.settings, stats: &self.stats, now_us, read_only }
    }

    /// What a connection looks at under the lock of the replica.
    pub fn view<'a>(&'a self, replica: &'a Replica) -> View<'a> {
        View { replica, around: self.around() }
    }

    /// The number of this server.
    pub fn server(&self) -> u64 {
        self.server
    }

    /// A name for a new connection.
    pub fn next_conn_id(&self) -> ConnId {
        ConnId { server: self.server, boot: self.boot, number: self.clients.next_number() }
    }

    /// Whether the connection is, or was, one of this process.
    pub(super) fn is_local(&self, conn: ConnId) -> bool {
        conn.server == self.server && conn.boot == self.boot && !conn.is_none()
    }

    /// Whether so much waits for the log that connections which wait for an outcome already are
    /// not read from (`globalOutstandingLimit`).
    pub fn is_crowded(&self) -> bool {
        let limit = self.config.limits.global_outstanding;
        limit.is_some_and(|limit| self.stats.outstanding() > u64::from(limit))
    }

    /// Whether requests have to wait in front of the server, and when to look again: while as many
    /// writes are on their way as `request_throttle_max_requests` allows, or while their bytes are
    /// many.
    pub fn stall(&self) -> Option<Duration> {
        let throttle = &self.config.throttle;
        let full = |limit: u32| self.stats.outstanding() >= u64::from(limit);
        if throttle.max_requests.is_some_and(full) {
            return Some(Duration::from_millis(throttle.stall_ms));
        }
        let engine = self.engine.get()?;
        (engine.proposer.waiting_bytes() >= WAITING_BYTES_HIGH).then_some(BYTES_STALL)
    }

    /// Whether a request that waited this long is dropped with its connection, whose session lasts
    /// `timeout_ms` without a word (`request_stale_latency_check`).
    pub fn is_stale(&self, waited_us: u64, timeout_ms: u32) -> bool {
        let throttle = &self.config.throttle;
        throttle.drop_stale && throttle.stale_by_latency && waited_us / 1000 > u64::from(timeout_ms)
    }

    /// How likely it is that a connection request is turned away by chance, 0 to 1.
    pub fn connection_drop_chance(&self) -> f64 {
        self.throttle.as_ref().map_or(0.0, |throttle| throttle.lock().drop_chance())
    }

    /// Whether a request that waited this long in front of the server is refused
    /// (`throttled_op_wait_time`).
    pub fn waited_too_long(&self, waited_us: u64) -> bool {
        let limit = self.config.throttle.throttled_op_wait_ms;
        limit.is_some_and(|limit_ms| waited_us > limit_ms.saturating_mul(1000))
    }

    /// Proposes a command of a connection.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be written now.
    fn propose(&self, command: &Command<'_>) -> Result<(), Refusal> {
        let engine = self.engine.get().ok_or(Refusal::Unavailable)?;
        let pushed = engine.proposer.push(|buffer| push_command(buffer, command));
        pushed.map_err(|error| self.refused(&error))
    }

    /// Proposes a command that the leader gives on its own.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be written now, or where this server does not lead.
    pub(super) fn propose_as_leader(&self, command: &Command<'_>) -> Result<(), Refusal> {
        let engine = self.engine.get().ok_or(Refusal::Unavailable)?;
        let term = self.leading().ok_or(Refusal::Unavailable)?;
        let pushed = engine.proposer.push_as_leader(term, |buffer| push_command(buffer, command));
        pushed.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &ProposeError) -> Refusal {
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

    /// A connection is gone: its watches go, its session stays.
    pub fn disconnect(&self, client: &Client, reason: CloseReason) {
        self.stats.count_close(reason.kind());
        let id = {
            let mut conn = client.conn.lock();
            conn.close(reason);
            conn.id()
        };
        self.clients.remove(id.number);
        let replica = self.replica.read();
        replica.watches().remove_watcher(id.number);
        drop(replica);
        let (session, heard_us) = {
            let conn = client.conn.lock();
            (conn.session(), client.heard_us.load(Ordering::Relaxed))
        };
        self.expiry.lock().touch(heard_us / 1000, session);
    }
}

/// The way of a connection into the log.
impl Propose for &Shared {
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        Shared::propose(self, command)
    }

    fn read_barrier(&mut self, conn: ConnId) -> u64 {
        if self.settings.is_alone { 0 } else { self.barriers.want(conn.number) }
    }

    fn leader(&self, secure: bool) -> LeaderHint<'static> {
        Shared::leader(self, secure)
    }

    fn next_session_id(&mut self) -> SessionId {
        self.session_ids.lock().next_id()
    }

    fn may_connect(&mut self, tokens: u32) -> bool {
        self.throttle.as_ref().is_none_or(|throttle| {
            throttle.lock().admits(self.clock.now_us() / 1000, tokens, random_fraction())
        })
    }
}

/// A random number from 0 up to, and without, 1.
fn random_fraction() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
