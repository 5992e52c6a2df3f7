//! The file under the state database.
//!
//! redb gives a database up after the first error of its file. A full disk must not do that: space
//! is taken when the file grows, and growing waits until there is some. The data directory is
//! locked as a whole, so the file needs no lock of its own.
//!
//! The log is on the same disk, and every write waits for its flushes. So what redb writes is flushed
//! bit by bit, with a rest after each flush as long as the flush: a checkpoint takes half of the disk's
//! time at most, where one large flush at its end would hold up the log for as long as that takes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use redb::StorageBackend;

use crate::env::fs::{self, File};
use crate::env::time::Instant;
use crate::storage::StorageError;
use crate::storage::error::shortage;
use crate::storage::log::LogFlush;

/// How long a full disk is left alone before the next try, and how soon it is noticed that the server stops.
const RETRY: Duration = Duration::from_millis(250);

/// How much is written between two flushes. A flush of the log waits for about as much.
const FLUSH_BYTES: usize = 1 << 20;

/// The longest rest after a flush: a disk that hangs does not double the wait.
const REST_MAX: Duration = Duration::from_millis(100);

/// Tells the file that waits for disk space to give up.
#[derive(Debug, Default)]
pub(super) struct Patience {
    ended: Mutex<bool>,
    changed: Condvar,
    /// Whether a write waits for space.
    waiting: AtomicBool,
}

impl Patience {
    pub(super) fn end(&self) {
        *self.ended.lock() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for the log's word, however long that takes, or until the server stops.
    pub(super) fn wait_for(&self, log: &LogFlush) -> io::Result<()> {
        loop {
            if let Some(flushed) = log.wait_for(RETRY) {
                return flushed;
            }
            if *self.ended.lock() {
                return Err(io::Error::other("the server stops"));
            }
        }
    }

    /// Lets `period` pass, or less where the server stops.
    fn rest(&self, period: Duration) {
        let mut ended = self.ended.lock();
        if !*ended {
            self.changed.wait_for(&mut ended, period);
        }
    }

    /// Runs an operation, again and again while the disk is full.
    fn retry(&self, mut operation: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            let Err(error) = operation() else {
                self.waiting.store(false, Ordering::Relaxed);
                return Ok(());
            };
            let mut ended = self.ended.lock();
            let Some(shortage) = shortage(&error).filter(|_| !*ended) else { return Err(error) };
            if !self.waiting.swap(true, Ordering::Relaxed) {
                tracing::warn!("{shortage}: the checkpoint waits until that ends");
            }
            self.changed.wait_for(&mut ended, RETRY);
        }
    }
}

/// The storage of the state database: what it writes is flushed bit by bit, waits for space, and is given up
/// after a failure.
///
/// A failed write may be made good: redb writes the page again. A failed flush may not. The system may
/// have dropped what it was to write and take it for written, so that the next flush succeeds without it.
/// redb goes on after an error where it only wanted to make room in memory. So every write and flush fails from
/// then on, whatever the system says.
#[derive(Debug)]
pub(super) struct StateFile {
    below: Arc<dyn StorageBackend>,
    path: PathBuf,
    patience: Arc<Patience>,
    /// Bytes written since the last flush.
    unflushed: AtomicUsize,
    /// Whether a flush has failed.
    failed: AtomicBool,
}

impl StateFile {
    pub(super) fn over(
        below: Arc<dyn StorageBackend>,
        path: &Path,
        patience: Arc<Patience>,
    ) -> Self {
        let (unflushed, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { below, path: path.to_path_buf(), patience, unflushed, failed }
    }

    /// Flushes what was written so far, where it is much, and gives way to others.
    fn flush_now_and_then(&self, written: usize) -> io::Result<()> {
        if self.unflushed.fetch_add(written, Ordering::Relaxed) + written < FLUSH_BYTES {
            return Ok(());
        }
        let start = Instant::now();
        self.sync_data()?;
        self.patience.rest(start.elapsed().min(REST_MAX));
        Ok(())
    }

    /// Nothing is written behind a flush that failed.
    fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(io::Error::other(
                "an earlier flush failed: what it was to write may be lost",
            ));
        }
        Ok(())
    }
}

