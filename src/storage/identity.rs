//! The file that says whose data a directory holds.
//!
//! Plain text, so that a person can read it:
//!
//! ```text
//! grovekeeper data directory
//! format 2                 1 where there is no line `life`
//! cluster 6f1c…            32 hex digits
//! server 1
//! life 5f2ac01d            8 hex digits
//! check 1a2b3c4d           CRC-32 of the lines above
//! ```
//!
//! The life is drawn at random for a directory whose log is new, and stands for that log and its vote for
//! ever. Directories of builds that knew no lives have life 0 and no such line.

use std::fmt;
use std::path::Path;

use kernel::ensemble::MemberId;

use super::StorageError;

/// The format of the data directory that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 2;

/// The format of a directory of life 0, which builds that know no lives read as well.
const FORMAT_LIFE_0: u32 = 1;

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
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ensemble.
    pub cluster: ClusterId,
    /// The server's number in it (`myid`), and the life of its log.
    pub member: MemberId,
}

impl Identity {
    pub(super) fn encode(&self) -> String {
        let Self { cluster, member: MemberId { number, life } } = self;
        let (format, life) = match life {
            0 => (FORMAT_LIFE_0, String::new()),
            life => (FORMAT, format!("life {life:08x}\n")),
        };
        let body = format!("{TITLE}\nformat {format}\ncluster {cluster}\nserver {number}\n{life}");
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
        let number = field("server")?.parse().map_err(|_| damaged("`server` is not a number"))?;
        let life = match found {
            FORMAT_LIFE_0 => 0,
            _ => u32::from_str_radix(field("life")?, 16)
                .map_err(|_| damaged("`life` is not a hexadecimal number"))?,
        };
        let check = u32::from_str_radix(field("check")?, 16)
            .map_err(|_| damaged("`check` is not a hexadecimal number"))?;
        let member = MemberId { number, life };
        let identity = Self { cluster: ClusterId(cluster), member };
        let body = text.rfind("check ").map_or(text, |at| &text[..at]);
        if check != crc32fast::hash(body.as_bytes()) {
            return Err(damaged("its check sum does not fit its text"));
        }
        Ok(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} of ensemble {}", self.member, self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};

    fn identity(life: u32) -> Identity {
        Identity { cluster: ClusterId(0x6f1c), member: MemberId { number: 300, life } }
    }

    #[test]
    fn an_identity_comes_back_as_it_was_written() {
        // With a life and without; any change of the text is found.
        for life in [0, 1, u32::MAX] {
            let text = identity(life).encode();
            let read = |text: &str| Identity::decode(Path::new("identity"), text.as_bytes());
            assert_eq!(read(&text).unwrap(), identity(life));
            assert!(read(&text.replace("300", "301")).is_err());
            assert!(read(&text.replace("cluster", "custer")).is_err());
        }
    }

    #[test]
    fn identities_of_earlier_builds_are_read() {
        // Those of 8aece55 are of life 0. They are written the same, so that it can go back.
        for (file, life) in [(BUILD_8AECE55, 0), (BUILD_5DE72FB, 0x5f2a_c01d)] {
            assert_written(file, "file.identity", identity(life).encode().as_bytes());
            let text = golden(file, "file.identity");
            assert_eq!(Identity::decode(Path::new("identity"), &text).unwrap(), identity(life));
        }
    }

    #[test]
    fn builds_without_lives_refuse_a_directory_that_has_one() {
        // They would take its vote for that of another member.
        assert!(identity(7).encode().contains("format 2\n"));
        assert!(identity(0).encode().contains("format 1\n"));
    }
}
