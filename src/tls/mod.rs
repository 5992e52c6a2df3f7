//! TLS: keys and certificates from PEM files, for connections between servers and those of clients.
//!
//! * [`PeerTlsOptions`], [`ClientTlsOptions`], [`TlsOptions`]: what the configuration says, as plain values.
//! * [`TlsContext`]: the files read, ready to open and to accept connections.
//! * `Transport`: a connection with or without.
//! * [`subject`]: whom a certificate names, as Java writes it.
//!
//! rustls does the rest, with the cryptography of `ring`, which needs nothing of the system.

mod context;
mod error;
mod name;
mod options;
#[cfg(test)]
pub(crate) mod test_keys;
mod transport;

pub use context::TlsContext;
pub use error::TlsError;
pub use name::subject;
pub use options::{ClientAuth, ClientTlsOptions, PeerTlsOptions, TlsOptions, TlsVersion};
pub(crate) use transport::Transport;