impl StorageBackend for StateFile {
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.patience.retry(|| self.below.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.unflushed.store(0, Ordering::Relaxed);
        self.below.sync_data().inspect_err(|error| {
            self.failed.store(true, Ordering::Relaxed);
            tracing::error!(%error, file = %self.path.display(), "the checkpoint cannot be flushed");
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.patience.retry(|| self.below.write(offset, data))?;
        self.flush_now_and_then(data.len())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }
}

/// A file of the operating system.
#[derive(Debug)]
pub(super) struct OsFile {
    file: File,
    /// Kept alive for as long as redb uses the file: the locks of the data directory.
    _locks: Locks,
}

/// The owner of the locks that protect a data directory.
pub(super) type Locks = Arc<dyn Debug + Send + Sync>;

impl OsFile {
    /// Opens a file, and makes an empty one where there is none.
    pub(super) fn open(path: &Path, locks: Locks) -> Result<Self, StorageError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(StorageError::io("open", path))?;
        Ok(Self { file, _locks: locks })
    }
}

impl StorageBackend for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// Growing takes the space from the disk at once, where the file system can do that.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let current = self.file.metadata()?.len();
        if len > current {
            return fs::reserve(&self.file, current, len);
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// Storage that is shared with an [`Overlay`], which came before it.
#[derive(Debug)]
pub(super) struct Direct(pub(super) Arc<dyn StorageBackend>);

impl StorageBackend for Direct {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// Keeps all changes in memory, and leaves the storage below as it is.
#[derive(Debug)]
pub(super) struct Overlay {
    below: Arc<dyn StorageBackend>,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// Up to where the storage below shows through.
    below_len: u64,
    /// Changed pieces of [`PIECE`] bytes, by their number.
    pieces: BTreeMap<u64, Box<[u8; PIECE]>>,
}

const PIECE: usize = 4096;

impl Overlay {
    pub(super) fn over(below: &Arc<dyn StorageBackend>) -> io::Result<Self> {
        let len = below.len()?;
        let changes = Changes { len, below_len: len, pieces: BTreeMap::new() };
        Ok(Self { below: Arc::clone(below), changes: Mutex::new(changes) })
    }

    /// Reads a piece as it is with the changes.
    fn piece(&self, changes: &Changes, number: u64) -> io::Result<Box<[u8; PIECE]>> {
        if let Some(piece) = changes.pieces.get(&number) {
            return Ok(piece.clone());
        }
        let mut piece = Box::new([0; PIECE]);
        let start = number * PIECE as u64;
        let shown = changes.below_len.saturating_sub(start).min(PIECE as u64);
        if let Some(shown) = usize::try_from(shown).ok().filter(|shown| *shown > 0) {
            self.below.read(start, &mut piece[..shown])?;
        }
        Ok(piece)
    }
}

/// The pieces that a range touches: number, range in the piece, range in the buffer.
fn touched(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = usize::try_from(at % PIECE as u64).unwrap_or(0);
        let count = (PIECE - start).min(len - done);
        let touched = (at / PIECE as u64, start..start + count, done..done + count);
        done += count;
        (count > 0).then_some(touched)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes.lock();
        if offset + out.len() as u64 > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (first, end) = (offset / PIECE as u64, offset + out.len() as u64);
        let changed = changes.pieces.range(first..end.div_ceil(PIECE as u64)).next().is_some();
        if !changed && end <= changes.below_len {
            return self.below.read(offset, out);
        }
        for (number, inside, outside) in touched(offset, out.len()) {
            out[outside].copy_from_slice(&self.piece(&changes, number)?[inside]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes.lock();
        changes.len = len;
        changes.below_len = changes.below_len.min(len);
        changes.pieces.split_off(&len.div_ceil(PIECE as u64));
        let end = usize::try_from(len % PIECE as u64).unwrap_or(0);
        if let Some(last) = changes.pieces.get_mut(&(len / PIECE as u64)) {
            last[end..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes.lock();
        for (number, inside, outside) in touched(offset, data.len()) {
            let mut piece = self.piece(&changes, number)?;
            piece[inside].copy_from_slice(&data[outside]);
            changes.pieces.insert(number, piece);
        }
        Ok(())
    }
}
