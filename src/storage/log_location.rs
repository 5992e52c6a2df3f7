//! Where the log of a data directory is: in it, or in a directory of its own (`dataLogDir`).
//!
//! The choice is made when the data directory is made. A note in the data directory says that the
//! log is elsewhere, so that a server that is told nothing of it does not begin with an empty log;
//! the directory of the log has the identity of the data directory, so that no other is taken for
//! it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use kernel::ensemble::MemberId;

use super::StorageError;
use super::directory::{
    ELSEWHERE, OpenOptions, initialize, inspect, lock, random_life, write_identity,
};
use super::identity::Identity;
use crate::env::fs::{self, File};

/// The folder of the log files within the directory of the log.
const LOG: &str = "log";

/// The place of a log, not yet locked or made.
pub(super) struct LogLocation<'a> {
    data: &'a Path,
    /// The directory of the log, where it has one of its own.
    apart: Option<&'a Path>,
    /// What is known of that directory.
    known: Option<Identity>,
}

impl<'a> LogLocation<'a> {
    /// Judges where the log has to be, without touching anything. `identity` is that of the data
    /// directory, if it has one.
    pub(super) fn resolve(
        data: &'a Path,
        identity: Option<Identity>,
        options: &'a OpenOptions,
    ) -> Result<Self, StorageError> {
        let apart = options.log_dir.as_deref().filter(|dir| !is_same(dir, data));
        let note = identity.and_then(|_| fs::read_to_string(data.join(ELSEWHERE)).ok());
        let refuse =
            |what: String| Err(StorageError::LogLocation { path: data.to_path_buf(), what });
        let known = match (identity, note, apart) {
            (Some(_), None, None) | (None, _, None) => None,
            (None, _, Some(dir)) => inspect(dir, options)?,
            (Some(_), None, Some(_)) => {
                return refuse(
                    "its log is in its own folder `log`, and stays there. Remove dataLogDir, or \
                     start with a new dataDir"
                        .to_owned(),
                );
            }
            (Some(_), Some(note), None) => {
                return refuse(format!("its log was in {note}. Set dataLogDir to that directory"));
            }
            (Some(identity), Some(note), Some(dir)) => {
                let expected = OpenOptions { cluster: Some(identity.cluster), ..options.clone() };
                match inspect(dir, &expected)? {
                    Some(known) => Some(known),
                    None => {
                        let dir = dir.display();
                        return refuse(format!(
                            "its log was in {note}, and there is none in {dir}. Set dataLogDir to \
                             where it is"
                        ));
                    }
                }
            }
        };
        Ok(Self { data, apart, known })
    }

    /// Locks the directory of the log, and makes it where there is none; the data directory is made
    /// after it, with the identity that this returns.
    pub(super) fn open(
        &self,
        options: &OpenOptions,
    ) -> Result<(Option<File>, Option<Identity>), StorageError> {
        let Some(dir) = self.apart else { return Ok((None, None)) };
        let lock = lock(dir)?;
        if let Some(identity) = self.known {
            self.note(dir)?;
            return Ok((Some(lock), Some(identity)));
        }
        let identity = match inspect(dir, options)? {
            Some(identity) => identity,
            None => initialize(dir, options)?,
        };
        self.note(dir)?;
        Ok((Some(lock), Some(identity)))
    }

    /// The directory that has the folder of the log files.
    pub(super) fn root(&self) -> &Path {
        self.apart.unwrap_or(self.data)
    }

    /// Draws a new life for a directory whose log is new. The directory of the log has it first: it is the
    /// one that counts.
    pub(super) fn renew(&self, data: &Path, old: Identity) -> Result<Identity, StorageError> {
        let member = MemberId { life: random_life(), ..old.member };
        let identity = Identity { member, ..old };
        if let Some(apart) = self.apart {
            write_identity(apart, &identity)?;
        }
        write_identity(data, &identity)?;
        Ok(identity)
    }

    /// The folder of the log files.
    pub(super) fn path(&self) -> PathBuf {
        self.root().join(LOG)
    }

    fn note(&self, dir: &Path) -> Result<(), StorageError> {
        let file = self.data.join(ELSEWHERE);
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        let text = dir.to_string_lossy();
        if fs::read_to_string(&file).is_ok_and(|found| found == text) {
            return Ok(());
        }
        let write = || -> std::io::Result<()> {
            let mut out = File::create(&file)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()
        };
        write().map_err(StorageError::io("write", &file))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}
