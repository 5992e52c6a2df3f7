//! Prepares the next segment before it is needed, removes segments that are of no more use, and watches the free space.
//!
//! To remove a segment takes as long as many flushes, and a checkpoint frees dozens at once, on all servers at the same
//! entry. So nobody who writes the log waits for it.
//!
//! A segment is prepared by writing zeros over its whole length, so that its space is taken from
//! the disk for good. While no segment is prepared the disk counts as full: the segment in use
//! still has room for what was accepted, but nothing new is accepted.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::file_system::{FileSystem, LogFile};
use super::raft_log::LogOptions;
use crate::env::thread;
use crate::env::thread::JoinHandle;
use crate::env::time::Instant;
use crate::storage::error::shortage;

/// Zeros are written page by page: what is written in large pieces is cached in large pieces, and
/// then the system takes each small append for a large dirty piece.
const PIECE_BYTES: usize = 4096;

/// Zeros are flushed this many at a time, with a rest after each flush as long as the flush, so that the
/// log's own flushes get their turn.
const FLUSH_BYTES: u64 = 1 << 20;
/// The longest of these rests: a disk that hangs does not double the wait.
const REST_MAX: Duration = Duration::from_millis(100);
/// Where nobody else writes yet, they are flushed once.
pub(super) const FLUSH_ONCE: u64 = u64::MAX;

const PREFIX: &str = "spare-";

/// The name under which the first segment of a log is prepared.
pub(super) const FIRST_NAME: &str = "spare-0";

/// Whether a file is a segment that was prepared, perhaps not to the end, and never used.
pub(super) fn is_spare(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A zeroed file that is ready to become a segment.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    pub(super) file: Arc<dyn LogFile>,
    /// Its name so far.
    pub(super) name: String,
    pub(super) capacity: u64,
}

/// A segment that is to be removed. Its space is free when nobody has the file open any more.
#[derive(Debug)]
struct Unused {
    name: String,
    file: Arc<dyn LogFile>,
}

/// The prepared segment and the thread that prepares it.
#[derive(Clone, Debug)]
pub(super) struct SparePool {
    shared: Arc<PoolShared>,
}

#[derive(Debug)]
struct PoolShared {
    files: Arc<dyn FileSystem>,
    options: LogOptions,
    state: Mutex<State>,
    /// `State::full`, for readers on the hot path.
    full: AtomicBool,
    /// Signalled when the spare was taken, or prepared, or the pool stops.
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    spare: Option<Spare>,
    /// Free space is below the low-water mark, or no segment could be prepared.
    full: bool,
    /// What the last one that could not be prepared was short of.
    short_of: Option<&'static str>,
    /// An error other than a full disk; reported when the spare is needed.
    error: Option<io::Error>,
    /// The writer waits for a spare.
    wanted: bool,
    stopping: bool,
    /// Segments that are of no more use, oldest first. They go in this order: those that are left follow each other
    /// without gaps.
    unused: VecDeque<Unused>,
    /// How many spares were begun: each has a name of its own, since the previous one may not have
    /// been renamed yet.
    begun: u64,
}

