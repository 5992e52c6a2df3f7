//! Reading a checkpoint: at start, and to send it to another server.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Range, ReadTransaction};

use super::state_db::{CheckpointMark, Definition, definition, failed, read_mark, single};
use crate::storage::{Row, StorageError, Table};

/// One checkpoint, unchanged by later ones for as long as this value lives.
pub struct StateReader {
    transaction: ReadTransaction,
    path: PathBuf,
}

impl StateReader {
    pub(super) fn new(transaction: ReadTransaction, path: &Path) -> Self {
        Self { transaction, path: path.to_path_buf() }
    }

    /// Where the checkpoint stands.
    ///
    /// # Errors
    ///
    /// [`StorageError::Database`], [`StorageError::Corrupt`].
    pub fn mark(&self) -> Result<CheckpointMark, StorageError> {
        read_mark(self, &self.path)
    }

    /// All rows: the single values, the sessions, then the nodes in the order of their keys.
    pub fn rows(self) -> Rows {
        Rows { reader: self, tables: Table::ALL.into_iter(), current: None }
    }

    pub(super) fn single(
        &self,
        table: Definition,
        key: &[u8],
    ) -> Result<Option<Bytes>, StorageError> {
        single(&self.transaction, table, key).map_err(failed(&self.path))
    }

    fn range(&self, table: Table) -> Result<Option<TableRange>, redb::Error> {
        match self.transaction.open_table(definition(table)) {
            Ok(table) => Ok(Some(table.range::<&[u8]>(..)?)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl std::fmt::Debug for StateReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateReader").field("path", &self.path).finish_non_exhaustive()
    }
}

type TableRange = Range<'static, &'static [u8], &'static [u8]>;

/// The rows of a checkpoint. Ends after the first error.
pub struct Rows {
    reader: StateReader,
    tables: std::array::IntoIter<Table, { Table::ALL.len() }>,
    current: Option<(Table, TableRange)>,
}

impl Rows {
    fn advance(&mut self) -> Result<Option<Row>, redb::Error> {
        loop {
            if let Some((table, range)) = &mut self.current {
                if let Some(row) = range.next() {
                    let (key, value) = row?;
                    return Ok(Some(Row {
                        table: *table,
                        key: Bytes::copy_from_slice(key.value()),
                        value: Some(Bytes::copy_from_slice(value.value())),
                    }));
                }
                self.current = None;
            }
            let Some(table) = self.tables.next() else { return Ok(None) };
            self.current = self.reader.range(table)?.map(|range| (table, range));
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.advance().map_err(failed(&self.reader.path)).transpose()?;
        if row.is_err() {
            self.current = None;
            self.tables = Table::ALL.into_iter();
            self.tables.by_ref().for_each(drop);
        }
        Some(row)
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("reader", &self.reader).finish_non_exhaustive()
    }
}
