//! The status of the session, as callers see it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jute_proto::{SessionId, Zxid};

use crate::error::{Error, Fate};

/// How the session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionState {
    /// There is no session yet; servers are being tried.
    Connecting,
    /// Connected: the session is alive.
    Connected,
    /// Connected to a server that has lost its quorum and only answers reads.
    ReadOnly,
    /// The connection is lost, the session probably alive. Calls wait for the next connection.
    /// A caller that relies on an ephemeral znode (a lock, a leadership) should pause.
    Suspended,
    /// There has been no connection for longer than the session timeout: the servers have probably
    /// ended the session, and others may hold what it held. The client keeps trying to take the
    /// session up again; until then calls fail at once.
    Overdue,
    /// The session is over, and the client with it: it was told to keep to a single session
    /// ([`Connector::single_session`](crate::Connector::single_session)). Otherwise the next
    /// session begins at once, and it is [`Status::generation`] that tells of the loss.
    Lost,
    /// A server refused the credentials; the client has given up.
    AuthFailed,
    /// The client was closed.
    Closed,
}

impl SessionState {
    /// Whether requests are answered at present.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ReadOnly)
    }

    /// Whether the session can be relied on to exist: connected, or not for long without.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Connected | Self::ReadOnly | Self::Suspended)
    }

    /// Whether the client has ended for good.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Lost | Self::AuthFailed | Self::Closed)
    }

    /// The error of calls that the end of the client met: those of which this is the fate.
    pub(super) fn error_of_calls(self, fate: Fate) -> Error {
        match self {
            // A change that was under way may have been made all the same.
            Self::AuthFailed if fate == Fate::Unknown => Error::ConnectionLost { fate },
            Self::AuthFailed => Error::AuthFailed,
            Self::Lost => Error::SessionLost { fate },
            Self::Connecting
            | Self::Connected
            | Self::ReadOnly
            | Self::Suspended
            | Self::Overdue
            | Self::Closed => Error::Closed { fate },
        }
    }
}

/// A session and how it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How the session is doing.
    pub state: SessionState,
    /// Which session of this client it is, counted from 0. It grows when a session is lost. A caller
    /// that remembers the number with which it made an ephemeral znode can tell whether it is still
    /// the same session, even if it looked away for a while.
    pub generation: u64,
    /// The session's id; zero while there is none.
    pub session: SessionId,
    /// The session timeout that the server granted; before that the one asked for.
    pub timeout: Duration,
    /// Whether the server of the newest connection answers every read linearizably, see
    /// [`Connector::linearizable_reads`](crate::Connector::linearizable_reads).
    pub linearizable: bool,
    /// Whether the server of the newest connection was the leader when it was opened, as far as it
    /// was asked, see [`Connector::prefer_leader`](crate::Connector::prefer_leader).
    pub at_leader: bool,
    /// Whether the server of the newest connection answers a change that is sent again after a lost
    /// connection without making it again, see
    /// [`Connector::exactly_once`](crate::Connector::exactly_once).
    pub exactly_once: bool,
}

/// All that it takes to take up a session again, from this process or another.
///
/// It is as secret as the session is precious: a program that has it can act as the session.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// The session's id.
    pub id: SessionId,
    /// Its password.
    pub password: Bytes,
    /// The newest transaction that the client has seen. A server that is behind it is not used, so
    /// that time does not go backwards.
    pub last_zxid: Zxid,
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession")
            .field("id", &self.id)
            .field("last_zxid", &self.last_zxid)
            .finish_non_exhaustive()
    }
}
