//! The errors of a call, and the fate of the change that it asked for.

use std::fmt;

use jute_proto::{DecodeError, ErrorCode};
use thiserror::Error;

/// The fate of the change that a failed call asked for, as far as the client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The change was made; only what the server said about it could not be understood.
    Applied,
    /// The change was not made and will not be made.
    NotApplied,
    /// The change may have been made, may be made in a moment, or never: the answer did not arrive.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::NotApplied => "not applied",
            Self::Unknown => "it is unknown whether the change was made",
        })
    }
}

/// Why a call failed.
///
/// [`fate`](Self::fate) says what that means for the change asked for, which decides whether it is
/// safe to try again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server refused.
    #[error("the server answered {0}")]
    Server(ErrorCode),
    /// The server refused with a code that this client does not know.
    #[error("the server answered with the unknown error {0}")]
    UnknownCode(i32),
    /// A transaction was refused as a whole because of one of its operations.
    #[error("operation {index} of the transaction failed: {code}")]
    Multi {
        /// Which operation, counted from 0.
        index: usize,
        /// Why.
        code: ErrorCode,
    },
    /// The connection was lost before the answer came. The session goes on. With Grovekeeper
    /// changes are sent again instead, see
    /// [`Connector::exactly_once`](crate::Connector::exactly_once).
    #[error("the connection was lost: {fate}")]
    ConnectionLost {
        /// The fate of the change, as far as the client knows.
        fate: Fate,
    },
    /// The session is over: its ephemeral znodes are gone, its watches too.
    #[error("the session is over: {fate}")]
    SessionLost {
        /// The fate of the change, as far as the client knows.
        fate: Fate,
    },
    /// No server could be reached for longer than the session timeout.
    #[error("no server could be reached within the session timeout")]
    Unreachable,
    /// The client was closed.
    #[error("the client was closed: {fate}")]
    Closed {
        /// The fate of the change, as far as the client knows.
        fate: Fate,
    },
    /// A server refused the credentials; the client is of no further use.
    #[error("authentication failed")]
    AuthFailed,
    /// More requests, or more bytes, are waiting for answers than the client's limits allow.
    #[error("too many requests are waiting for an answer")]
    Busy,
    /// The request is longer than servers accept.
    #[error("the request has {len} bytes, over the limit of {max}")]
    TooLarge {
        /// The length of the request in bytes.
        len: usize,
        /// The limit, see [`Connector::max_request`](crate::Connector::max_request).
        max: usize,
    },
    /// A path that no znode can have.
    #[error("the path {path:?} {why}")]
    InvalidPath {
        /// The path.
        path: String,
        /// The fault, as the end of a sentence.
        why: &'static str,
    },
    /// An argument that makes no sense.
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// A list of servers that cannot be understood.
    #[error("the list of servers {text:?} {why}")]
    InvalidConnectString {
        /// The list.
        text: String,
        /// The fault, as the end of a sentence.
        why: &'static str,
    },
    /// Keys or certificates that cannot be used.
    #[error("TLS: {why}")]
    InvalidTls {
        /// The fault, as a sentence.
        why: String,
    },
    /// The server's answer could not be understood.
    #[error("the answer could not be understood: {0}")]
    Malformed(#[from] DecodeError),
}

impl Error {
    /// The fate of the change that the call asked for, as far as the client knows.
    #[must_use]
    pub const fn fate(&self) -> Fate {
        match self {
            Self::Server(ErrorCode::SystemError | ErrorCode::OperationTimeout)
            | Self::UnknownCode(_) => Fate::Unknown,
            Self::Server(_)
            | Self::Multi { .. }
            | Self::Unreachable
            | Self::AuthFailed
            | Self::Busy
            | Self::TooLarge { .. }
            | Self::InvalidPath { .. }
            | Self::InvalidArgument(_)
            | Self::InvalidConnectString { .. }
            | Self::InvalidTls { .. } => Fate::NotApplied,
            Self::ConnectionLost { fate } | Self::SessionLost { fate } | Self::Closed { fate } => {
                *fate
            }
            Self::Malformed(_) => Fate::Applied,
        }
    }

    /// The server's code, where the server refused the call or one operation of a transaction.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(code) | Self::Multi { code, .. } => Some(*code),
            Self::UnknownCode(_)
            | Self::ConnectionLost { .. }
            | Self::SessionLost { .. }
            | Self::Unreachable
            | Self::Closed { .. }
            | Self::AuthFailed
            | Self::Busy
            | Self::TooLarge { .. }
            | Self::InvalidPath { .. }
            | Self::InvalidArgument(_)
            | Self::InvalidConnectString { .. }
            | Self::InvalidTls { .. }
            | Self::Malformed(_) => None,
        }
    }

    /// Whether the call may be made again on the same client once it is connected: what failed was
    /// the connection, not the request. Look at [`fate`](Self::fate) before repeating a change.
    #[must_use]
    pub const fn is_interruption(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. } | Self::Unreachable)
    }

    /// Whether the znode of the request is not there.
    pub(crate) fn is_no_node(&self) -> bool {
        self.code() == Some(ErrorCode::NoNode)
    }

    /// Whether the znode to be created is there already.
    pub(crate) fn is_node_exists(&self) -> bool {
        self.code() == Some(ErrorCode::NodeExists)
    }

    /// Whether the znode may not be read or changed so.
    pub(crate) fn is_no_auth(&self) -> bool {
        self.code() == Some(ErrorCode::NoAuth)
    }

    /// Whether the znode has another version than the request asked for.
    pub(crate) fn is_bad_version(&self) -> bool {
        self.code() == Some(ErrorCode::BadVersion)
    }

    pub(crate) fn from_code(code: i32) -> Self {
        ErrorCode::try_from(code).map_or(Self::UnknownCode(code), Self::Server)
    }
}
