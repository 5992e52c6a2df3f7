//! What can be wrong with keys and certificates, in words for the person who has to act.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Keys or certificates that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what is needed.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Settings that leave nothing to talk.
    #[error("TLS: {problem}")]
    Settings {
        /// What is wrong, and what to do.
        problem: String,
    },
}
