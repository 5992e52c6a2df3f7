//! A log entry as the storage sees it.

use bytes::Bytes;

use crate::storage::LogPosition;

/// What an entry carries.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// Nothing: a new leader's first entry.
    Blank = 0,
    /// A batch of commands for the state machine.
    Normal = 1,
    /// A configuration of the ensemble.
    Membership = 2,
}

impl EntryKind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Blank, Self::Normal, Self::Membership].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One entry of the log. Cheap to clone: the payload is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub position: LogPosition,
    /// What it carries.
    pub kind: EntryKind,
    /// The carried bytes, opaque to the storage.
    pub payload: Bytes,
}
