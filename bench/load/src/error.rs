//! Why a run of the load generator failed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use jute_proto::{DecodeError, FrameError, Xid};

/// A failed run; the message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A server could not be reached.
    #[error("cannot connect to {addr}: {source}")]
    Connect {
        /// The server.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A server gave no session.
    #[error("{addr} refused a new session")]
    NoSession {
        /// The server.
        addr: SocketAddr,
    },
    /// The connection broke.
    #[error("the connection to {addr} failed: {source}")]
    Io {
        /// The server.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server closed the connection although it owed a reply.
    #[error(
        "{addr} closed a connection; if there are many, look at its limits (maxClientCnxns is 60 \
         connections from one address unless it was changed)"
    )]
    Closed {
        /// The server.
        addr: SocketAddr,
    },
    /// Bytes that are no frame.
    #[error("{addr} sent a bad frame: {source}")]
    Frame {
        /// The server.
        addr: SocketAddr,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A reply header or handshake that cannot be decoded.
    #[error("{addr} sent an unreadable reply: {source}")]
    Reply {
        /// The server.
        addr: SocketAddr,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Replies came in another order than requests.
    #[error("{addr} answered out of order: xid {found} where {expected} was due")]
    OutOfOrder {
        /// The server.
        addr: SocketAddr,
        /// The xid of the oldest request without a reply.
        expected: Xid,
        /// The xid that came.
        found: Xid,
    },
    /// No reply for so long that the server must be stuck.
    #[error("no reply from {addr} for {seconds} s after the end of the measurement")]
    Stuck {
        /// The server.
        addr: SocketAddr,
        /// How long it was waited.
        seconds: u64,
    },
    /// The nodes of the workload could not be made or removed.
    #[error("cannot {what}: {problem}")]
    Nodes {
        /// What was tried, with the path.
        what: String,
        /// The first wrong reply.
        problem: String,
    },
    /// Replies were wrong; the report has the counts.
    #[error("{count} wrong replies; the first: {first}")]
    WrongReplies {
        /// How many.
        count: u64,
        /// The first one, with its workload.
        first: String,
    },
    /// The user stopped the run.
    #[error("stopped before the end; the nodes that it made are removed")]
    Interrupted,
    /// The report could not be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A task of the load generator itself ended badly.
    #[error("the load generator failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}
