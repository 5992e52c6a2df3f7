//! What all tasks of a server look at.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use jute_proto::SessionId;
use parking_lot::{Mutex, RwLock};

use super::clients::{Client, Clients};
use super::clock::Clock;
use crate::config::Config;
use crate::conn::{CloseReason, Propose, Refusal, Settings, Surroundings, View};
use crate::consensus::{Consensus, ProposeError, Proposer};
use crate::replica::entry::push_command;
use crate::replica::{Command, Replica};
use crate::session::{ConnId, Expiry, SessionIds};
use crate::telemetry::ServerStats;

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
    session_ids: Mutex<SessionIds>,
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
        Self {
            settings,
            replica: RwLock::new(replica),
            clients: Clients::default(),
            stats: ServerStats::default(),
            clock,
            expiry,
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
}
