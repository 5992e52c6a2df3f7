//! The data directory: who may use it, and what is in it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::ensemble::MemberId;

use super::identity::{ClusterId, Identity};
use super::log::{LogOptions, OsDirectory, RaftLog, ReadLog};
use super::log_location::{ELSEWHERE, LogLocation};
use super::state::VerifiedState;
use super::{KnownStarts, Spool, StateDb, StorageError, starts};
use crate::env::fs::{self, File, TryLockError};
use crate::env::random;
use crate::env::thread;
use crate::storage::log;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const IDENTITY_UNFINISHED: &str = "identity.tmp";
const STATE: &str = "state.redb";

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

/// An opened data directory. It stays locked for as long as anything writes to it: the log and the
/// state database hold the locks, and so do their threads until they have ended.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    log: RaftLog,
    state: StateDb,
    log_path: PathBuf,
    starts: u64,
}

impl DataDir {
    /// Opens a data directory, or makes one when the directory is empty or does not exist.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the directory, as a message that says what to do; then no file of it
    /// was changed.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, StorageError> {
        let known = inspect(path, options)?;
        let place = LogLocation::resolve(path, known, options)?;
        let own_lock = lock(path)?;
        let (log_lock, of_log) = place.open(options)?;
        let cluster = of_log.map(|identity| identity.cluster).or(options.cluster);
        let options = &OpenOptions { cluster, ..options.clone() };
        let identity = match known {
            Some(identity) => identity,
            // Another process may have been first: what counts is what is there under the lock.
            None => match inspect(path, options)? {
                Some(identity) => identity,
                None => match of_log {
                    // What is left of a server is its log, and that is what counts.
                    Some(of_log) => {
                        write_identity(path, &of_log)?;
                        of_log
                    }
                    None => initialize(path, options)?,
                },
            },
        };
        let log_path = place.path();
        make_directory(&log_path)?;
        // Both are judged before either is changed.
        let locks = Arc::new((own_lock, log_lock));
        let directory = OsDirectory::new(&log_path).holding(locks.clone());
        let (log, state) = judge(
            path,
            || ReadLog::read(Arc::new(directory), &options.log),
            || VerifiedState::verify(&path.join(STATE), locks),
        )?;
        let state = state.open()?;
        let identity = if log.is_new() && state.mark().position.is_none() {
            // Whatever life the directory had, the log that it stood for is gone.
            place.renew(path, identity)?
        } else {
            check_life(path, identity, of_log)?;
            identity
        };
        let log = log.open()?;
        let starts = starts::count(place.root())?;
        // Also what an earlier process named that was killed.
        sync(path)?;
        log_path.parent().filter(|dir| *dir != path).map_or(Ok(()), sync)?;
        Ok(Self { path: path.to_path_buf(), identity, log, state, log_path, starts })
    }

    /// Who this server is in the consensus.
    pub fn member(&self) -> MemberId {
        self.identity.member
    }

    /// How many servers were started on this log, this one included.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// What is remembered of the starts of other servers.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`], [`StorageError::Corrupt`].
    pub fn known_starts(&self) -> Result<KnownStarts, StorageError> {
        KnownStarts::open(&self.path)
    }

    /// The folder of the log.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose data it holds.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The Raft log.
    pub fn log(&self) -> &RaftLog {
        &self.log
    }

    /// The checkpoint of the state.
    pub fn state(&self) -> &StateDb {
        &self.state
    }

    /// The place for rows received from another server. There is one: whoever asks again removes
    /// what the first one holds.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`]: what an earlier process left cannot be removed.
    pub fn spool(&self) -> Result<Spool, StorageError> {
        Spool::open(&self.path)
    }

    /// Whether new writes should be refused because the disk is (nearly) full.
    pub fn disk_full(&self) -> bool {
        self.log.disk_full() || self.state.disk_full()
    }
}

/// Reads log and state at the same time: each is much. Where both are refused, the log is what the error
/// names. The log is read by the calling thread, for what it keeps in memory is to share the allocator's
/// space with the tree that comes next.
fn judge(
    path: &Path,
    log: impl FnOnce() -> Result<ReadLog, StorageError>,
    state: impl FnOnce() -> Result<VerifiedState, StorageError> + Send,
) -> Result<(ReadLog, VerifiedState), StorageError> {
    thread::scope(|scope| {
        let state = thread::Builder::new()
            .name("state-verify".into())
            .spawn_scoped(scope, state)
            .map_err(StorageError::io("start a thread to read", path))?;
        let log = log();
        let state = state.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((log?, state?))
    })
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

fn wrong_owner(path: &Path, found: &Identity, expected: &Identity) -> StorageError {
    let (found, expected) = (found.to_string(), expected.to_string());
    StorageError::WrongOwner { path: path.to_path_buf(), found, expected }
}

/// A log belongs to the directory whose checkpoint rests on it, and to no earlier life of it.
fn check_life(
    path: &Path,
    identity: Identity,
    of_log: Option<Identity>,
) -> Result<(), StorageError> {
    match of_log.filter(|of_log| of_log.member != identity.member) {
        Some(of_log) => Err(wrong_owner(path, &identity, &of_log)),
        None => Ok(()),
    }
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

fn make_directory(path: &Path) -> Result<(), StorageError> {
    log::make_directory(path).map_err(StorageError::io("make the directory", path))
}

fn sync(path: &Path) -> Result<(), StorageError> {
    log::sync_directory(path).map_err(StorageError::io("flush", path))
}
