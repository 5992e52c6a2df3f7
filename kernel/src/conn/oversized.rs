//! Replies that are longer than most clients take.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

use jute_proto::{OpCode, SessionId};

/// A reply over `jute.maxbuffer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OversizedReply {
    /// Its length in bytes.
    pub len: usize,
    /// The limit of this server.
    pub limit: usize,
    /// What was asked for.
    pub op: OpCode,
    /// Of which node; `None` for several.
    pub path: Option<String>,
    /// Whose session it is.
    pub session: SessionId,
    /// The client's address.
    pub peer: SocketAddr,
}

impl fmt::Display for OversizedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, limit, op, path, session, peer } = self;
        let path = path.as_deref().unwrap_or("several paths");
        write!(
            f,
            "a reply of {len} bytes to {op} of {path} for session {session} at {peer} is over \
             jute.maxbuffer ({limit}): a client with that limit will drop the connection"
        )
    }
}
