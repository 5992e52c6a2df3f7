//! A request on its way, and what comes back.

use bytes::Bytes;
use jute_proto::{OpCode, Zxid};

use super::watches::{WatchKind, WatcherId};

/// A request as a caller makes it.
#[derive(Debug)]
pub(crate) struct Request<T, W> {
    pub(crate) op: OpCode,
    /// The encoded record, without the header: the number is given when it goes out.
    pub(crate) body: Vec<u8>,
    /// The caller that waits for the answer, if any.
    pub(crate) token: Option<T>,
    /// The watch that the request sets.
    pub(crate) registration: Option<WatchRegistration<W>>,
}

/// A watch that a request sets.
#[derive(Debug)]
pub(crate) struct WatchRegistration<W> {
    pub(crate) id: WatcherId,
    /// The server's path.
    pub(crate) path: String,
    pub(crate) kind: WatchKind,
    /// The receiver of its events.
    pub(crate) sink: W,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The newest transaction that the server had applied.
    pub(crate) zxid: Zxid,
    /// Zero, or an error code.
    pub(crate) err: i32,
    /// The record, empty where there is an error.
    pub(crate) body: Bytes,
}
