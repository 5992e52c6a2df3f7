//! Why a server does not start, or stopped by itself.

use std::io;
use std::net::SocketAddr;

use kernel::replica::checkpoint::RestoreError;

use crate::consensus::{Fatal, StartError};
use crate::storage::StorageError;
use crate::tls::TlsError;

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The checkpoint does not make a state.
    #[error("{path}: {reason}", path = .path.display())]
    Restore {
        /// The data directory.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: RestoreError,
    },
    /// The consensus does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its data are not those of the servers that its file names.
    #[error("{0}")]
    Excluded(String),
    /// The server cannot go on.
    #[error("the server cannot go on: {0}")]
    Fatal(#[from] Fatal),
    /// This server's own address among its peers cannot be found.
    #[error("cannot find the address {address} of this server's own line `server.N`: {source}")]
    PeerAddress {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Keys or certificates of TLS with clients cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A client port cannot be listened on.
    #[error("cannot listen on {addr}: {source} (another server may be running there)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}
