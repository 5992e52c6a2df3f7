//! The data directory of a server: opening it, and what is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::ensemble::MemberId;

use super::directory::{
    OpenOptions, initialize, inspect, lock, make_directory, sync, write_identity, wrong_owner,
};
use super::identity::Identity;
use super::log::{OsDirectory, RaftLog, ReadLog};
use super::log_location::LogLocation;
use super::state::VerifiedState;
use super::{KnownStarts, Spool, StateDb, StorageError, starts};
use crate::env::thread;

const STATE: &str = "state.redb";

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

    /// The place for rows received from another server. There is one: to ask again removes
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
