//! Reading a checkpoint: at start, and to send it to another server.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use bytes::Bytes;
use redb::{Range, ReadTransaction, ReadableTableMetadata};

use super::state_db::{CheckpointMark, Definition, definition, failed, read_mark, single};
use crate::env::thread;
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
        let left = Table::ALL.iter().map(|table| self.len(*table).unwrap_or(0)).sum();
        Rows { reader: self, tables: Table::ALL.into_iter(), current: None, left }
    }

    /// As [`rows`](Self::rows), read ahead by a thread of its own: for who has work with each row.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`] where there can be no thread.
    pub fn rows_ahead(self) -> Result<RowsAhead, StorageError> {
        let path = self.path.clone();
        RowsAhead::start(self.rows()).map_err(StorageError::io("start a thread to read", &path))
    }

    /// How many rows a table has.
    fn len(&self, table: Table) -> Result<usize, redb::Error> {
        match self.transaction.open_table(definition(table)) {
            Ok(table) => Ok(usize::try_from(table.len()?).unwrap_or(usize::MAX)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
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
    /// Rows that are to come.
    left: usize,
}

impl Rows {
    /// Reads the next row and gives it to `take`.
    fn advance<T>(
        &mut self,
        take: impl FnOnce(Table, &[u8], &[u8]) -> T,
    ) -> Result<Option<T>, redb::Error> {
        loop {
            if let Some((table, range)) = &mut self.current {
                if let Some(row) = range.next() {
                    let (key, value) = row?;
                    return Ok(Some(take(*table, key.value(), value.value())));
                }
                self.current = None;
            }
            let Some(table) = self.tables.next() else { return Ok(None) };
            self.current = self.reader.range(table)?.map(|range| (table, range));
        }
    }

    fn next_with<T>(
        &mut self,
        take: impl FnOnce(Table, &[u8], &[u8]) -> T,
    ) -> Option<Result<T, StorageError>> {
        let row = self.advance(take).map_err(failed(&self.reader.path)).transpose()?;
        if row.is_err() {
            self.current = None;
            self.tables = Table::ALL.into_iter();
            self.tables.by_ref().for_each(drop);
        }
        self.left = self.left.saturating_sub(1);
        Some(row)
    }

    /// The next rows, `count` at most. They share one piece of memory: many small ones that one thread takes
    /// and another gives back would cost both more than the rows.
    fn batch(&mut self, count: usize) -> Vec<Result<Row, StorageError>> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(count);
        while ends.len() < count {
            let copied = self.next_with(|table, key, value| {
                bytes.extend_from_slice(key);
                let key_end = bytes.len();
                bytes.extend_from_slice(value);
                (table, key_end, bytes.len())
            });
            let Some(copied) = copied else { break };
            ends.push(copied);
        }
        let (bytes, mut start) = (Bytes::from(bytes), 0);
        let mut row = |(table, key_end, end)| {
            let (key, value) = (bytes.slice(start..key_end), bytes.slice(key_end..end));
            start = end;
            Row { table, key, value: Some(value) }
        };
        ends.into_iter().map(|copied| copied.map(&mut row)).collect()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|table, key, value| Row {
            table,
            key: Bytes::copy_from_slice(key),
            value: Some(Bytes::copy_from_slice(value)),
        })
    }

    /// The number of rows is a good guess: an error may end them early.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, None)
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Rows that a thread reads ahead and hands over.
const AHEAD_ROWS: usize = 512;
/// As many times as many wait at most.
const AHEAD_BATCHES: usize = 8;

/// The rows of a checkpoint, read by a thread of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct RowsAhead {
    batches: mpsc::Receiver<Vec<Result<Row, StorageError>>>,
    batch: std::vec::IntoIter<Result<Row, StorageError>>,
    left: usize,
}

impl RowsAhead {
    fn start(mut rows: Rows) -> std::io::Result<Self> {
        let left = rows.left;
        let (sender, batches) = mpsc::sync_channel(AHEAD_BATCHES);
        thread::Builder::new().name("state-reader".into()).spawn(move || {
            loop {
                let batch = rows.batch(AHEAD_ROWS);
                if batch.is_empty() || sender.send(batch).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { batches, batch: Vec::new().into_iter(), left })
    }
}

impl Iterator for RowsAhead {
    type Item = Result<Row, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 {
            self.batch = self.batches.recv().ok()?.into_iter();
        }
        self.left = self.left.saturating_sub(1);
        self.batch.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, None)
    }
}
