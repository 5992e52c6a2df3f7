//! The replicated state, as the consensus drives it.

use super::error::Fatal;
use crate::storage::{Row, RowSource, StorageError};

/// A committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<'a> {
    /// The term of the leader that proposed it: the epoch of its zxids.
    pub term: u64,
    /// Its index in the log.
    pub index: u64,
    /// The proposed bytes; `None` when the entry is of the consensus itself (a new leader's first
    /// entry, or a configuration), which still moves the term and the index.
    pub payload: Option<&'a [u8]>,
}

/// The replicated state. The consensus drives it from one task; every entry comes once, in order.
///
/// After a restart the state begins at the checkpoint, loaded by the caller before
/// [`Consensus::start`](crate::consensus::Consensus::start), and the entries behind it are applied again.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies one entry. Outcomes that a client can see, failures included, are none of the
    /// consensus' business.
    ///
    /// # Errors
    ///
    /// When the entry cannot be decoded. The server stops.
    fn apply(&mut self, entry: Committed<'_>) -> Result<(), Fatal>;

    /// Called after each run of entries: time to hand over what they produced.
    fn batch_end(&mut self);

    /// Begins a checkpoint of the rows that changed since the previous call (or since the state was
    /// loaded), as they are now. A short step: the rows are taken and encoded later, on another
    /// thread, and before the next call. The consensus stores the position itself.
    fn begin_checkpoint(&mut self) -> Box<dyn RowSource>;

    /// Replaces the whole state by that of another server. The entries in between are never
    /// applied here, so a client that waits for one of them must be told to ask again.
    ///
    /// # Errors
    ///
    /// When a row cannot be read or decoded. The server stops.
    fn install(
        &mut self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal>;
}
