//! Writing checkpoints.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kernel::stats::Histogram;
use parking_lot::Mutex;
use redb::{
    Database, Durability, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction,
};

use super::backend::{Direct, Locks, OsFile, Overlay, Patience, StateFile};
use super::reader::StateReader;
use crate::env::fs;
use crate::env::time::Instant;
use crate::storage::log::LogFlush;
use crate::storage::{LogPosition, Row, RowRef, RowSource, StorageError, Table};

/// The format of the tables that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Loading and checkpoints pass through the file once, so a small cache does.
const CACHE_BYTES: usize = 8 << 20;

/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
const META: Definition = TableDefinition::new("meta");
const SESSIONS: Definition = TableDefinition::new("sessions");
const NODES: Definition = TableDefinition::new("nodes");
const CHECKPOINT: Definition = TableDefinition::new("checkpoint");

const FORMAT_KEY: &[u8] = b"format";
const POSITION_KEY: &[u8] = b"position";
const MEMBERSHIP_KEY: &[u8] = b"membership";

/// The definition of a table of rows.
pub(super) fn definition(table: Table) -> Definition {
    match table {
        Table::Meta => META,
        Table::Sessions => SESSIONS,
        Table::Nodes => NODES,
    }
}

/// Where in the log a checkpoint stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointMark {
    /// The last entry applied to the rows; `None` when nothing was.
    pub position: Option<LogPosition>,
    /// The configuration of the ensemble as of that entry, opaque to the storage.
    pub membership: Bytes,
}

/// How much a checkpoint wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointSize {
    /// Rows written or removed.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// The state database. Cheap to clone.
#[derive(Clone)]
pub struct StateDb {
    shared: Arc<StateShared>,
}

struct StateShared {
    database: Database,
    path: PathBuf,
    patience: Arc<Patience>,
    /// Where the checkpoint stands, readable while redb waits for disk space.
    mark: Mutex<CheckpointMark>,
    /// How long checkpoints took, in microseconds.
    checkpoint_us: Histogram,
}

