//! The rows of a checkpoint.

use bytes::Bytes;

/// Which table of the checkpoint a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Path of a node -> node.
    Nodes,
    /// Session id -> session.
    Sessions,
    /// Single values: last zxid, counters, configuration.
    Meta,
}

impl Table {
    /// All tables, in the order in which rows are loaded.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Sessions, Self::Nodes];
}

/// One changed row. Keys and values are opaque to the storage; their owner versions them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table of the row.
    pub table: Table,
    /// The key, compared as bytes.
    pub key: Bytes,
    /// The value, or `None` when the row is to be removed.
    pub value: Option<Bytes>,
}

/// The rows that changed since the previous checkpoint, as they were at one moment.
///
/// That moment is fixed in one short step; the storage gets the rows afterwards, on a thread of its own,
/// by walking [`RowSource::rows`] once.
pub trait RowSource: Send + Sync + 'static {
    /// Calls `each` with every changed row, encoded. Stops at the first error of `each` and
    /// returns it.
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), super::StorageError>,
    ) -> Result<(), super::StorageError>;
}

/// A row on loan, so that encoders can reuse their buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The table of the row.
    pub table: Table,
    /// The key, compared as bytes.
    pub key: &'a [u8],
    /// The value, or `None` when the row is to be removed.
    pub value: Option<&'a [u8]>,
}

impl RowSource for Vec<Row> {
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), super::StorageError>,
    ) -> Result<(), super::StorageError> {
        self.iter().try_for_each(|row| {
            each(RowRef { table: row.table, key: &row.key, value: row.value.as_deref() })
        })
    }
}
