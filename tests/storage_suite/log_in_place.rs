//! Appends that are written by whoever proposed them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use grovekeeper::storage::log::{Completion, EntryKind, InPlace, InPlaceHooks, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, RaftLog, Vote};

use super::fake_disk::{FakeDisk, Survivors};

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(30);

/// More than a busy machine needs to be in time once.
const TRIES: usize = 10_000;

fn log() -> RaftLog {
    open(&FakeDisk::default(), Duration::from_millis(5))
}

fn open(disk: &FakeDisk, tick: Duration) -> RaftLog {
    let options =
        LogOptions { segment_bytes: 1 << 20, low_water_bytes: 0, tick, ..LogOptions::default() };
    RaftLog::open(Arc::new(disk.clone()), &options).unwrap()
}

/// The way to the one who writes in place; what comes out tells of calls, and of being found stuck.
fn calls(log: &RaftLog) -> (InPlace, Receiver<()>, Receiver<()>) {
    let ((to_write, called), (stuck, found_stuck)) = (mpsc::channel(), mpsc::channel());
    let in_place = log.write_in_place(InPlaceHooks {
        wanted: Box::new(|| true),
        to_write: Box::new(move || to_write.send(()).unwrap_or(())),
        stuck: Box::new(move || stuck.send(()).unwrap_or(())),
    });
    (in_place, called, found_stuck)
}

