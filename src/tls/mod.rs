//! TLS: keys and certificates from PEM files, for connections between servers.
//!
//! * [`PeerTlsOptions`], [`TlsOptions`]: what the configuration says, as plain values.
//! * [`TlsContext`]: the files read, ready to open and to accept connections.
//!
//! rustls does the rest, with the cryptography of `ring`, which needs nothing of the system.

mod context;
mod error;
mod options;
#[cfg(test)]
pub(crate) mod test_keys;

pub use context::TlsContext;
pub use error::TlsError;
pub use options::{ClientAuth, PeerTlsOptions, TlsOptions, TlsVersion};
