//! The way of requests into the log, and when they have to wait in front of it.

use std::sync::Arc;
use std::time::Duration;

use jute_proto::{LeaderHint, SessionId};
use kernel::conn::{Propose, Refusal};
use kernel::replica::Command;
use kernel::replica::entry::push_command;
use kernel::session::{ConnId, ConnectionThrottle};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::core::Core;
use super::large_requests::LargeRequests;
use super::long_requests::LongRequests;
use super::read_barriers::ReadBarriers;
use super::settings::connection_throttle;
use crate::config::{Config, ThrottleConfig};
use crate::consensus::{Consensus, Proposer, Status};
use crate::env::random;

/// How many bytes of commands may wait for the log before requests wait in front of the server;
/// well below what the proposer refuses.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long they wait before they look again.
const BYTES_STALL: Duration = Duration::from_millis(5);

/// Where requests of connections come in: who is admitted, who has to wait, and the way of commands into the log.
///
/// It knows connections by their numbers only. A connection gives its commands to [`Propose::propose`] under a shared
/// lock of the replica, and under its own. So who has the replica alone knows that no command is on its way there.
#[derive(Debug)]
pub struct Ingress {
    core: Arc<Core>,
    proposer: Proposer,
    /// Who leads.
    status: watch::Receiver<Status>,
    /// The connections that wait for a read barrier.
    pub(super) read_barriers: ReadBarriers,
    /// How fast connections may come, where that is limited.
    connection_throttle: Option<Mutex<ConnectionThrottle>>,
    throttle: ThrottleConfig,
    /// Writes that may wait for the log before connections with an outstanding one are not read
    /// (`globalOutstandingLimit`).
    outstanding_max: Option<u32>,
    /// Bytes of large requests that are not answered yet.
    pub large_requests: LargeRequests,
    /// The turns at requests that take long.
    pub long_requests: LongRequests,
}

impl Ingress {
    pub(super) fn new(
        config: &Config,
        core: Arc<Core>,
        consensus: &Consensus,
        proposer: Proposer,
    ) -> Self {
        let now_ms = core.clock.now_us() / 1000;
        let connection_throttle = connection_throttle(config)
            .map(|throttle| Mutex::new(ConnectionThrottle::new(throttle, now_ms)));
        Self {
            core,
            proposer,
            status: consensus.watch_status(),
            read_barriers: ReadBarriers::default(),
            connection_throttle,
            throttle: config.throttle.clone(),
            outstanding_max: config.limits.global_outstanding,
            large_requests: LargeRequests::new(&config.limits),
            long_requests: LongRequests::for_this_machine(),
        }
    }

    /// What it serves.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn proposer(&self) -> &Proposer {
        &self.proposer
    }

    /// Whether so much waits for the log that connections which wait for an outcome already are
    /// not read from (`globalOutstandingLimit`).
    pub fn is_crowded(&self) -> bool {
        let limit = self.outstanding_max;
        limit.is_some_and(|limit| self.core.stats.conns.outstanding() > u64::from(limit))
    }

    /// Whether requests have to wait in front of the server, and when to look again: while as many
    /// writes are on their way as `request_throttle_max_requests` allows, or while their bytes are
    /// many.
    pub fn stall(&self) -> Option<Duration> {
        let full = |limit: u32| self.core.stats.conns.outstanding() >= u64::from(limit);
        if self.throttle.max_requests.is_some_and(full) {
            return Some(Duration::from_millis(self.throttle.stall_ms));
        }
        (self.proposer.waiting_bytes() >= WAITING_BYTES_HIGH).then_some(BYTES_STALL)
    }

    /// Whether a request that waited this long is dropped with its connection, whose session lasts
    /// `timeout_ms` without a word (`request_stale_latency_check`).
    pub fn is_stale(&self, waited_us: u64, timeout_ms: u32) -> bool {
        let throttle = &self.throttle;
        throttle.drop_stale && throttle.stale_by_latency && waited_us / 1000 > u64::from(timeout_ms)
    }

    /// Whether a request that waited this long in front of the server is refused
    /// (`throttled_op_wait_time`).
    pub fn waited_too_long(&self, waited_us: u64) -> bool {
        let limit = self.throttle.throttled_op_wait_ms;
        limit.is_some_and(|limit_ms| waited_us > limit_ms.saturating_mul(1000))
    }

    /// How likely it is that a connection request is turned away by chance, 0 to 1.
    pub fn connection_drop_chance(&self) -> f64 {
        let throttle = self.connection_throttle.as_ref();
        throttle.map_or(0.0, |throttle| throttle.lock().drop_chance())
    }
}

/// The way of a connection into the log.
impl Propose for &Ingress {
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        // It was accepted while all others were closed.
        if self.core.connections.is_abandoned(command.origin.conn.number) {
            return Err(Refusal::Unavailable);
        }
        let pushed = self.proposer.push(|buffer| push_command(buffer, command));
        pushed.map_err(|error| self.core.refusal(&error))
    }

    fn read_barrier(&mut self, conn: ConnId) -> u64 {
        if self.core.settings.is_alone { 0 } else { self.read_barriers.want(conn.number) }
    }

    fn leader(&self, secure: bool) -> LeaderHint<'static> {
        let leader = self.status.borrow().leader;
        match leader {
            Some(leader) if leader.number == self.core.process.server() => LeaderHint::Here,
            Some(leader) => match self.core.membership.client_address(leader.number, secure) {
                Some(address) => LeaderHint::At(address.into()),
                None => LeaderHint::Elsewhere,
            },
            None => LeaderHint::Election,
        }
    }

    fn next_session_id(&mut self) -> SessionId {
        self.core.process.next_session_id()
    }

    fn may_connect(&mut self, tokens: u32) -> bool {
        self.connection_throttle.as_ref().is_none_or(|throttle| {
            let now_ms = self.core.clock.now_us() / 1000;
            throttle.lock().admits(now_ms, tokens, random::fraction())
        })
    }
}