impl SparePool {
    pub(super) fn start(files: Arc<dyn FileSystem>, options: &LogOptions) -> Self {
        let shared = Arc::new(PoolShared {
            files,
            options: options.clone(),
            state: Mutex::default(),
            full: AtomicBool::new(false),
            changed: Condvar::new(),
            thread: Mutex::default(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log-spare".into());
        match thread.spawn(move || worker.run()) {
            Ok(handle) => *shared.thread.lock() = Some(handle),
            Err(error) => shared.state.lock().error = Some(error),
        }
        Self { shared }
    }

    /// Whether new entries should be refused.
    pub(super) fn disk_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Takes a prepared segment of at least `needed` bytes. `None` when there is none yet; then
    /// has waited for one for at most a tick, and the caller asks again.
    pub(super) fn take(&self, needed: u64) -> io::Result<Option<Spare>> {
        let mut state = self.shared.state.lock();
        if needed > self.shared.options.segment_bytes {
            // A frame larger than a segment gets one of its own size.
            let name = state.next_name();
            drop(state);
            let capacity = needed.next_multiple_of(4096);
            return prepare(&*self.shared.files, &name, capacity, FLUSH_BYTES, |_| ()).map(Some);
        }
        if state.spare.is_none() && state.error.is_none() {
            state.wanted = true;
            self.shared.changed.notify_all();
            self.shared.changed.wait_for(&mut state, self.shared.options.tick);
        }
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let spare = state.spare.take();
        self.shared.changed.notify_all();
        Ok(spare)
    }

    /// Removes a segment, all of whose entries are purged on disk, and after those that were given before. What is left
    /// when the log is closed is found, and removed, by the next process.
    pub(super) fn remove(&self, name: String, file: Arc<dyn LogFile>) {
        self.shared.state.lock().unused.push_back(Unused { name, file });
        self.shared.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        let thread = self.shared.thread.lock().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl PoolShared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopping {
            if state.spare.is_none() && state.error.is_none() {
                let name = state.next_name();
                drop(state);
                let rest = |period| self.rest(period);
                let prepared =
                    prepare(&*self.files, &name, self.options.segment_bytes, FLUSH_BYTES, rest);
                state = self.state.lock();
                state.wanted = false;
                match prepared {
                    Ok(spare) => state.spare = Some(spare),
                    Err(error) => match shortage(&error) {
                        Some(short_of) => {
                            (state.full, state.short_of) = (true, Some(short_of));
                        }
                        None => state.error = Some(error),
                    },
                }
                self.changed.notify_all();
            }
            state.full = self.is_full(&state);
            if self.full.swap(state.full, Ordering::Relaxed) != state.full {
                tell(state.full, state.short_of.take());
            }
            let unused = state.unused.pop_front();
            let Some(unused) = unused else {
                // Who stops it may have come while a spare was being prepared.
                if !state.stopping {
                    self.changed.wait_for(&mut state, self.options.tick);
                }
                continue;
            };
            drop(state);
            let kept = self.remove(unused);
            state = self.state.lock();
            if let Some(unused) = kept {
                state.unused.push_front(unused);
                if !state.stopping {
                    self.changed.wait_for(&mut state, self.options.tick);
                }
            }
        }
    }

    /// Removes a segment, then rests as long as that took; returns one that could not be removed.
    fn remove(&self, unused: Unused) -> Option<Unused> {
        let start = Instant::now();
        if let Err(error) = self.files.remove(&unused.name) {
            // Only the space is lost until it goes.
            tracing::warn!(%error, file = unused.name, "cannot remove a segment of the log");
            return Some(unused);
        }
        // The last one who has it open gives the space back.
        drop(unused.file);
        self.rest(start.elapsed());
        None
    }

    /// Lets `period` pass, or less where somebody waits for the spare.
    fn rest(&self, period: Duration) {
        let mut state = self.state.lock();
        if !state.wanted && !state.stopping {
            self.changed.wait_for(&mut state, period.min(REST_MAX));
        }
    }

    /// Full is left only some way above the mark, so that it does not flap.
    fn is_full(&self, state: &State) -> bool {
        let low_water = self.options.low_water_bytes;
        let mark = if state.full { low_water.saturating_add(low_water / 4) } else { low_water };
        // A file system that cannot say is judged by its errors alone.
        let available = self.files.available_bytes().unwrap_or(u64::MAX);
        state.spare.is_none() && state.full || available < mark
    }
}

fn tell(full: bool, short_of: Option<&'static str>) {
    if full {
        let short_of = short_of.unwrap_or("the disk is full");
        tracing::warn!("{short_of}: new writes are refused until that ends");
    } else {
        tracing::info!("there is room for the log again: writes are accepted");
    }
}

impl State {
    fn next_name(&mut self) -> String {
        self.begun += 1;
        format!("{PREFIX}{}", self.begun)
    }
}

/// Makes a zeroed file of `capacity` bytes. Its name need not be durable: a spare is of use only
/// to this process. After each flush but the last `rest` is told how long it took.
pub(super) fn prepare(
    files: &dyn FileSystem,
    name: &str,
    capacity: u64,
    flush_bytes: u64,
    rest: impl Fn(Duration),
) -> io::Result<Spare> {
    let file = files.create(name)?;
    match fill(&*file, capacity, flush_bytes, rest) {
        Ok(()) => Ok(Spare { file, name: name.to_owned(), capacity }),
        Err(error) => {
            // Give the space back: others need it more than half a segment.
            let _ = files.remove(name);
            Err(error)
        }
    }
}

fn fill(
    file: &dyn LogFile,
    capacity: u64,
    flush_bytes: u64,
    rest: impl Fn(Duration),
) -> io::Result<()> {
    let zeros = [0; PIECE_BYTES];
    let (mut written, mut flushed) = (0, 0);
    while written < capacity {
        let left = usize::try_from(capacity - written).unwrap_or(PIECE_BYTES);
        let piece = left.min(PIECE_BYTES);
        file.write_at(&zeros[..piece], written)?;
        written += piece as u64;
        if written - flushed > flush_bytes {
            let start = Instant::now();
            file.sync()?;
            rest(start.elapsed());
            flushed = written;
        }
    }
    file.sync()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::OsDirectory;
    use super::*;

    #[test]
    fn a_pool_that_prepares_a_spare_stops_when_that_is_done() {
        // Closing the log does not wait for the next tick, also while a segment is being prepared.
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let tick = Duration::from_secs(3600);
            let options = LogOptions { tick, low_water_bytes: 0, ..LogOptions::default() };
            let pool = SparePool::start(Arc::new(OsDirectory::new(dir.path())), &options);
            let (sender, stopped) = mpsc::channel();
            let stopper = std::thread::spawn(move || {
                pool.stop();
                sender.send(()).unwrap();
            });
            stopped.recv_timeout(Duration::from_secs(60)).unwrap();
            stopper.join().unwrap();
        }
    }
}
