//! Whose a directory is: its lock and its identity, for the data directory and for one that the log has of its own.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::ensemble::MemberId;

use super::identity::{ClusterId, Identity};
use super::log::LogOptions;
use super::{StorageError, log};
use crate::env::fs::{self, File, TryLockError};
use crate::env::{random, thread};

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const IDENTITY_UNFINISHED: &str = "identity.tmp";

/// The note in the data directory that its log is elsewhere; it names the directory of the log as it was called then.
pub(super) const ELSEWHERE: &str = "log-elsewhere";

/// A server that is just ending gets a second to do so before its directory counts as in use.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// How a data directory is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The number of this server (`myid`). A directory of another one is refused.
    pub server: u64,
    /// A number under which an earlier build may have made the directory: one that took 0 for "none".
    pub formerly: Option<u64>,
    /// The ensemble the directory must belong to; `None` accepts any, and draws a new one for a
    /// new directory.
    pub cluster: Option<ClusterId>,
    /// Sizes of the log.
    pub log: LogOptions,
    /// A directory of its own for the log (`dataLogDir`); `None`, or the data directory itself, for
    /// a folder in the data directory. Chosen when the data directory is made.
    pub log_dir: Option<PathBuf>,
}

impl OpenOptions {
    /// Any ensemble, and the usual sizes.
    pub fn new(server: u64) -> Self {
        let (cluster, log, log_dir) = (None, LogOptions::default(), None);
        Self { server, formerly: None, cluster, log, log_dir }
    }
}

/// Judges a directory without touching it: its identity, or `None` when a new one may be made.
pub(super) fn inspect(
    path: &Path,
    options: &OpenOptions,
) -> Result<Option<Identity>, StorageError> {
    let names = match fs::read_dir(path) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(StorageError::io("list", path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open the data directory", path)(error)),
    };
    let file = path.join(IDENTITY);
    if !names.iter().any(|name| name == IDENTITY) {
        return check_empty(path, &names).map(|()| None);
    }
    let text = fs::read(&file).map_err(StorageError::io("read", &file))?;
    let identity = Identity::decode(&file, &text)?;
    let cluster = options.cluster.unwrap_or(identity.cluster);
    let MemberId { number, life } = identity.member;
    let is_former = life == 0 && options.formerly == Some(number);
    if identity.cluster == cluster && (number == options.server || is_former) {
        return Ok(Some(identity));
    }
    let expected = Identity { cluster, member: MemberId { number: options.server, life } };
    Err(wrong_owner(path, &identity, &expected))
}

/// The error for a directory of another ensemble or server.
pub(super) fn wrong_owner(path: &Path, found: &Identity, expected: &Identity) -> StorageError {
    let (found, expected) = (found.to_string(), expected.to_string());
    StorageError::WrongOwner { path: path.to_path_buf(), found, expected }
}

/// A directory without identity may hold nothing but what an interrupted first start leaves.
fn check_empty(path: &Path, names: &[String]) -> Result<(), StorageError> {
    let ours = [LOCK, IDENTITY_UNFINISHED, ELSEWHERE, "lost+found", "myid", "initialize"];
    let Some(other) = names.iter().find(|name| !ours.contains(&name.as_str())) else {
        return Ok(());
    };
    let what = if names.iter().any(|name| name == "version-2") {
        "it holds the data of an Apache ZooKeeper (`version-2`). Choose another, empty directory"
            .to_owned()
    } else {
        format!("it holds `{other}`. Choose an empty directory, or one that does not exist yet")
    };
    Err(StorageError::Foreign { path: path.to_path_buf(), what })
}

/// Takes the lock of a directory, which is made if there is none. It is held until the file is closed.
pub(super) fn lock(path: &Path) -> Result<File, StorageError> {
    make_directory(path)?;
    let file = path.join(LOCK);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let lock = options.open(&file).map_err(StorageError::io("open", &file))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => wait(LOCK_WAIT),
            Err(TryLockError::Error(error)) => return Err(StorageError::io("lock", &file)(error)),
        }
    }
    Err(StorageError::InUse { path: path.to_path_buf() })
}

#[expect(clippy::disallowed_methods, reason = "the holder of the lock cannot be asked")]
fn wait(time: Duration) {
    thread::sleep(time);
}

/// Writes the identity of a new directory. It comes first: whatever else is in the directory, it
/// is known to be ours.
pub(super) fn initialize(path: &Path, options: &OpenOptions) -> Result<Identity, StorageError> {
    let cluster = match options.cluster {
        Some(cluster) => cluster,
        None => ClusterId(u128::from_le_bytes(random::bytes())),
    };
    // A new log gets a life of its own before it is begun.
    let member = MemberId { number: options.server, life: 0 };
    let identity = Identity { cluster, member };
    write_identity(path, &identity)?;
    Ok(identity)
}

/// Writes an identity, all or nothing.
pub(super) fn write_identity(path: &Path, identity: &Identity) -> Result<(), StorageError> {
    let unfinished = path.join(IDENTITY_UNFINISHED);
    let file = path.join(IDENTITY);
    let write = || -> io::Result<()> {
        let mut out = File::create(&unfinished)?;
        out.write_all(identity.encode().as_bytes())?;
        out.sync_all()?;
        fs::rename(&unfinished, &file)
    };
    write().map_err(StorageError::io("write", &file))?;
    sync(path)
}

/// A life for a new log: any number but 0.
pub(super) fn random_life() -> u32 {
    loop {
        let life = u32::from_le_bytes(random::bytes());
        if life != 0 {
            return life;
        }
    }
}

/// Makes a directory, and its name durable.
pub(super) fn make_directory(path: &Path) -> Result<(), StorageError> {
    log::make_directory(path).map_err(StorageError::io("make the directory", path))
}

/// Makes the names in a directory durable.
pub(super) fn sync(path: &Path) -> Result<(), StorageError> {
    log::sync_directory(path).map_err(StorageError::io("flush", path))
}
