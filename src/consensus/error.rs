//! What callers of the consensus can run into.

use thiserror::Error;

use crate::storage::StorageError;
use crate::tls::TlsError;

/// Local state that cannot be used. The server stops with this message rather than diverge.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Fatal(pub String);

impl From<StorageError> for Fatal {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}

/// Why the consensus cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting, or a combination of settings, that cannot work.
    #[error("{0}")]
    Config(String),
    /// The stored state and log do not fit together, or cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Peers cannot be listened for.
    #[error("cannot listen for peers on {addr}: {source} (another server may be running there)")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The keys or certificates for connections between servers cannot be used.
    #[error("TLS between servers: {0}")]
    Tls(#[from] TlsError),
    /// The stored entries cannot be applied.
    #[error("cannot restore the state: {0}")]
    Restore(String),
}

/// Why a proposal was not accepted. It was not and will not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Another server leads, or none does.
    #[error("this server is not the leader{}", hint_text(hint))]
    NotLeader {
        /// The leader, if one is known.
        hint: Option<u64>,
    },
    /// Too much waits already.
    #[error("too many proposals wait")]
    Unavailable,
    /// The disk is (nearly) full.
    #[error("the disk is full")]
    DiskFull,
    /// The server stops, or has stopped after a failure.
    #[error("the server is stopping")]
    Stopped,
}

fn hint_text(hint: &Option<u64>) -> String {
    hint.map_or_else(String::new, |server| format!(", server {server} is"))
}

/// Why a linearizable read cannot be answered here and now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Another server leads, or none does.
    #[error("this server is not the leader{}", hint_text(hint))]
    NotLeader {
        /// The leader, if one is known.
        hint: Option<u64>,
    },
    /// No majority confirmed in time that this server still leads.
    #[error("no majority of the ensemble is in reach")]
    NoQuorum,
    /// The server stops, or has stopped after a failure.
    #[error("the server is stopping")]
    Stopped,
}
