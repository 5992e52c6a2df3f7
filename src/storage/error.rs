//! What can be wrong with the data on disk, in words for the person who has to act.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failure of the storage. The message says what is wrong, where, and what to do.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The operating system refused an operation.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Bytes that had reached the disk are not what was written.
    #[error(
        "{} is damaged at byte {offset}: {what}. Nothing was changed. If this server is one of an \
         ensemble, empty its data directory (and dataLogDir): it joins anew and copies the data of \
         the others. A backup would make it forget what it acknowledged and voted. If it runs on \
         its own, put back a backup of the whole directory",
        path.display()
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// Written by a later version of the software.
    #[error(
        "{} has data format {found}, this version reads formats up to {supported}. Nothing was \
         changed. Start the newer version again",
        path.display()
    )]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// Another process uses the directory.
    #[error(
        "{} is in use by another process. Stop that one first, or give this one a directory of \
         its own",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory holds something else than this server's data.
    #[error("{} is not a data directory of Grovekeeper: {what}. Nothing was changed", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found, and what to do.
        what: String,
    },
    /// The log is not where the configuration says.
    #[error("the data directory {}: {what}. Nothing was changed", path.display())]
    LogLocation {
        /// The data directory.
        path: PathBuf,
        /// Where the log is, and what to do.
        what: String,
    },
    /// The directory belongs to another server or ensemble.
    #[error(
        "{} belongs to {found}, but this is {expected}. Nothing was changed. Check the data \
         directory and `myid`",
        path.display()
    )]
    WrongOwner {
        /// The data directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who opens it.
        expected: String,
    },
    /// The state database reported an error of its own.
    #[error("the state database {}: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state machine could not encode or decode its own rows.
    #[error("{what}")]
    State {
        /// Which row, and what is wrong with it.
        what: String,
    },
}

impl StorageError {
    /// Attaches what was tried and where to an error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    /// Damage at a place of a file.
    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), offset, what: what.into() }
    }
}

impl From<StorageError> for io::Error {
    fn from(error: StorageError) -> Self {
        let kind = if let StorageError::Io { source, .. } = &error {
            source.kind()
        } else {
            io::ErrorKind::Other
        };
        Self::new(kind, error)
    }
}

/// Whether an error says that the disk, or the user's share of it, is full.
fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What is short, where an error says that something is: to wait for it is better than to end.
pub(crate) fn shortage(error: &io::Error) -> Option<&'static str> {
    if is_disk_full(error) {
        Some("the disk is full")
    } else if is_out_of_files(error) {
        Some("all file descriptors are in use (`ulimit -n`)")
    } else {
        None
    }
}

/// Whether an error says that this process, or the whole system, has too many files open.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// What a person can do about an error of the operating system.
fn advice(error: &io::Error) -> &'static str {
    if is_disk_full(error) {
        ". Free some disk space"
    } else if is_out_of_files(error) {
        ". Raise the limit of open files (`ulimit -n`)"
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        ". Give the user that runs Grovekeeper read and write permission"
    } else if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        ". Choose a directory on a writable file system"
    } else {
        ""
    }
}