fn append(log: &RaftLog, len: usize) -> Receiver<ThreadId> {
    let index = log.state().last.map_or(0, |last| last.index + 1);
    let (sender, done) = mpsc::channel();
    let tell = move || sender.send(thread::current().id()).unwrap();
    log.append([entry(index, len)], on_success(tell)).unwrap();
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
fn nothing_is_written_in_place_while_that_is_not_wanted() {
    // As long as it is not wanted the thread writes everything, and nobody is called.
    let log = log();
    let wanted = Arc::new(AtomicBool::new(false));
    let (asked, (to_write, called)) = (Arc::clone(&wanted), mpsc::channel());
    let in_place = log.write_in_place(InPlaceHooks {
        wanted: Box::new(move || asked.load(Ordering::Relaxed)),
        to_write: Box::new(move || to_write.send(()).unwrap_or(())),
        stuck: Box::new(|| ()),
    });
    for _ in 0..20 {
        let done = append(&log, 100);
        assert_ne!(done.recv_timeout(SOON).unwrap(), thread::current().id());
        assert!(called.try_recv().is_err());
    }
    wanted.store(true, Ordering::Relaxed);
    let is_called = (0..TRIES).any(|_| {
        let done = append(&log, 100);
        let is_called = called.try_recv().is_ok();
        in_place.write();
        done.recv_timeout(SOON).unwrap();
        is_called
    });
    assert!(is_called, "nobody was called");
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

/// How often somebody may be found stuck before something happens: it is said every 20 ms.
const STUCK_MAX: usize = 1500;

/// The names of the thread that writes in place here, and of the log's own.
const IN_PLACE: &str = "in-place";
const OWN: &str = "log-writer";

/// What happens, in the order in which it does.
#[derive(Clone, PartialEq, Debug)]
enum Seen {
    /// The log asked for somebody who writes in place.
    Called,
    /// A flush has begun that does not end.
    Hangs,
    /// The log found that somebody is stuck.
    Stuck,
    /// An append was reported to be on disk, by the thread of this name.
    Appended(u64, String),
    Voted(String),
    /// The log began to close: it asks nobody any more.
    Closing,
    Closed,
}

/// A log whose flushes can be made to hang.
struct Story {
    disk: FakeDisk,
    log: RaftLog,
    in_place: Arc<InPlace>,
    tell: Sender<Seen>,
    seen: Receiver<Seen>,
}

impl Story {
    /// An idle log that looks at nothing on its own: the first small append is for somebody else than its
    /// thread.
    fn begin() -> Self {
        let disk = FakeDisk::default();
        let log = open(&disk, SOON);
        let (tell, seen) = mpsc::channel();
        let (asks, stuck) = (AsksUntilDropped(tell.clone()), tell.clone());
        let in_place = log.write_in_place(InPlaceHooks {
            wanted: Box::new(|| true),
            to_write: Box::new(move || asks.ask()),
            stuck: Box::new(move || stuck.send(Seen::Stuck).unwrap_or(())),
        });
        Self { disk, log, in_place: Arc::new(in_place), tell, seen }
    }

    /// A log with a flush in place that hangs, the thread that waits for it, and the entry that is
    /// being written.
    fn hanging_in_place() -> (Self, JoinHandle<()>, u64) {
        // Who comes too late finds nothing to do, and the log's thread at work instead.
        for _ in 0..TRIES {
            let story = Self::begin();
            story.hang(IN_PLACE);
            let index = story.append(100);
            assert_eq!(next(&story.seen), Seen::Called);
            let writer = write_on_a_thread(&story.in_place);
            if next(&story.seen) == Seen::Hangs {
                return (story, writer, index);
            }
            writer.join().unwrap();
        }
        panic!("nothing was written in place");
    }

    fn hang(&self, thread: &'static str) {
        let tell = self.tell.clone();
        self.disk.hang_flushes(thread, move || tell.send(Seen::Hangs).unwrap_or(()));
    }

    fn append(&self, len: usize) -> u64 {
        let index = self.log.state().last.map_or(0, |last| last.index + 1);
        let tell = self.tell.clone();
        let done = move || tell.send(Seen::Appended(index, own_name())).unwrap_or(());
        self.log.append([entry(index, len)], on_success(done)).unwrap();
        index
    }

    fn vote(&self) {
        let tell = self.tell.clone();
        let vote = Vote { term: 1, server: 1, committed: true };
        let done = move || tell.send(Seen::Voted(own_name())).unwrap_or(());
        self.log.save_vote(vote, on_success(done));
    }
}

/// Asks for somebody who writes in place; says so when nobody can be asked any more.
struct AsksUntilDropped(Sender<Seen>);

impl AsksUntilDropped {
    fn ask(&self) {
        let _ = self.0.send(Seen::Called);
    }
}

impl Drop for AsksUntilDropped {
    fn drop(&mut self) {
        let _ = self.0.send(Seen::Closing);
    }
}

fn entry(index: u64, len: usize) -> LogEntry {
    let position = LogPosition { term: 1, index };
    LogEntry { position, kind: EntryKind::Normal, payload: Bytes::from(vec![7; len]) }
}

fn on_success(done: impl FnOnce() + Send + 'static) -> Completion {
    Box::new(|result| {
        result.unwrap();
        done();
    })
}

fn own_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

fn write_on_a_thread(in_place: &Arc<InPlace>) -> JoinHandle<()> {
    let in_place = Arc::clone(in_place);
    thread::Builder::new().name(IN_PLACE.to_owned()).spawn(move || in_place.write()).unwrap()
}

/// What happens next, but for somebody being found stuck.
fn next(seen: &Receiver<Seen>) -> Seen {
    for _ in 0..STUCK_MAX {
        let next = seen.recv_timeout(SOON).unwrap();
        if next != Seen::Stuck {
            return next;
        }
    }
    panic!("nothing happens any more");
}

/// How many entries are still there when the power goes now.
fn flushed(disk: &FakeDisk) -> usize {
    let log = open(&disk.after_power_loss(Survivors::None), SOON);
    log.read(0..u64::MAX).unwrap().len()
}

#[test]
fn who_hangs_in_a_flush_is_noticed_and_not_overtaken() {
    // While a flush in place hangs, the log says so again and again, for others may depend on the thread
    // that waits. What is queued meanwhile is written behind it, in order, by the log's thread.
    let (story, writer, first) = Story::hanging_in_place();
    let second = story.append(100);
    story.vote();
    let third = story.append(6 << 10);
    for _ in story.seen.try_iter() {}
    for _ in 0..2 {
        assert_eq!(story.seen.recv_timeout(SOON).unwrap(), Seen::Stuck);
    }
    assert_eq!(flushed(&story.disk), 0);
    story.disk.let_flushes_go();
    assert_eq!(next(&story.seen), Seen::Appended(first, IN_PLACE.to_owned()));
    assert_eq!(next(&story.seen), Seen::Appended(second, OWN.to_owned()));
    assert_eq!(next(&story.seen), Seen::Voted(OWN.to_owned()));
    assert_eq!(next(&story.seen), Seen::Appended(third, OWN.to_owned()));
    writer.join().unwrap();
    assert_eq!(flushed(&story.disk), 3);
}

#[test]
fn what_waits_for_who_does_not_come_is_written_in_order() {
    // Who was called does not come: the log says that he is stuck, and its thread writes what he was to
    // write together with all that was queued behind it.
    let story = Story::begin();
    let first = story.append(100);
    story.vote();
    let second = story.append(6 << 10);
    assert_eq!(story.seen.recv_timeout(SOON).unwrap(), Seen::Called);
    assert_eq!(story.seen.recv_timeout(SOON).unwrap(), Seen::Stuck);
    assert_eq!(next(&story.seen), Seen::Appended(first, OWN.to_owned()));
    assert_eq!(next(&story.seen), Seen::Voted(OWN.to_owned()));
    assert_eq!(next(&story.seen), Seen::Appended(second, OWN.to_owned()));
    assert_eq!(flushed(&story.disk), 2);
}

#[test]
fn who_comes_late_does_not_wait_for_the_thread() {
    // The log's thread took over and hangs in its flush: who comes after all returns at once. What is
    // queued meanwhile is the thread's, and nobody is called for it.
    let story = Story::begin();
    story.hang(OWN);
    let first = story.append(100);
    assert_eq!(next(&story.seen), Seen::Called);
    assert_eq!(next(&story.seen), Seen::Hangs);
    story.in_place.write();
    let second = story.append(100);
    story.in_place.write();
    assert!(story.seen.try_iter().all(|seen| seen == Seen::Stuck));
    story.disk.let_flushes_go();
    assert_eq!(next(&story.seen), Seen::Appended(first, OWN.to_owned()));
    assert_eq!(next(&story.seen), Seen::Appended(second, OWN.to_owned()));
    assert_eq!(flushed(&story.disk), 2);
}

#[test]
fn closing_waits_for_what_is_written_in_place() {
    // A log that is closed while a flush in place hangs is closed once that, and all that waits behind it,
    // is on disk.
    let (story, writer, first) = Story::hanging_in_place();
    let second = story.append(100);
    story.vote();
    let Story { disk, log, tell, seen, .. } = story;
    let closer = thread::spawn(move || {
        drop(log);
        tell.send(Seen::Closed).unwrap();
    });
    assert_eq!(next(&seen), Seen::Closing);
    disk.let_flushes_go();
    assert_eq!(next(&seen), Seen::Appended(first, IN_PLACE.to_owned()));
    assert_eq!(next(&seen), Seen::Appended(second, OWN.to_owned()));
    assert_eq!(next(&seen), Seen::Voted(OWN.to_owned()));
    assert_eq!(next(&seen), Seen::Closed);
    writer.join().unwrap();
    closer.join().unwrap();
    assert_eq!(flushed(&disk), 2);
}

#[test]
fn the_last_handle_may_go_where_the_log_is_written_in_place() {
    // A completion that drops the last handle does not wait for its own end.
    for _ in 0..TRIES {
        let Story { disk, log, in_place, tell, seen } = Story::begin();
        let last = log.clone();
        let done = move || {
            drop(last);
            tell.send(Seen::Appended(0, own_name())).unwrap_or(());
        };
        log.append([entry(0, 100)], on_success(done)).unwrap();
        drop(log);
        assert_eq!(next(&seen), Seen::Called);
        let writer = write_on_a_thread(&in_place);
        assert_eq!(next(&seen), Seen::Closing);
        let Seen::Appended(_, who) = next(&seen) else { panic!("it was not written") };
        writer.join().unwrap();
        assert_eq!(flushed(&disk), 1);
        if who == IN_PLACE {
            return;
        }
    }
    panic!("nothing was written in place");
}
