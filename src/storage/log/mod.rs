//! The Raft log: entries, vote and committed position, in segments of preallocated space.
//!
//! ```text
//! log/0000000000000001.log      the oldest segment that still holds a needed entry
//! log/0000000000000002.log      the segment that is written
//! log/spare-7                   the next one: zeroed, its space already taken from the disk
//!
//! segment   header (64 bytes), then frames, then zeros up to its capacity
//! frame     header (32 bytes), then records, padded to 8 bytes
//! record    entry | vote | committed | truncate | purge
//! ```
//!
//! A frame holds what one flush writes (several frames when that is much). It carries a sequence
//! number and the number of the newest frame that was known to be on disk when it was written.
//! That is what tells a crash from damage: a frame that cannot be read is a torn write, and is cut,
//! unless a later frame says that it had reached the disk, which makes it damage, and the log is
//! refused.
//!
//! It also says what need not be written again at a start: all but the frames that no later one proves to be on
//! disk. Where a flush has failed, reading them proves nothing (`recovery`).
//!
//! Space is taken from the disk before it is needed, by writing zeros: a full disk is found when
//! the *next* segment is prepared, while the current one still has room for all that is accepted.
//! Overwriting zeros also makes a flush cheaper, because no file metadata changes.
//!
//! [`RaftLog::append`] only queues. A thread writes, or, where the log is idle, the task that
//! [`RaftLog::write_in_place`] names; a second thread prepares segments.
//!
//! Left out: compression, and reuse of old segments (they are deleted; a segment's zeros cost one
//! sequential write per 16 MiB of log).

mod ahead;
mod cache;
mod entry;
mod file_system;
#[cfg(test)]
mod format_test;
mod frame;
mod in_place;
mod raft_log;
mod recovery;
mod segment;
mod spare;
mod writer;

pub use ahead::EntriesAhead;
pub use entry::{EntryKind, LogEntry};
pub use file_system::{FileSystem, LogFile, OsDirectory};
pub(crate) use file_system::{make_directory, sync_directory};
pub use in_place::{InPlace, InPlaceHooks};
pub use raft_log::{Completion, LogFlush, LogOptions, LogState, RaftLog, ReadLog};
