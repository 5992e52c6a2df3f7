//! Segments that are of no more use.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use grovekeeper::storage::log::{EntryKind, FileSystem, LogFile, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, RaftLog};
use parking_lot::{Condvar, Mutex};

use super::fake_disk::FakeDisk;

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(30);

/// How removals go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removals {
    Hang,
    Fail,
    Succeed,
}

/// A disk whose removals of segments take as long as the test wants.
#[derive(Clone, Debug)]
struct Slow {
    disk: FakeDisk,
    removals: Arc<(Mutex<Removals>, Condvar)>,
}

impl Slow {
    fn new(removals: Removals) -> Self {
        let removals = Arc::new((Mutex::new(removals), Condvar::new()));
        Self { disk: FakeDisk::default(), removals }
    }

    fn set(&self, removals: Removals) {
        *self.removals.0.lock() = removals;
        self.removals.1.notify_all();
    }

    /// Lets removals succeed, and waits until no more than two segments are left.
    fn wait_until_removed(&self) {
        self.set(Removals::Succeed);
        let (removals, changed) = &*self.removals;
        let are_left = |_: &mut Removals| self.segments().len() > 2;
        changed.wait_while_for(&mut removals.lock(), are_left, SOON);
        assert!(self.segments().len() <= 2, "{:?}", self.segments());
    }

    fn segments(&self) -> Vec<String> {
        let mut names = self.disk.list().unwrap();
        names.retain(|name| !name.starts_with("spare-"));
        names.sort_unstable();
        names
    }
}

impl FileSystem for Slow {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if name.starts_with("spare-") {
            return self.disk.remove(name);
        }
        let (removals, changed) = &*self.removals;
        let mut now = removals.lock();
        changed.wait_while_for(&mut now, |now| *now == Removals::Hang, SOON);
        match *now {
            Removals::Succeed => {
                let removed = self.disk.remove(name);
                changed.notify_all();
                removed
            }
            Removals::Hang | Removals::Fail => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        self.disk.available_bytes()
    }
}

fn open(disk: &Slow) -> RaftLog {
    let tick = Duration::from_millis(5);
    let options =
        LogOptions { segment_bytes: 64 << 10, low_water_bytes: 0, tick, ..LogOptions::default() };
    RaftLog::open(Arc::new(disk.clone()), &options).unwrap()
}

/// Appends an entry of 20 KB and waits until it is durable.
fn append(log: &RaftLog) {
    let index = log.state().last.map_or(0, |last| last.index + 1);
    let position = LogPosition { term: 1, index };
    let entry =
        LogEntry { position, kind: EntryKind::Normal, payload: Bytes::from(vec![7; 20_000]) };
    let (done, is_done) = mpsc::channel();
    log.append([entry], Box::new(move |result| done.send(result.is_ok()).unwrap())).unwrap();
    assert!(is_done.recv_timeout(SOON).expect("writes go on"));
}

/// Ten segments, of which all but the last are purged.
fn purged(log: &RaftLog) -> LogPosition {
    (0..30).for_each(|_| append(log));
    let upto = LogPosition { term: 1, index: 28 };
    let (done, is_done) = mpsc::channel();
    log.purge(upto, Box::new(move |result| done.send(result.is_ok()).unwrap()));
    assert!(is_done.recv_timeout(SOON).expect("writes go on"));
    upto
}

#[test]
fn nobody_who_writes_waits_until_segments_are_removed() {
    // A checkpoint makes dozens of them free at once, each of which takes as long as many flushes to remove. Writes go
    // on meanwhile, and all of them go in the end.
    let disk = Slow::new(Removals::Hang);
    let log = open(&disk);
    purged(&log);
    let before = disk.segments().len();
    append(&log);
    assert!(before >= 10 && disk.segments().len() >= before, "nothing was removed yet");
    disk.wait_until_removed();
    append(&log);
}

#[test]
fn a_segment_that_cannot_be_removed_keeps_those_behind_it() {
    // Else the log had a gap, and would be refused at the next start.
    let disk = Slow::new(Removals::Fail);
    let log = open(&disk);
    let upto = purged(&log);
    let all = disk.segments();
    drop(log);
    assert_eq!(disk.segments(), all);
    let log = open(&disk);
    assert_eq!(log.state().purged, Some(upto));
    append(&log);
    disk.wait_until_removed();
    drop(log);
    assert_eq!(open(&disk).state().last.map(|last| last.index), Some(30));
}
