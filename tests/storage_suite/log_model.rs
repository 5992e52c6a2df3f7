//! What a log is told to do, what it must hold then, and how both are compared.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use grovekeeper::storage::log::{EntryKind, InPlaceHooks, LogOptions};
use grovekeeper::storage::{LogEntry, LogPosition, RaftLog, StorageError, Vote};

use super::fake_disk::FakeDisk;

pub(crate) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 4096,
        // Most reads come from the disk.
        cache_bytes_max: 1000,
        // Longer appends take several frames.
        frame_bytes_soft_max: 400,
        low_water_bytes: 0,
        tick: Duration::from_millis(5),
        ..LogOptions::default()
    }
}

pub(crate) fn entry(term: u64, index: u64, len: usize) -> LogEntry {
    let payload: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + index * 7 + term) as u8).collect();
    let position = LogPosition { term, index };
    LogEntry { position, kind: EntryKind::Normal, payload: Bytes::from(payload) }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append(Vec<LogEntry>),
    Vote(Vote),
    Truncate { from: u64 },
    Purge(LogPosition),
}

/// What a log must hold after some steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogPosition>,
    pub(crate) entries: Vec<LogEntry>,
}

impl Model {
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(entries) => self.entries.extend(entries.iter().cloned()),
            Step::Vote(vote) => self.vote = Some(*vote),
            Step::Truncate { from } => self.entries.retain(|e| e.position.index < *from),
            Step::Purge(upto) => {
                self.purged = self.purged.max(Some(*upto));
                self.entries.retain(|entry| entry.position.index > upto.index);
            }
        }
    }

    /// Whether a log that was in this state may be in that one after the power was lost during a
    /// step: before it, after it, or with the first of its entries.
    pub(crate) fn allows(&self, found: &Self, step: Option<&Step>) -> bool {
        let after = |step: &Step| {
            let mut after = self.clone();
            after.apply(step);
            after
        };
        let during = step.is_some_and(|step| match step {
            Step::Append(entries) => (1..=entries.len())
                .any(|count| after(&Step::Append(entries[..count].to_vec())) == *found),
            Step::Vote(_) | Step::Truncate { .. } | Step::Purge(_) => after(step) == *found,
        });
        during || self == found
    }

    pub(crate) fn of(log: &RaftLog) -> Self {
        let entries = log.read(0..u64::MAX).unwrap();
        let last = entries.last().map(|entry| entry.position);
        let state = log.state();
        assert_eq!(state.last, last.or(state.purged));
        assert!(log.committed() <= state.last);
        Self { vote: log.vote(), purged: state.purged, entries }
    }
}

/// Steps that fill several segments, with entries of all sizes, changes of term, entries taken
/// back, and purges.
pub(crate) fn script() -> Vec<Step> {
    let vote = |term| Step::Vote(Vote { term, server: 1, committed: term % 2 == 0 });
    let some = |term, from: u64, lens: &[usize]| {
        Step::Append((from..).zip(lens).map(|(index, len)| entry(term, index, *len)).collect())
    };
    let position = |term, index| LogPosition { term, index };
    vec![
        vote(1),
        some(1, 0, &[0, 10, 150]),
        some(1, 3, &[700; 4]),
        vote(2),
        some(2, 7, &[100; 20]),
        Step::Truncate { from: 12 },
        some(3, 12, &[300, 2000, 1]),
        Step::Purge(position(1, 5)),
        // Larger than a segment.
        some(3, 15, &[9000]),
        some(3, 16, &[500; 3]),
        vote(4),
        Step::Purge(position(3, 15)),
        some(4, 19, &[64; 5]),
        // Beyond the end, as when another server's state was installed.
        Step::Purge(position(5, 40)),
        some(5, 41, &[10, 20]),
        some(5, 43, &[900; 8]),
        // Nothing is left of the segment that took the last vote.
        Step::Purge(position(5, 49)),
        some(5, 51, &[30; 60]),
    ]
}

/// Hands one step to the log; what comes out is received when it is on disk.
pub(crate) fn submit(log: &RaftLog, step: &Step) -> io::Result<mpsc::Receiver<io::Result<()>>> {
    let (sender, done) = mpsc::channel();
    let sent = Box::new(move |result| sender.send(result).unwrap_or(()));
    match step {
        Step::Append(entries) => log.append(entries.iter().cloned(), sent)?,
        Step::Vote(vote) => log.save_vote(*vote, sent),
        Step::Purge(upto) => log.purge(*upto, sent),
        Step::Truncate { from } => {
            log.truncate(*from);
            log.append([], sent)?;
        }
    }
    Ok(done)
}

/// Runs one step and waits until it is on disk.
pub(crate) fn run(log: &RaftLog, step: &Step) -> io::Result<()> {
    wait(&submit(log, step)?)
}

pub(crate) fn wait(done: &mpsc::Receiver<io::Result<()>>) -> io::Result<()> {
    done.recv().unwrap_or_else(|_| Err(io::Error::other("never called")))
}

/// Runs one step, then commits what there is.
pub(crate) fn run_and_commit(log: &RaftLog, step: &Step) -> io::Result<()> {
    run(log, step)?;
    // The entries of term 2 are the ones that are taken back: they were never committed.
    if let Some(last) = log.state().last.filter(|last| last.term != 2) {
        log.save_committed(Some(last));
    }
    Ok(())
}

/// The states after each number of steps.
pub(crate) fn models(steps: &[Step]) -> Vec<Model> {
    let mut models = vec![Model::default()];
    for step in steps {
        let mut next = models[models.len() - 1].clone();
        next.apply(step);
        models.push(next);
    }
    models
}

/// Opens a log whose small appends are written in place, by another thread than its own.
fn open_in_place(disk: &FakeDisk) -> Result<RaftLog, StorageError> {
    let log = RaftLog::open(Arc::new(disk.clone()), &options())?;
    let (call, called) = mpsc::channel();
    let in_place = log.write_in_place(InPlaceHooks {
        wanted: Box::new(|| true),
        to_write: Box::new(move || call.send(()).unwrap_or(())),
        stuck: Box::new(|| ()),
    });
    // Ends with the log.
    thread::spawn(move || called.iter().for_each(|()| in_place.write()));
    Ok(log)
}

/// Opens a log, whose small appends may be written in place.
pub(crate) fn open(disk: &FakeDisk, in_place: bool) -> Result<RaftLog, StorageError> {
    if in_place {
        return open_in_place(disk);
    }
    RaftLog::open(Arc::new(disk.clone()), &options())
}
