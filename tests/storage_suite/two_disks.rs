//! The log and the checkpoint on disks of their own, which lose power at the same moment.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use grovekeeper::storage::log::LogState;
use grovekeeper::storage::state::CheckpointMark;
use grovekeeper::storage::{LogPosition, RaftLog, Row, StateDb, Vote, reconcile};

use super::fake_disk::{FakeDisk, Survivors};
use super::log_model::{entry, options};
use super::state_crash::{self, FILE, changes, mark, rows_after};

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(30);

/// So long it takes for what should wait, and does not, to be done.
const A_WHILE: Duration = Duration::from_millis(200);

/// Entries between two checkpoints.
const EVERY: u64 = 5;
const CHECKPOINTS: u64 = 3;

/// Where a checkpoint stands.
fn position(nth: u64) -> LogPosition {
    LogPosition { term: 1, index: nth * EVERY - 1 }
}

fn standing_at(position: LogPosition) -> CheckpointMark {
    CheckpointMark { position: Some(position), ..mark(0) }
}

struct Server {
    log: RaftLog,
    state: StateDb,
}

impl Server {
    fn open(disk: &FakeDisk) -> Result<Self, String> {
        let log = RaftLog::open(Arc::new(disk.clone()), &options());
        let log = log.map_err(|error| error.to_string())?;
        Ok(Self { log, state: state_crash::open(disk)? })
    }

    /// What counts as on both disks, once log and checkpoint were made to fit.
    fn reconciled(disk: &FakeDisk, what: &str) -> Self {
        let server = Self::open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        reconcile(&server.log, &server.state).unwrap_or_else(|error| panic!("{what}: {error}"));
        server
    }

    fn checkpoint(&self) -> Option<LogPosition> {
        self.state.mark().position
    }

    fn rows(&self) -> Vec<Row> {
        self.state.reader().unwrap().rows().map(|row| row.unwrap()).collect()
    }

    /// Appends entries that count as committed at once: other servers have them.
    fn append(&self, indexes: std::ops::Range<u64>) -> Result<(), String> {
        let entries = indexes.map(|index| entry(1, index, 40));
        self.log.append(entries, Box::new(|_| ())).map_err(|error| error.to_string())
    }

    fn vote(&self) -> Result<(), String> {
        self.log.save_vote(Vote { term: 1, server: 2, committed: true }, Box::new(|_| ()));
        self.log.flush().wait().map_err(|error| error.to_string())
    }

    fn write_checkpoint(&self, nth: u64) -> Result<(), String> {
        let (mut rows, mark) = (changes(nth), standing_at(position(nth)));
        let written = self.state.write_checkpoint(&mut rows, &mark, &self.log.flush());
        written.map(drop).map_err(|error| error.to_string())
    }
}

/// A server that takes part, whose own disk is late. Counts the checkpoints that are reported done.
fn take_part(server: &Server, done: &mut u64) -> Result<(), String> {
    server.vote()?;
    for nth in 1..=CHECKPOINTS {
        server.append((nth - 1) * EVERY..nth * EVERY)?;
        server.write_checkpoint(nth)?;
        *done = nth;
        // Some entries are kept for servers that are a little behind.
        let upto = LogPosition { index: position(nth).index - 2, ..position(nth) };
        server.log.purge(upto, Box::new(|_| ()));
    }
    Ok(())
}