impl StateDb {
    /// Opens the database file, or makes an empty one. Every page's check sum is verified.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`], [`StorageError::NewerFormat`], [`StorageError::Io`],
    /// [`StorageError::Database`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_holding(path, Arc::new(()))
    }

    /// As [`StateDb::open`]; keeps the owner of some locks alive for as long as the file is used.
    pub(crate) fn open_holding(path: &Path, locks: Locks) -> Result<Self, StorageError> {
        VerifiedState::verify(path, locks)?.open()
    }

    /// Uses storage of the caller's in place of a file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`StateDb::open`].
    pub fn with_backend(backend: impl StorageBackend, path: &Path) -> Result<Self, StorageError> {
        let patience = Arc::default();
        let file = StateFile::over(Arc::new(backend), path, Arc::clone(&patience));
        let file: Arc<dyn StorageBackend> = Arc::new(file);
        verify(&file, path)?;
        Self::with_verified(file, path, patience)
    }

    fn with_verified(
        backend: Arc<dyn StorageBackend>,
        path: &Path,
        patience: Arc<Patience>,
    ) -> Result<Self, StorageError> {
        let database = builder()
            .create_with_backend(Direct(backend))
            .map_err(|error| failed(path)(error.into()))?;
        let checkpoint_us = Histogram::default();
        let path = path.to_path_buf();
        let mark = Mutex::default();
        let shared = StateShared { database, path, patience, mark, checkpoint_us };
        let state = Self { shared: Arc::new(shared) };
        state.check_format()?;
        *state.shared.mark.lock() = state.reader()?.mark()?;
        Ok(state)
    }

    /// Where the checkpoint stands; nothing applied when there is none yet.
    pub fn mark(&self) -> CheckpointMark {
        self.shared.mark.lock().clone()
    }

    /// A view of the checkpoint as it is now; later checkpoints do not change it. Waits while a
    /// checkpoint waits for disk space.
    ///
    /// # Errors
    ///
    /// [`StorageError::Database`].
    pub fn reader(&self) -> Result<StateReader, StorageError> {
        let transaction = self.wrap(|| Ok(self.shared.database.begin_read()?))?;
        Ok(StateReader::new(transaction, &self.shared.path))
    }

    /// Writes the changed rows of a checkpoint and its mark, all or nothing. Waits while the disk
    /// is full.
    ///
    /// The rows come from entries of the log, which others may have acknowledged before they were on disk
    /// here. `log` is the word that they are, asked for when they were applied: the checkpoint does not
    /// count before it has come. Else a loss of power could leave a checkpoint that is ahead of its log.
    ///
    /// # Errors
    ///
    /// [`StorageError::Database`], what the source returns, and [`StorageError::Io`] where the log cannot be
    /// flushed. The previous checkpoint stands then.
    pub fn write_checkpoint(
        &self,
        source: &mut dyn RowSource,
        mark: &CheckpointMark,
        log: &LogFlush,
    ) -> Result<CheckpointSize, StorageError> {
        let start = Instant::now();
        let transaction = self.begin_write()?;
        let mut writer = Writer::open(&transaction, &self.shared.path)?;
        source.rows(&mut |row| writer.put(row))?;
        let size = writer.size;
        drop(writer);
        let flushed = self.shared.patience.wait_for(log);
        flushed.map_err(StorageError::io("flush the log in front of", &self.shared.path))?;
        self.finish(transaction, mark)?;
        self.shared.checkpoint_us.record_elapsed(start.elapsed());
        Ok(size)
    }

    /// Replaces all rows, as a server does that receives the state of another one. They rest on no log of this
    /// server; [`reconcile`](crate::storage::reconcile()) sees to it that its log begins behind them, should it
    /// stop before it can.
    ///
    /// # Errors
    ///
    /// As [`StateDb::write_checkpoint`]; also the first error of the rows.
    pub fn replace(
        &self,
        rows: impl Iterator<Item = Result<Row, StorageError>>,
        mark: &CheckpointMark,
    ) -> Result<CheckpointSize, StorageError> {
        let transaction = self.begin_write()?;
        for table in Table::ALL {
            self.wrap(|| Ok(transaction.delete_table(definition(table))?))?;
        }
        let mut writer = Writer::open(&transaction, &self.shared.path)?;
        for row in rows {
            let row = row?;
            writer.put(RowRef { table: row.table, key: &row.key, value: row.value.as_deref() })?;
        }
        let size = writer.size;
        drop(writer);
        self.finish(transaction, mark)?;
        Ok(size)
    }

    /// Where it is, for messages.
    pub(in crate::storage) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether a checkpoint waits for disk space.
    pub fn disk_full(&self) -> bool {
        self.shared.patience.is_waiting()
    }

    /// How long checkpoints took, in microseconds.
    pub fn checkpoint_us(&self) -> &Histogram {
        &self.shared.checkpoint_us
    }

    /// Lets a checkpoint that waits for disk space fail, so that the server can stop.
    pub fn close(&self) {
        self.shared.patience.end();
    }

    fn check_format(&self) -> Result<(), StorageError> {
        let path = &self.shared.path;
        match self.reader()?.single(CHECKPOINT, FORMAT_KEY)? {
            None => Ok(()),
            Some(bytes) => match bytes.as_ref().try_into().map(u32::from_le_bytes) {
                Ok(FORMAT) => Ok(()),
                Ok(found) => {
                    Err(StorageError::NewerFormat { path: path.clone(), found, supported: FORMAT })
                }
                Err(_) => Err(StorageError::corrupt(path, 0, "its format cannot be read")),
            },
        }
    }

    fn begin_write(&self) -> Result<WriteTransaction, StorageError> {
        self.wrap(|| {
            let mut transaction = self.shared.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            // The rows are flushed before the header of the file names them. So a process that reads that header
            // knows that they are on disk, also where it read it from memory; and redb writes the header
            // anew, and flushes it, when it opens the file.
            transaction.set_two_phase_commit(true);
            // A restart after a crash must not have to rebuild what redb knows of its free space.
            transaction.set_quick_repair(true);
            Ok(transaction)
        })
    }

    fn finish(
        &self,
        transaction: WriteTransaction,
        mark: &CheckpointMark,
    ) -> Result<(), StorageError> {
        self.wrap(|| {
            let mut table = transaction.open_table(CHECKPOINT)?;
            table.insert(FORMAT_KEY, FORMAT.to_le_bytes().as_slice())?;
            table.insert(MEMBERSHIP_KEY, mark.membership.as_ref())?;
            match mark.position {
                Some(position) => table.insert(POSITION_KEY, encode(position).as_slice())?,
                None => table.remove(POSITION_KEY)?,
            };
            drop(table);
            transaction.commit()?;
            Ok(())
        })?;
        *self.shared.mark.lock() = mark.clone();
        Ok(())
    }

    fn wrap<T>(
        &self,
        operation: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        operation().map_err(failed(&self.shared.path))
    }
}

/// A database file that was read and found good, or that is still to be made, while nothing on disk was
/// changed yet.
pub(crate) struct VerifiedState {
    path: PathBuf,
    locks: Locks,
    /// The file, where there is one.
    found: Option<(Arc<dyn StorageBackend>, Arc<Patience>)>,
}

impl VerifiedState {
    /// Verifies the check sum of every page of a database file.
    ///
    /// # Errors
    ///
    /// As [`StateDb::open`].
    pub(crate) fn verify(path: &Path, locks: Locks) -> Result<Self, StorageError> {
        let mut verified = Self { path: path.to_path_buf(), locks, found: None };
        if path.try_exists().map_err(StorageError::io("look for", path))? {
            let (file, patience) = verified.file()?;
            verify(&file, path)?;
            verified.found = Some((file, patience));
        }
        Ok(verified)
    }

