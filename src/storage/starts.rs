//! How often servers were started on a log.
//!
//! A data directory that is brought back to an earlier moment (a snapshot of a virtual machine, a copy)
//! has forgotten what it acknowledged and voted since. Its starts show that: the other servers
//! remember the highest number that they met ([`KnownStarts`]), so a lower one, or the same one of another process, is
//! such an image. One that was not met since cannot be noticed.
//!
//! Both files are text of two lines or more, and end with a check sum:
//!
//! ```text
//! starts     starts 00000000000000000012    beside the log
//!            check 1a2b3c4d
//! met        3 5f2ac01d 12 9a3f…            number, life, starts and process of each server
//!            check 1a2b3c4d
//! ```
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kernel::ensemble::MemberId;

use super::{StorageError, small_file};
use crate::env::fs;

const STARTS: &str = "starts";
const MET: &str = "met";

/// Servers that are remembered: more than an ensemble ever had.
const MET_MAX: usize = 1024;

/// Counts a start in the directory of the log; returns how many there were, this one included.
///
/// # Errors
/// [`StorageError`]: the file cannot be read or written, or is damaged.
pub(super) fn count(dir: &Path) -> Result<u64, StorageError> {
    let file = dir.join(STARTS);
    let before = match read(&file)? {
        None => 0,
        Some(body) => {
            let number = body.trim_end().strip_prefix("starts ").map(str::parse::<u64>);
            number
                .and_then(Result::ok)
                .ok_or_else(|| StorageError::corrupt(&file, 0, "it has no number of starts"))?
        }
    };
    let now = before + 1;
    // As long as the one before.
    write(dir, STARTS, &format!("starts {now:020}\n"))?;
    Ok(now)
}

/// A start of a server, as it introduces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Start {
    /// How many there were on its log, this one included.
    pub number: u64,
    /// A random number of the process.
    pub process: u64,
}

/// The newest start that was met of each server, on disk.
#[derive(Debug)]
pub struct KnownStarts {
    dir: PathBuf,
    starts: BTreeMap<MemberId, Start>,
}

impl KnownStarts {
    /// What the data directory remembers.
    ///
    /// # Errors
    /// [`StorageError`]: the file cannot be read, or is damaged.
    pub(super) fn open(dir: &Path) -> Result<Self, StorageError> {
        let file = dir.join(MET);
        let body = read(&file)?.unwrap_or_default();
        let starts: Option<BTreeMap<MemberId, Start>> = body.lines().map(parse).collect();
        let starts =
            starts.ok_or_else(|| StorageError::corrupt(&file, 0, "a line has no start"))?;
        Ok(Self { dir: dir.to_path_buf(), starts })
    }

    /// Takes note of a start. Returns the newer one that was met before, where there is one: then the
    /// server's data are of an earlier moment.
    ///
    /// # Errors
    /// [`StorageError`]: it cannot be written down; it is not remembered then.
    pub fn observe(
        &mut self,
        member: MemberId,
        start: Start,
    ) -> Result<Option<Start>, StorageError> {
        if let Some(known) = self.starts.get(&member).copied() {
            if known == start {
                return Ok(None);
            }
            if known.number >= start.number {
                return Ok(Some(known));
            }
        } else if self.starts.len() >= MET_MAX {
            // A peer that made up so many is no member.
            return Ok(None);
        }
        let mut starts = self.starts.clone();
        starts.insert(member, start);
        let lines: String = starts.iter().map(line).collect();
        write(&self.dir, MET, &lines)?;
        self.starts = starts;
        Ok(None)
    }
}

fn line((member, start): (&MemberId, &Start)) -> String {
    let (MemberId { number, life }, Start { number: starts, process }) = (member, start);
    format!("{number} {life:08x} {starts} {process:016x}\n")
}

fn parse(line: &str) -> Option<(MemberId, Start)> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let life = u32::from_str_radix(words.next()?, 16).ok()?;
    let starts = words.next()?.parse().ok()?;
    let process = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_whole = words.next().is_none();
    is_whole.then_some((MemberId { number, life }, Start { number: starts, process }))
}

/// What stands in front of the check sum; `None` where there is no such file.
fn read(file: &Path) -> Result<Option<String>, StorageError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", file)(error)),
    };
    let body = text.rfind("check ").map(|at| text.split_at(at));
    let fits = |(body, check): &(&str, &str)| *check == check_line(body);
    match body.filter(fits) {
        Some((body, _)) => Ok(Some(body.to_owned())),
        None => Err(StorageError::corrupt(file, 0, "its check sum does not fit its text")),
    }
}

fn check_line(body: &str) -> String {
    format!("check {:08x}\n", crc32fast::hash(body.as_bytes()))
}

fn write(dir: &Path, name: &str, body: &str) -> Result<(), StorageError> {
    let written = small_file::write(dir, name, &format!("{body}{}", check_line(body)));
    written.map_err(StorageError::io("write", &dir.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, assert_written, golden};

    #[test]
    fn starts_of_earlier_builds_are_read() {
        // They are counted on, and what was met is remembered, over an upgrade.
        let dir = tempfile::tempdir().unwrap();
        let file = |name| dir.path().join(name);
        for _ in 1..=12 {
            count(dir.path()).unwrap();
        }
        assert_written(BUILD_5DE72FB, "file.starts", &fs::read(file(STARTS)).unwrap());
        let members = [(3, 0, 7), (300, 0x5f2a_c01d, 12)];
        let mut met = KnownStarts::open(dir.path()).unwrap();
        for (number, life, starts) in members {
            let start = Start { number: starts, process: 0x9a3f << 40 };
            met.observe(MemberId { number, life }, start).unwrap();
        }
        assert_written(BUILD_5DE72FB, "file.met", &fs::read(file(MET)).unwrap());
        fs::write(file(STARTS), golden(BUILD_5DE72FB, "file.starts")).unwrap();
        fs::write(file(MET), golden(BUILD_5DE72FB, "file.met")).unwrap();
        assert_eq!(count(dir.path()).unwrap(), 13);
        assert_eq!(KnownStarts::open(dir.path()).unwrap().starts, met.starts);
    }

    #[test]
    fn starts_are_counted_on_disk() {
        // Each start has a number of its own, and a damaged file is refused.
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            assert_eq!(count(dir.path()).unwrap(), number);
        }
        fs::write(dir.path().join(STARTS), "starts 1\ncheck 00000000\n").unwrap();
        assert!(matches!(count(dir.path()), Err(StorageError::Corrupt { .. })));
    }

    #[test]
    fn an_image_of_an_earlier_moment_is_noticed() {
        // A lower number, or the same one of another process, is older than what was met; another life
        // is another member. All this is remembered over restarts.
        let dir = tempfile::tempdir().unwrap();
        let member = |life| MemberId { number: 3, life };
        let start = |number, process| Start { number, process };
        let meet = |life, number, process| {
            KnownStarts::open(dir.path())
                .unwrap()
                .observe(member(life), start(number, process))
                .unwrap()
        };
        assert_eq!(meet(7, 4, 10), None);
        assert_eq!(meet(7, 4, 10), None, "another connection of the same process");
        assert_eq!(meet(7, 5, 11), None);
        assert_eq!(meet(7, 5, 12), Some(start(5, 11)));
        assert_eq!(meet(7, 4, 10), Some(start(5, 11)));
        assert_eq!(meet(8, 1, 13), None);
        assert_eq!(meet(7, 6, 14), None);
    }
}