/// Whichever moment the power goes, and whatever survives on either disk: the log leads up to the checkpoint, so that
/// no checkpoint is ahead of it; and what was reported done is there.
#[test]
fn no_checkpoint_is_ahead_of_its_log() {
    let new = FakeDisk::default();
    drop(state_crash::open(&new).unwrap());
    let (new, mut seen) = (new.files(), HashSet::new());
    for change in 1.. {
        let disk = FakeDisk::holding(&new);
        disk.fail_after(change);
        // The disk of the log is the slower one.
        disk.slow_flushes("log-writer", Duration::from_millis(5));
        let mut done = 0;
        let went_well =
            Server::open(&disk).is_ok_and(|server| take_part(&server, &mut done).is_ok());
        if !disk.has_failed() {
            assert!(went_well && change > 50, "{change} changes");
            return;
        }
        for of_log in Survivors::MANY {
            for of_state in Survivors::MANY {
                let on = |name: &str| if name == FILE { of_state } else { of_log };
                let after = disk.after_power_loss_on_disks(on);
                let mut image = DefaultHasher::new();
                (done, after.files()).hash(&mut image);
                if seen.insert(image.finish()) {
                    let what = format!("change {change}, log {of_log:?}, state {of_state:?}");
                    check(&after, done, &what);
                }
            }
        }
    }
}

fn check(after: &FakeDisk, done: u64, what: &str) {
    let server = Server::open(after).unwrap_or_else(|error| panic!("{what}: {error}"));
    let nth = server.checkpoint().map_or(0, |at| (at.index + 1) / EVERY);
    assert!(nth == done || nth == done + 1, "{what}: {done} reported done, found {nth}");
    assert_eq!(server.rows(), rows_after(nth), "{what}");
    let before = server.log.state();
    assert!(server.checkpoint() <= before.last, "{what}: checkpoint {nth}, but {before:?}");
    reconcile(&server.log, &server.state).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(server.log.state(), before, "{what}");
}

/// A checkpoint counts when its log is on disk, and not before.
#[test]
fn a_checkpoint_waits_for_its_log() {
    let disk = FakeDisk::default();
    let server = Server::open(&disk).unwrap();
    server.vote().unwrap();
    let (tell, hangs) = mpsc::channel();
    disk.hang_flushes("log-writer", move || tell.send(()).unwrap_or(()));
    server.append(0..EVERY).unwrap();
    hangs.recv_timeout(SOON).unwrap();
    thread::scope(|scope| {
        let (tell, written) = mpsc::channel();
        scope.spawn(|| {
            let tell = tell;
            tell.send(server.write_checkpoint(1)).unwrap();
        });
        assert!(written.recv_timeout(A_WHILE).is_err(), "it did not wait");
        let lost = Server::open(&disk.after_power_loss(Survivors::All)).unwrap();
        assert_eq!(lost.checkpoint(), None);
        disk.let_flushes_go();
        written.recv_timeout(SOON).unwrap().unwrap();
    });
    let kept = Server::open(&disk.after_power_loss(Survivors::None)).unwrap();
    assert_eq!((kept.checkpoint(), kept.log.state().last), (Some(position(1)), Some(position(1))));
}

/// A checkpoint whose log cannot be flushed is not written; and one that waits for its log does not keep a server
/// from stopping.
#[test]
fn a_checkpoint_without_its_log_is_given_up() {
    let disk = FakeDisk::default();
    let server = Server::open(&disk).unwrap();
    server.vote().unwrap();
    disk.fail_flush(1, Survivors::All);
    server.append(0..EVERY).unwrap();
    let refused = server.write_checkpoint(1).unwrap_err();
    assert!(refused.contains("the flush failed"), "{refused}");
    assert_eq!(server.checkpoint(), None);

    let disk = FakeDisk::default();
    let server = Server::open(&disk).unwrap();
    let (tell, hangs) = mpsc::channel();
    disk.hang_flushes("log-writer", move || tell.send(()).unwrap_or(()));
    server.append(0..EVERY).unwrap();
    hangs.recv_timeout(SOON).unwrap();
    server.state.close();
    let refused = server.write_checkpoint(1).unwrap_err();
    assert!(refused.contains("the server stops"), "{refused}");
    disk.let_flushes_go();
}

/// A server is sent a checkpoint at `sent` while its log has entries of an older term that nobody else has.
fn install(server: &Server, sent: LogPosition) -> Result<(), String> {
    server.log.truncate(4);
    let rows = changes(1).into_iter().filter(|row| row.value.is_some()).map(Ok);
    let replaced = server.state.replace(rows, &standing_at(sent));
    replaced.map_err(|error| error.to_string())?;
    server.log.purge(sent, Box::new(|_| ()));
    server.log.flush().wait().map_err(|error| error.to_string())
}

