//! Damage to the log on disk is told from a torn end, and refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use grovekeeper::storage::log::{EntryKind, LogFile as _, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, RaftLog, StorageError, Vote};

use super::fake_disk::FakeDisk;

type Files = BTreeMap<String, Vec<u8>>;

fn open(disk: &FakeDisk) -> Result<RaftLog, StorageError> {
    let options = LogOptions { segment_bytes: 4096, ..LogOptions::default() };
    RaftLog::open(Arc::new(disk.clone()), &options)
}

fn content(log: &RaftLog) -> (Option<Vote>, Vec<LogEntry>) {
    (log.vote(), log.read(0..u64::MAX).unwrap())
}

/// A log of several segments, closed in order; and what it holds.
fn write() -> (Files, (Option<Vote>, Vec<LogEntry>)) {
    let disk = FakeDisk::default();
    let log = open(&disk).unwrap();
    log.save_vote(Vote { term: 1, server: 1, committed: true }, Box::new(|_| ()));
    for index in 0..40 {
        let position = LogPosition { term: 1, index };
        let payload = Bytes::from(vec![index as u8; 200]);
        let (sender, done) = mpsc::channel();
        let entry = LogEntry { position, kind: EntryKind::Normal, payload };
        log.append([entry], Box::new(move |result| sender.send(result).unwrap())).unwrap();
        done.recv().unwrap().unwrap();
        log.save_committed(Some(position));
    }
    let held = content(&log);
    drop(log);
    (disk.files(), held)
}

/// A flipped bit anywhere in the log is refused with the file and the place, and the files stay as
/// they are; or it changes nothing that is read.
#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    let (original, held) = write();
    let mut refused = 0;
    for (name, bytes) in original.iter().filter(|(name, _)| name.ends_with(".log")) {
        for at in (0..bytes.len()).step_by(5) {
            let mut damaged = original.clone();
            damaged.entry(name.clone()).and_modify(|bytes| bytes[at] ^= 1 << (at % 8));
            let disk = FakeDisk::holding(&damaged);
            match open(&disk) {
                Ok(log) => assert_eq!(content(&log), held, "byte {at} of {name}"),
                Err(error @ (StorageError::Corrupt { .. } | StorageError::NewerFormat { .. })) => {
                    refused += 1;
                    assert!(error.to_string().contains(name), "byte {at} of {name}: {error}");
                    assert!(disk.files() == damaged, "byte {at} of {name}: files were changed");
                }
                Err(error) => panic!("byte {at} of {name}: {error}"),
            }
        }
    }
    assert!(refused > 1000, "only {refused} refused");
}

/// A missing or shortened segment is refused by its name.
#[test]
fn a_missing_or_shortened_segment_is_refused() {
    let (original, _) = write();
    let segments: Vec<&String> = original.keys().filter(|name| name.ends_with(".log")).collect();
    assert!(segments.len() >= 3);
    let refused = |what: &str, change: &dyn Fn(&mut Files)| {
        let mut damaged = original.clone();
        change(&mut damaged);
        let disk = FakeDisk::holding(&damaged);
        let error = open(&disk).expect_err(what);
        assert!(matches!(error, StorageError::Corrupt { .. }), "{what}: {error}");
        assert!(disk.files() == damaged, "{what}: files were changed");
    };
    refused("a segment in the middle is missing", &|files| drop(files.remove(segments[1])));
    refused("the first segment is missing", &|files| drop(files.remove(segments[0])));
    refused("a segment is short", &|files| {
        files.entry(segments[2].clone()).and_modify(|bytes| bytes.truncate(2000));
    });
    refused("a segment is a copy of another", &|files| {
        files.insert(segments[1].clone(), original[segments[0]].clone());
    });
}

/// A log of a later format is refused as such.
#[test]
fn a_newer_format_is_refused() {
    let (mut files, _) = write();
    files.entry("0000000000000001.log".to_owned()).and_modify(|bytes| bytes[8] = 2);
    let error = open(&FakeDisk::holding(&files)).expect_err("format 2");
    assert!(matches!(error, StorageError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
}

/// Entries that are read ahead are those of the log, in order and as far as it goes. Where one cannot be read
/// back, those in front of it come first, then the error that names it, then nothing.
#[test]
fn entries_read_ahead_are_those_of_the_log() {
    let disk = FakeDisk::default();
    let options = LogOptions { cache_bytes_max: 0, ..LogOptions::default() };
    let log = RaftLog::open(Arc::new(disk.clone()), &options).unwrap();
    let entries = (0..60).map(|index| LogEntry {
        position: LogPosition { term: 1, index },
        kind: EntryKind::Normal,
        payload: Bytes::from(vec![index as u8; 30_000]),
    });
    let (sender, done) = mpsc::channel();
    log.append(entries, Box::new(move |result| sender.send(result).unwrap())).unwrap();
    done.recv().unwrap().unwrap();
    for range in [0..60, 7..31, 50..1000, 60..70, 5..5] {
        let batches: Vec<_> = log.read_ahead(range.clone()).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.concat(), log.read(range.clone()).unwrap(), "{range:?}");
        let bytes = |batch: &Vec<LogEntry>| batch.len() * 30_000;
        assert!(batches.iter().all(|batch| bytes(batch) < 600_000), "{range:?}: long batches");
    }
    // Who takes one batch and leaves does not wait for the rest.
    assert!(log.read_ahead(0..60).unwrap().next().is_some());

    let name = "0000000000000001.log";
    let bytes = disk.files().remove(name).unwrap();
    let at = bytes.windows(1000).position(|bytes| bytes == [40; 1000]).unwrap();
    disk.file(name).write_at(&[0], at as u64).unwrap();
    let mut ahead = log.read_ahead(10..60).unwrap();
    let mut found = Vec::new();
    let error = loop {
        match ahead.next().unwrap() {
            Ok(batch) => found.extend(batch),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(found, log.read(10..40).unwrap());
    assert!(error.contains(name) && error.contains("40"), "{error}");
    assert!(ahead.next().is_none());
}
