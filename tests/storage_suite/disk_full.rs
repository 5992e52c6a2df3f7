//! A full disk makes the log wait, and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use grovekeeper::consensus::{ConsensusConfig, ProposeError};
use grovekeeper::storage::log::{EntryKind, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, OpenOptions, RaftLog};

use super::fake_disk::FakeDisk;
use super::toy::Server;

const SEGMENT: u64 = 4096;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT,
        low_water_bytes: 0,
        tick: Duration::from_millis(5),
        ..LogOptions::default()
    }
}

fn entry(index: u64) -> LogEntry {
    let position = LogPosition { term: 1, index };
    LogEntry { position, kind: EntryKind::Normal, payload: Bytes::from(vec![index as u8; 300]) }
}

/// Asks again and again, for a minute at most.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let (_alive, never) = mpsc::channel::<()>();
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(5));
    }
    panic!("it never happened: {what}");
}

/// Entries that were accepted before and while the disk was full are written when there is space
/// again, in order, and none of them fails.
#[test]
fn accepted_entries_wait_for_space_and_complete() {
    let disk = FakeDisk::default();
    let log = RaftLog::open(Arc::new(disk.clone()), &options()).unwrap();
    wait_for("a spare is prepared", || disk.used() == 2 * SEGMENT);
    assert!(!log.disk_full());
    disk.set_capacity(Some(disk.used()));
    let (sender, done) = mpsc::channel();
    for index in 0..100 {
        let sender = sender.clone();
        let completion = Box::new(move |result| sender.send((index, result)).unwrap());
        log.append([entry(index)], completion).unwrap();
    }
    wait_for("the disk is found full", || log.disk_full());
    // Two segments of 4096 bytes take at most 24 entries; the others must wait.
    let before: Vec<_> = done.try_iter().collect();
    assert!(before.len() < 25, "{} of 100 were reported done", before.len());
    disk.set_capacity(None);
    let after: Vec<_> = done.iter().take(100 - before.len()).collect();
    for (expected, (index, result)) in (0..).zip(before.into_iter().chain(after)) {
        assert_eq!(index, expected);
        result.unwrap();
    }
    wait_for("the disk is found not full", || !log.disk_full());
    drop(log);
    let log = RaftLog::open(Arc::new(disk), &options()).unwrap();
    assert_eq!(log.read(0..100).unwrap(), (0..100).map(entry).collect::<Vec<_>>());
}

/// A process that may open no more files waits until it may, as it waits for space: entries that were
/// accepted are written then, and none of them fails.
#[test]
fn a_log_that_can_open_no_file_waits_until_it_can() {
    let disk = FakeDisk::default();
    let log = RaftLog::open(Arc::new(disk.clone()), &options()).unwrap();
    wait_for("a spare is prepared", || disk.used() == 2 * SEGMENT);
    disk.set_out_of_files(true);
    let (sender, done) = mpsc::channel();
    for index in 0..100 {
        let sender = sender.clone();
        log.append([entry(index)], Box::new(move |result| sender.send(result).unwrap())).unwrap();
    }
    wait_for("the log finds that it can open nothing", || log.disk_full());
    let before = done.try_iter().count();
    assert!(before < 100, "all were written without a file");
    disk.set_out_of_files(false);
    for result in done.iter().take(100 - before) {
        result.unwrap();
    }
    wait_for("writes are taken again", || !log.disk_full());
    assert_eq!(log.read(0..100).unwrap(), (0..100).map(entry).collect::<Vec<_>>());
}

/// The disk counts as full below the low-water mark, before anything has to wait.
#[test]
fn the_low_water_mark_comes_before_the_full_disk() {
    let disk = FakeDisk::default();
    let options = LogOptions { low_water_bytes: 10_000, ..options() };
    let log = RaftLog::open(Arc::new(disk.clone()), &options).unwrap();
    wait_for("a spare is prepared", || disk.used() == 2 * SEGMENT);
    disk.set_capacity(Some(disk.used() + 9_999));
    wait_for("the disk is found full", || log.disk_full());
    let (sender, done) = mpsc::channel();
    log.append([entry(0)], Box::new(move |result| sender.send(result).unwrap())).unwrap();
    done.recv().unwrap().unwrap();
    disk.set_capacity(Some(disk.used() + 20_000));
    wait_for("the disk is found not full", || !log.disk_full());
}

/// Proposals are refused with the reason while the disk is full; the server leads and reads.
#[test]
fn proposals_are_refused_while_the_disk_is_full() {
    let temp = tempfile::tempdir().unwrap();
    let path: &Path = temp.path();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut open = OpenOptions::new(1);
        open.log.low_water_bytes = u64::MAX;
        let server = Server::start_with(path, &open, ConsensusConfig::standalone(1)).await;
        wait_for("the disk is found full", || server.consensus.disk_full());
        let refused = server.proposer.push(|buffer| buffer.put_u64(1));
        assert_eq!(refused, Err(ProposeError::DiskFull));
        let refused = server.consensus.propose(Bytes::new()).await;
        assert_eq!(refused, Err(ProposeError::DiskFull));
        server.consensus.read_barrier().await.unwrap();
        server.consensus.shutdown().await;
    });
}