/// A checkpoint that another server sent is ahead of the log until that is purged. Whenever the power goes in
/// between, the log is made to begin behind it; nothing that it had elsewhere stays.
#[test]
fn an_interrupted_installation_is_made_good() {
    let disk = FakeDisk::default();
    let server = Server::open(&disk).unwrap();
    server.vote().unwrap();
    server.append(0..10).unwrap();
    server.log.flush().wait().unwrap();
    drop(server);
    let before = disk.files();
    for sent in [LogPosition { term: 2, index: 7 }, LogPosition { term: 2, index: 30 }] {
        let mut ahead = 0;
        for change in 1.. {
            let disk = FakeDisk::holding(&before);
            let server = Server::open(&disk).unwrap();
            disk.fail_after(change);
            // The log is the last to come.
            disk.slow_flushes("log-writer", Duration::from_millis(5));
            let installed = install(&server, sent).is_ok();
            if !disk.has_failed() {
                assert!(installed && ahead > 5, "{ahead} were ahead after {change} changes");
                break;
            }
            for (of_log, of_state) in
                Survivors::MANY.into_iter().zip(Survivors::MANY.into_iter().rev())
            {
                let on = |name: &str| if name == FILE { of_state } else { of_log };
                let after = disk.after_power_loss_on_disks(on);
                let what = format!("{sent}, change {change}, log {of_log:?}, state {of_state:?}");
                let found = Server::open(&after).unwrap();
                ahead += usize::from(found.checkpoint() > found.log.state().last);
                drop(found);
                check_installed(&after, sent, installed, &what);
            }
        }
    }
}

fn check_installed(after: &FakeDisk, sent: LogPosition, installed: bool, what: &str) {
    let server = Server::reconciled(after, what);
    let LogState { purged, last } = server.log.state();
    let Some(at) = server.checkpoint() else {
        assert!(!installed, "{what}: it is gone");
        return;
    };
    assert_eq!((at, purged, last), (sent, Some(sent), Some(sent)), "{what}");
    let next = LogPosition { index: sent.index + 1, ..sent };
    server.log.append([entry(next.term, next.index, 10)], Box::new(|_| ())).unwrap();
    server.log.flush().wait().unwrap();
    drop(server);
    let again = Server::reconciled(&after.after_power_loss(Survivors::None), what);
    assert_eq!((again.log.state().purged, again.log.state().last), (Some(sent), Some(next)));
}

/// What no crash leads to is refused: entries between log and checkpoint are missing, or the log goes on with a later
/// term where the checkpoint says what was committed.
#[test]
fn a_log_and_a_checkpoint_of_different_moments_are_refused() {
    let server = |log_from: u64, terms: u64| {
        let server = Server::open(&FakeDisk::default()).unwrap();
        server.vote().unwrap();
        let entries = (log_from..9).map(|index| entry(terms, index, 10));
        server.log.append(entries, Box::new(|_| ())).unwrap();
        if log_from > 0 {
            let purged = LogPosition { term: terms, index: log_from - 1 };
            server.log.purge(purged, Box::new(|_| ()));
        }
        server.log.flush().wait().unwrap();
        let rows = std::iter::empty();
        server.state.replace(rows, &standing_at(LogPosition { term: 2, index: 5 })).unwrap();
        reconcile(&server.log, &server.state).map_err(|error| error.to_string())
    };
    assert_eq!(server(0, 2), Ok(()));
    assert_eq!(server(3, 2), Ok(()));
    assert!(server(7, 2).unwrap_err().contains("entries in between are missing"));
    assert!(server(7, 1).unwrap_err().contains("entries in between are missing"));
    assert!(server(0, 3).unwrap_err().contains("not of one server"));
}