    /// Goes to work with the file; makes an empty one where there is none.
    ///
    /// # Errors
    ///
    /// As [`StateDb::open`].
    pub(crate) fn open(mut self) -> Result<StateDb, StorageError> {
        let (file, patience) = match self.found.take() {
            Some(found) => found,
            None => {
                create(&self.path)?;
                self.file()?
            }
        };
        StateDb::with_verified(file, &self.path, patience)
    }

    fn file(&self) -> Result<(Arc<dyn StorageBackend>, Arc<Patience>), StorageError> {
        let patience = Arc::new(Patience::default());
        let file = Arc::new(OsFile::open(&self.path, Arc::clone(&self.locks))?);
        let file = StateFile::over(file, &self.path, Arc::clone(&patience));
        Ok((Arc::new(file), patience))
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes an empty database under another name first, so that there never is half a one.
fn create(path: &Path) -> Result<(), StorageError> {
    let unfinished = path.with_extension("redb.tmp");
    let clean = match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    clean.map_err(StorageError::io("remove", &unfinished))?;
    let file = Arc::new(OsFile::open(&unfinished, Arc::new(()))?);
    let file = StateFile::over(file, &unfinished, Arc::default());
    let database =
        builder().create_with_backend(file).map_err(|error| failed(&unfinished)(error.into()))?;
    drop(database);
    let flushed = fs::File::open(&unfinished).and_then(|file| file.sync_all());
    flushed.map_err(StorageError::io("flush", &unfinished))?;
    fs::rename(&unfinished, path).map_err(StorageError::io("make", path))
}

/// Lets redb check, and where a crash calls for it repair, the whole file in memory: the file
/// itself is written only when it is known to be good.
fn verify(backend: &Arc<dyn StorageBackend>, path: &Path) -> Result<(), StorageError> {
    let overlay = Overlay::over(backend).map_err(StorageError::io("read", path))?;
    builder()
        .set_check_integrity_on_open(true)
        .create_with_backend(overlay)
        .map(drop)
        .map_err(|error| failed(path)(error.into()))
}

impl std::fmt::Debug for StateDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDb").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

type OpenTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// The open tables of one write.
struct Writer<'t> {
    tables: [(Table, OpenTable<'t>); Table::ALL.len()],
    size: CheckpointSize,
    path: &'t Path,
}

impl<'t> Writer<'t> {
    fn open(transaction: &'t WriteTransaction, path: &'t Path) -> Result<Self, StorageError> {
        let open = |table| {
            let opened = transaction.open_table(definition(table));
            opened.map(|opened| (table, opened)).map_err(|error| failed(path)(error.into()))
        };
        let [a, b, c] = Table::ALL;
        Ok(Self { tables: [open(a)?, open(b)?, open(c)?], size: CheckpointSize::default(), path })
    }

    fn put(&mut self, row: RowRef<'_>) -> Result<(), StorageError> {
        self.size.rows += 1;
        self.size.bytes += (row.key.len() + row.value.map_or(0, <[u8]>::len)) as u64;
        for (table, open) in &mut self.tables {
            if *table == row.table {
                let result = match row.value {
                    Some(value) => open.insert(row.key, value).map(drop),
                    None => open.remove(row.key).map(drop),
                };
                return result.map_err(|error| failed(self.path)(error.into()));
            }
        }
        Ok(())
    }
}

/// Reads the mark through an open view.
pub(super) fn read_mark(reader: &StateReader, path: &Path) -> Result<CheckpointMark, StorageError> {
    let position = match reader.single(CHECKPOINT, POSITION_KEY)? {
        None => None,
        Some(bytes) => Some(decode(&bytes).ok_or_else(|| {
            StorageError::corrupt(path, 0, "the position of the checkpoint cannot be read")
        })?),
    };
    let membership = reader.single(CHECKPOINT, MEMBERSHIP_KEY)?.unwrap_or_default();
    Ok(CheckpointMark { position, membership })
}

fn encode(position: LogPosition) -> [u8; 16] {
    let both = u128::from(position.term) | u128::from(position.index) << 64;
    both.to_le_bytes()
}

fn decode(bytes: &[u8]) -> Option<LogPosition> {
    let (term, index) = bytes.split_first_chunk::<8>()?;
    let index = index.try_into().ok()?;
    Some(LogPosition { term: u64::from_le_bytes(*term), index: u64::from_le_bytes(index) })
}

/// Turns redb's errors into ours.
pub(super) fn failed(path: &Path) -> impl FnOnce(redb::Error) -> StorageError {
    move |error| {
        if let redb::Error::Corrupted(what) = error {
            StorageError::corrupt(path, 0, what)
        } else {
            StorageError::Database { path: path.to_path_buf(), source: Box::new(error) }
        }
    }
}

/// One value of a table that may not exist yet.
pub(super) fn single(
    transaction: &redb::ReadTransaction,
    table: Definition,
    key: &[u8],
) -> Result<Option<Bytes>, redb::Error> {
    let table = match transaction.open_table(table) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(table.get(key)?.map(|value| Bytes::copy_from_slice(value.value())))
}
