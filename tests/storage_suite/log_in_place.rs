//! Appends that are written by whoever proposed them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use grovekeeper::storage::log::{Call, EntryKind, InPlace, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, RaftLog, Vote};

use super::fake_disk::FakeDisk;

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(30);

/// More than a busy machine needs to be in time once.
const TRIES: usize = 10_000;

fn log() -> RaftLog {
    let options = LogOptions {
        segment_bytes: 1 << 20,
        low_water_bytes: 0,
        tick: Duration::from_millis(5),
        ..LogOptions::default()
    };
    RaftLog::open(Arc::new(FakeDisk::default()), &options).unwrap()
}

/// The way to the one who writes in place; what comes out tells of calls, and of being found stuck.
fn calls(log: &RaftLog) -> (InPlace, Receiver<()>, Receiver<()>) {
    let ((to_write, called), (stuck, found_stuck)) = (mpsc::channel(), mpsc::channel());
    let in_place = log.write_in_place(Call {
        to_write: Box::new(move || to_write.send(()).unwrap_or(())),
        stuck: Box::new(move || stuck.send(()).unwrap_or(())),
    });
    (in_place, called, found_stuck)
}

fn append(log: &RaftLog, len: usize) -> Receiver<ThreadId> {
    let index = log.state().last.map_or(0, |last| last.index + 1);
    let payload = Bytes::from(vec![7; len]);
    let position = LogPosition { term: 1, index };
    let (sender, done) = mpsc::channel();
    let entry = LogEntry { position, kind: EntryKind::Normal, payload };
    log.append(
        [entry],
        Box::new(move |result| {
            result.unwrap();
            sender.send(thread::current().id()).unwrap();
        }),
    )
    .unwrap();
    done
}

#[test]
fn small_appends_to_an_idle_log_are_written_in_place() {
    // Whoever is called writes, and is done when that returns. Not always: a machine that is too busy
    // to come in time, or a flush that took long, leaves it to the thread.
    let log = log();
    let (in_place, called, _stuck) = calls(&log);
    let written_here = (0..TRIES).any(|_| {
        let done = append(&log, 100);
        while called.try_recv().is_ok() {
            in_place.write();
        }
        done.recv_timeout(SOON).unwrap() == thread::current().id()
    });
    assert!(written_here, "nothing was written in place");
}

#[test]
fn what_may_take_long_is_never_written_in_place() {
    // Large appends, votes and purges are the thread's, also where a small append was to be written in
    // place and they came with it.
    let log = log();
    let (in_place, called, _stuck) = calls(&log);
    for _ in 0..20 {
        let large = append(&log, 6 << 10);
        while called.try_recv().is_ok() {
            in_place.write();
        }
        assert_ne!(large.recv_timeout(SOON).unwrap(), thread::current().id());
        let small = append(&log, 10);
        let (sender, voted) = mpsc::channel();
        let vote = Vote { term: 1, server: 1, committed: true };
        log.save_vote(vote, Box::new(move |_| sender.send(thread::current().id()).unwrap()));
        while called.try_recv().is_ok() {
            in_place.write();
        }
        small.recv_timeout(SOON).unwrap();
        assert_ne!(voted.recv_timeout(SOON).unwrap(), thread::current().id());
    }
}

#[test]
fn who_does_not_come_is_not_waited_for() {
    // Where nobody comes the thread writes, and says that somebody is stuck. Nothing is written twice
    // when he comes after all.
    let log = log();
    let (in_place, called, stuck) = calls(&log);
    for round in 1..=3 {
        let done = append(&log, 100);
        assert_ne!(done.recv_timeout(SOON).unwrap(), thread::current().id());
        while called.try_recv().is_ok() {
            stuck.recv_timeout(SOON).unwrap();
        }
        in_place.write();
        assert_eq!(log.state().last.map(|last| last.index), Some(round - 1));
        assert_eq!(log.read(0..u64::MAX).unwrap().len() as u64, round);
    }
}

#[test]
fn a_log_that_is_closed_needs_nobody() {
    // What was to be written in place is written when the log is closed; who comes later finds nothing to
    // do, and hears that the log is gone.
    let log = log();
    let (in_place, called, _stuck) = calls(&log);
    let done = append(&log, 100);
    drop(log);
    done.recv_timeout(SOON).unwrap();
    in_place.write();
    while called.recv_timeout(SOON).is_ok() {}
    assert_eq!(called.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}
