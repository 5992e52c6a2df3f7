//! Everything the server keeps on disk: the data directory, the Raft log and the state's checkpoint.
//!
//! ```text
//! grovekeeper-data/
//!   lock          held by the running process for as long as it runs
//!   identity      what this directory is: format, ensemble, server, life of its log
//!   starts        how often servers were started on this log; beside the log
//!   met           the newest start of each other server that was met
//!   state.redb    the latest checkpoint: nodes, sessions, meta, and the position it stands at
//!   received.rows rows of another server's checkpoint while they come in, see `spool`
//!   log/          entries, vote and committed position, in segments of preallocated space
//! ```
//!
//! What is promised:
//!
//! * An append is reported done after its bytes are on disk; all appends that wait at the same
//!   moment share one flush ([`RaftLog`]).
//! * A crash at any moment leaves a log that is a prefix of what was appended and holds all that
//!   was reported done. A half-written tail is cut; damage in front of data that had reached the
//!   disk is never cut, it is refused ([`StorageError::Corrupt`]).
//! * What a directory is found to hold is on disk before anybody relies on it, also where an earlier process
//!   met a failed flush and the system keeps in memory what it never wrote.
//! * A checkpoint counts when the log that it rests on is on disk; where a crash left the two apart, they are
//!   made to fit ([`reconcile()`]).
//! * A full disk stops nothing that was accepted: it waits and completes when space returns
//!   ([`RaftLog::disk_full`]).
//! * A directory that is refused is not touched ([`DataDir::open`]).
//!
//! redb is named in `state` only.

mod data_dir;
mod directory;
mod error;
mod identity;
pub mod log;
mod log_location;
mod position;
mod reconcile;
mod row;
pub(crate) mod small_file;
mod spool;
mod starts;
pub mod state;

pub use data_dir::DataDir;
pub use directory::OpenOptions;
pub use error::StorageError;
pub use identity::{ClusterId, Identity};
pub(crate) use log::sync_directory;
pub use log::{LogEntry, RaftLog};
pub use position::{LogPosition, Vote};
pub use reconcile::reconcile;
pub use row::{Row, RowRef, RowSource, Table};
pub use spool::{RowBlock, RowsSoFar, Spool, SpoolRows};
pub use starts::{KnownStarts, Start};
pub use state::StateDb;
