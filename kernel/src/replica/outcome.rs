//! What applying a command means for the connections of this server.

use jute_proto::EventType;
use jute_proto::Zxid;

use crate::session::CachedReply;
use crate::tree::{AclList, OpError, TxnResult};
use crate::watch::WatcherId;

/// What the connection that sent a command is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A request was judged: done, or refused with an error.
    Request(Result<TxnResult, OpError>),
    /// A numbered write has this reply, made now or kept since it was applied.
    Numbered(CachedReply),
    /// A numbered write breaks the rules for numbers: its connection must be closed without an answer.
    BadWriteNumber,
    /// The session is the connection's, with this timeout in milliseconds.
    SessionOpened {
        /// The negotiated timeout in milliseconds.
        timeout_ms: u32,
    },
    /// There is no such session any more.
    SessionRefused,
    /// The session ended.
    SessionClosed,
    /// The connection does not own the session: it must be closed without an answer
    /// (`SESSIONMOVED`).
    NotOwner,
    /// Commands in front of it are missing, because the log refused them while it took this one. All
    /// of them are sent again, this one included; nothing has come of it yet.
    OutOfOrder,
    /// The command had been applied, and answered, before.
    Repeated,
    /// It takes more than this command: another one will bring the outcome.
    Deferred,
}

/// One watch event for one connection.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The transaction that caused it.
    pub zxid: Zxid,
    /// The connection.
    pub watcher: WatcherId,
    /// What happened.
    pub event_type: EventType,
    /// To which path.
    pub path: &'a str,
    /// A connection that may not read under this list does not hear of it (CVE-2024-23944).
    pub acl: &'a AclList,
}

/// Takes events as they happen, before the outcome of the command that caused them is known.
pub trait EventSink {
    /// Delivers one event.
    fn event(&mut self, event: Event<'_>);
}
