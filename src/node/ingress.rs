//! The way of commands into the log, and when requests have to wait in front of it.

use std::time::Duration;

use jute_proto::{LeaderHint, SessionId};
use kernel::conn::{Propose, Refusal};
use kernel::replica::Command;
use kernel::replica::entry::push_command;
use kernel::session::ConnId;

use super::core::Shared;
use crate::consensus::ProposeError;
use crate::env::random;

/// How many bytes of commands may wait for the log before requests wait in front of the server;
/// well below what the proposer refuses.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long they wait before they look again.
const BYTES_STALL: Duration = Duration::from_millis(5);

impl Shared {
    /// Where the leader is, for clients with TLS or for those without.
    fn leader(&self, secure: bool) -> LeaderHint<'static> {
        let Some(engine) = self.engine.get() else { return LeaderHint::Election };
        match engine.consensus.watch_status().borrow().leader {
            Some(leader) if leader.number == self.server => LeaderHint::Here,
            Some(leader) => match self.client_addresses.lock().get(&(leader.number, secure)) {
                Some(address) => LeaderHint::At(address.clone().into()),
                None => LeaderHint::Elsewhere,
            },
            None => LeaderHint::Election,
        }
    }

    /// Whether so much waits for the log that connections which wait for an outcome already are
    /// not read from (`globalOutstandingLimit`).
    pub fn is_crowded(&self) -> bool {
        let limit = self.config.limits.global_outstanding;
        limit.is_some_and(|limit| self.stats.conns.outstanding() > u64::from(limit))
    }

    /// Whether requests have to wait in front of the server, and when to look again: while as many
    /// writes are on their way as `request_throttle_max_requests` allows, or while their bytes are
    /// many.
    pub fn stall(&self) -> Option<Duration> {
        let throttle = &self.config.throttle;
        let full = |limit: u32| self.stats.conns.outstanding() >= u64::from(limit);
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
        // It was accepted while all others were let go.
        if self.is_abandoned(command.origin.conn.number) {
            return Err(Refusal::Unavailable);
        }
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
}

/// The way of a connection into the log.
impl Propose for &Shared {
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        Shared::propose(self, command)
    }

    fn read_barrier(&mut self, conn: ConnId) -> u64 {
        if self.settings.is_alone { 0 } else { self.read_barriers.want(conn.number) }
    }

    fn leader(&self, secure: bool) -> LeaderHint<'static> {
        Shared::leader(self, secure)
    }

    fn next_session_id(&mut self) -> SessionId {
        self.session_ids.lock().next_id()
    }

    fn may_connect(&mut self, tokens: u32) -> bool {
        self.throttle.as_ref().is_none_or(|throttle| {
            throttle.lock().admits(self.clock.now_us() / 1000, tokens, random::fraction())
        })
    }
}
