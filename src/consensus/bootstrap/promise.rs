//! The ensemble that a server without data decided on, on disk until it has data with a name.
//!
//! ```text
//! promise   grovekeeper belongs to
//!           ensemble 6f1c…
//!           proposer 1f00000001        `-` where it joins
//!           check 1a2b3c4d
//! ```
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::message::Promise;
use crate::storage::{small_file, sync_directory};

const FILE: &str = "promise";
const TITLE: &str = "grovekeeper belongs to";

/// The file with the promise.
#[derive(Debug)]
pub(crate) struct PromiseFile {
    dir: PathBuf,
    kept: Option<Promise>,
}

impl PromiseFile {
    /// The promise in a data directory, if there is one. It is written anew: where a flush failed before, what is
    /// read may be in memory only.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged: then nothing may be agreed to.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        let found = match fs::read_to_string(dir.join(FILE)) {
            Ok(text) => Some(decode(&text).ok_or_else(|| damaged(&dir))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut file = Self { dir, kept: None };
        found.map_or(Ok(()), |promise| file.make(promise))?;
        Ok(file)
    }

    pub(super) fn get(&self) -> Option<Promise> {
        self.kept
    }

    /// Writes a promise down. It is on disk when this returns.
    pub(super) fn make(&mut self, promise: Promise) -> io::Result<()> {
        if self.kept == Some(promise) {
            return Ok(());
        }
        small_file::write(&self.dir, FILE, &encode(promise))?;
        self.kept = Some(promise);
        Ok(())
    }

    /// Takes a promise back, or forgets one that was kept.
    pub(super) fn drop_it(&mut self) -> io::Result<()> {
        if self.kept.is_some() {
            match fs::remove_file(self.dir.join(FILE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            sync_directory(&self.dir)?;
            self.kept = None;
        }
        Ok(())
    }
}

fn damaged(dir: &std::path::Path) -> io::Error {
    let what = format!("{} is damaged: empty the data directory", dir.join(FILE).display());
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn encode(Promise { name, proposer }: Promise) -> String {
    let proposer = proposer.map_or_else(|| "-".to_owned(), |id| format!("{id:x}"));
    let body = format!("{TITLE}\nensemble {name:032x}\nproposer {proposer}\n");
    format!("{body}check {:08x}\n", crc32fast::hash(body.as_bytes()))
}

fn decode(text: &str) -> Option<Promise> {
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name);
    field(TITLE)?;
    let name = u128::from_str_radix(field("ensemble ")?, 16).ok()?;
    let proposer = match field("proposer ")? {
        "-" => None,
        id => Some(u64::from_str_radix(id, 16).ok()?),
    };
    let promise = Promise { name, proposer };
    (encode(promise) == text).then_some(promise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, assert_written, golden};

    #[test]
    fn promises_of_earlier_builds_are_read() {
        // A promise binds its server over an upgrade.
        for (name, proposer) in
            [("file.promise", Some(0x5f2a_c01d_0000_012c)), ("file.promise.joins", None)]
        {
            let promise = Promise { name: 0x6f1c << 100, proposer };
            assert_written(BUILD_5DE72FB, name, encode(promise).as_bytes());
            let text = String::from_utf8(golden(BUILD_5DE72FB, name)).unwrap();
            assert_eq!(decode(&text), Some(promise));
        }
    }

    #[test]
    fn a_promise_is_kept_over_restarts() {
        // One promise at a time; what is damaged is no promise, and no leave to make another one.
        let dir = tempfile::tempdir().unwrap();
        let open = || PromiseFile::open(dir.path().to_owned());
        assert_eq!(open().unwrap().get(), None);
        for proposer in [None, Some(1 << 40 | 3)] {
            let promise = Promise { name: 7, proposer };
            open().unwrap().make(promise).unwrap();
            assert_eq!(open().unwrap().get(), Some(promise));
        }
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        fs::write(dir.path().join(FILE), text.replace('7', "8")).unwrap();
        assert!(open().is_err());
        fs::write(dir.path().join(FILE), text).unwrap();
        open().unwrap().drop_it().unwrap();
        assert_eq!(open().unwrap().get(), None);
    }
}
