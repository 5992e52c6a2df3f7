//! Segment files: their names and headers.
//!
//! ```text
//! header   0  magic "GKLOG\r\n\x1a"
//!          8  format                                u32
//!         12  zero                                  u32
//!         16  number of the segment                 u64
//!         24  sequence number of its first frame    u64
//!         32  capacity in bytes, header included    u64
//!         40  CRC-32 of the fields above            u32
//!         44  zeros up to 64
//! ```

use std::path::Path;

use crate::storage::StorageError;

/// The format that this version writes, and the newest that it reads. It is that of the frames and records within, too.
pub(super) const FORMAT: u32 = 1;
/// The bytes in front of the first frame.
pub(super) const HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"GKLOG\r\n\x1a";
const SUFFIX: &str = ".log";

/// What a segment says about itself.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Segments are numbered without gaps.
    pub(super) number: u64,
    /// The sequence number of the first frame.
    pub(super) first_sequence: u64,
    /// The length of the file.
    pub(super) capacity: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        out[32..40].copy_from_slice(&self.capacity.to_le_bytes());
        let check = crc32fast::hash(&out[..40]);
        out[40..44].copy_from_slice(&check.to_le_bytes());
        out
    }

    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, StorageError> {
        let damaged = |offset, what: &str| StorageError::corrupt(path, offset, what);
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(damaged(0, "the file ends inside its header"));
        };
        let [m0, m1, m2, m3, m4, m5, m6, m7, f0, f1, f2, f3, ..] = *bytes;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
            return Err(damaged(0, "it does not begin as a log segment does"));
        }
        // The format comes before the check sum: a later format may check otherwise.
        let found = u32::from_le_bytes([f0, f1, f2, f3]);
        if found > FORMAT {
            let path = path.to_path_buf();
            return Err(StorageError::NewerFormat { path, found, supported: FORMAT });
        }
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(field)
        };
        let check = crc32fast::hash(&bytes[..40]).to_le_bytes();
        if bytes[40..44] != check {
            return Err(damaged(40, "the header's check sum does not fit"));
        }
        Ok(Self { number: number(16), first_sequence: number(24), capacity: number(32) })
    }
}

/// The file name of a segment.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

/// The number in a segment's file name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}
