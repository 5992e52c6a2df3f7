//! What all tasks of a server look at.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jute_proto::SessionId;
use parking_lot::{Mutex, RwLock};

use super::clients::{Client, Clients};
use super::clock::Clock;
use super::history::{CheckpointNotes, DigestLog};
use super::large_requests::LargeRequests;
use super::settings::connection_throttle;
use crate::config::Config;
use crate::conn::{CloseReason, Propose, Refusal, Settings, Surroundings, View};
use crate::consensus::{Consensus, ProposeError, Proposer, Role};
use crate::replica::entry::push_command;
use crate::replica::{Command, Replica};
use crate::session::{ConnId, ConnectionThrottle, Expiry, SessionIds};
use crate::telemetry::ServerStats;

/// How many bytes of commands may wait for the log before requests wait in front of the server;
/// well below what the proposer refuses.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long they wait before they look again.
const BYTES_STALL: Duration = Duration::from_millis(5);
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
    pub replica: RwLock<Replica>,
    /// The open connections.
    pub clients: Clients,
    /// What is counted.
    pub stats: ServerStats,
    /// The clocks.
    pub clock: Clock,
    /// The deadlines of the sessions, kept by the leader.
    pub expiry: Mutex<Expiry>,
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
    pub(super) fn new(config: Config, settings: Settings, replica: Replica, boot: u64) -> Self {
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
            replica: RwLock::new(replica),
            clients: Clients::default(),
            stats: ServerStats::default(),
            clock,
            expiry,
            digests: Mutex::default(),
            checkpoints: Mutex::default(),
            trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
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

    /// Whether clients are served: the server has started and has not stopped.
    pub fn is_serving(&self) -> bool {
        self.consensus().is_some_and(|consensus| match consensus.status().role {
            Role::Leader => true,
            Role::Follower | Role::Learner => consensus.status().leader.is_some(),
            Role::Candidate | Role::Stopped => false,
        })
    }

    /// What connections always need to know.
    pub fn around(&self) -> Surroundings<'_> {
        let now_us = self.clock.now_us();
        Surroundings { settings: &self.settings, stats: &self.stats, now_us }
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

    /// Proposes a command that no connection sent.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be written now.
    pub(super) fn propose(&self, command: &Command<'_>) -> Result<(), Refusal> {
        let engine = self.engine.get().ok_or(Refusal::Unavailable)?;
        engine.proposer.push(|buffer| push_command(buffer, command)).map_err(|error| match error {
            ProposeError::DiskFull => {
                self.stats.refused_disk_full.increment();
                Refusal::DiskFull
            }
            ProposeError::NotLeader { .. } | ProposeError::Unavailable | ProposeError::Stopped => {
                Refusal::Unavailable
            }
        })
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
