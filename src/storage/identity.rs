//! The file that says whose data a directory holds.
//!
//! Plain text, so that a person can read it:
//!
//! ```text
//! grovekeeper data directory
//! format 1
//! cluster 6f1c…            32 hex digits
//! server 1
//! check 1a2b3c4d           CRC-32 of the lines above
//! ```

use std::fmt;
use std::path::Path;

use super::StorageError;

/// The format of the data directory that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

const TITLE: &str = "grovekeeper data directory";

/// Names an ensemble for ever; drawn at random when the ensemble is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whose data a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ensemble.
    pub cluster: ClusterId,
    /// The server's number in it (`myid`).
    pub server: u64,
}

impl Identity {
    pub(super) fn encode(&self) -> String {
        let body =
            format!("{TITLE}\nformat {FORMAT}\ncluster {}\nserver {}\n", self.cluster, self.server);
        let check = crc32fast::hash(body.as_bytes());
        format!("{body}check {check:08x}\n")
    }

    pub(super) fn decode(path: &Path, text: &[u8]) -> Result<Self, StorageError> {
        let damaged = |what: &str| StorageError::corrupt(path, 0, what);
        let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(damaged("its first line is not that of a data directory"));
        }
        let mut field = |name: &'static str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or_else(|| damaged(&format!("the line `{name}` is missing")))
        };
        let found: u32 =
            field("format")?.parse().map_err(|_| damaged("`format` is not a number"))?;
        if found > FORMAT {
            let path = path.to_path_buf();
            return Err(StorageError::NewerFormat { path, found, supported: FORMAT });
        }
        let cluster = u128::from_str_radix(field("cluster")?, 16)
            .map_err(|_| damaged("`cluster` is not a hexadecimal number"))?;
        let server = field("server")?.parse().map_err(|_| damaged("`server` is not a number"))?;
        let check = u32::from_str_radix(field("check")?, 16)
            .map_err(|_| damaged("`check` is not a hexadecimal number"))?;
        let identity = Self { cluster: ClusterId(cluster), server };
        let body = text.rfind("check ").map_or(text, |at| &text[..at]);
        if check != crc32fast::hash(body.as_bytes()) {
            return Err(damaged("its check sum does not fit its text"));
        }
        Ok(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} of ensemble {}", self.server, self.cluster)
    }
}
