//! What a connection is given with each call, and what it asks of the server around it.

use jute_proto::{LeaderHint, SessionId};

use super::settings::Settings;
use super::stats::ConnStats;
use crate::replica::{Command, Replica};
use crate::session::ConnId;

/// What a connection always needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// Where to count.
    pub stats: &'a ConnStats,
    /// The time in microseconds of a clock that never goes back.
    pub now_us: u64,
    /// The server has no contact to a majority and answers reads of what it has, to those who want
    /// that (`readonlymode.enabled`).
    pub read_only: bool,
}

/// What a connection looks at while it answers requests.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state, under a lock that the caller holds.
    pub replica: &'a Replica,
    /// The rest.
    pub around: Surroundings<'a>,
    /// Whether there is time for what takes long; else that [waits](super::Conn::takes_long) for who has it.
    pub at_length: bool,
}

impl<'a> core::ops::Deref for View<'a> {
    type Target = Surroundings<'a>;

    fn deref(&self) -> &Surroundings<'a> {
        &self.around
    }
}

/// Why a command cannot be written to the log now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The disk is full: reads go on, writes are refused until space returns.
    DiskFull,
    /// This server is stopping or has no contact to a quorum.
    Unavailable,
}

/// Where a connection sends its commands.
pub trait Propose {
    /// Puts a command into the log, behind all that this connection proposed before.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be: nothing will come of the command.
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal>;

    /// Asks for a read barrier: the number of one that begins after this call, and that
    /// [`Conn::barrier_passed`](super::Conn::barrier_passed) will name; 0 where the state here is the newest there is.
    fn read_barrier(&mut self, conn: ConnId) -> u64;

    /// Where the leader is; its address is that for clients with TLS, or that for those without.
    fn leader(&self, secure: bool) -> LeaderHint<'static>;

    /// An id for a new session.
    fn next_session_id(&mut self) -> SessionId;

    /// Whether one more connection request is served; it takes this many tokens of the throttle.
    fn may_connect(&mut self, tokens: u32) -> bool;
}
