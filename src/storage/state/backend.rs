//! The file under the state database.
//!
//! redb gives a database up after the first error of its file. A full disk must not do that: space
//! is taken when the file grows, and growing waits until there is some. The data directory is
//! locked as a whole, so the file needs no lock of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use redb::StorageBackend;
use rustix::fs::FallocateFlags;

use crate::storage::StorageError;
use crate::storage::error::is_disk_full;

/// How long a full disk is left alone before the next try.
const RETRY: Duration = Duration::from_millis(250);

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

    /// Runs an operation, again and again while the disk is full.
    fn retry(&self, mut operation: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            let Err(error) = operation() else {
                self.waiting.store(false, Ordering::Relaxed);
                return Ok(());
            };
            let mut ended = self.ended.lock();
            if !is_disk_full(&error) || *ended {
                return Err(error);
            }
            if !self.waiting.swap(true, Ordering::Relaxed) {
                tracing::warn!("the disk is full: the checkpoint waits until space returns");
            }
            self.changed.wait_for(&mut ended, RETRY);
        }
    }
}

/// A file of the operating system as redb's storage.
#[derive(Debug)]
pub struct StateFile {
    file: File,
    path: PathBuf,
    patience: Arc<Patience>,
}

impl StateFile {
    pub(super) fn open(path: &Path, patience: Arc<Patience>) -> Result<Self, StorageError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(StorageError::io("open", path))?;
        Ok(Self { file, path: path.to_path_buf(), patience })
    }

    /// Changes the length; growing takes the space from the disk at once, where the file system
    /// can do that.
    fn resize(&self, len: u64) -> io::Result<()> {
        let current = self.file.metadata()?.len();
        if len > current {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), current, len - current)
            {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.file.set_len(len)
    }
}

impl StorageBackend for StateFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.patience.retry(|| self.resize(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|error| {
            tracing::error!(%error, file = %self.path.display(), "the checkpoint cannot be flushed");
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.patience.retry(|| self.file.write_all_at(data, offset))
    }
}
