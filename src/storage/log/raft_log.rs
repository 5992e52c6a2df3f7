//! The log as the rest of the server uses it.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kernel::stats::Histogram;
use parking_lot::{Condvar, Mutex};

use super::ahead::EntriesAhead;
use super::cache::{Cache, Source};
use super::entry::LogEntry;
use super::file_system::FileSystem;
use super::in_place::{InPlace, InPlaceHooks, Wakeup, WriterTurn};
use super::spare::SparePool;
use super::writer::Writer;
use super::{frame, recovery, segment, writer};
use crate::env::thread;
use crate::env::thread::JoinHandle;
use crate::storage::{LogPosition, StorageError, Vote};

/// Called once, on the writer's thread, when an operation is on disk or has failed for good.
pub type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Sizes and intervals of the log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Bytes of a segment; a batch that is larger gets a segment of its own size.
    pub segment_bytes: u64,
    /// A frame is closed when it is at least this long.
    pub frame_bytes_soft_max: usize,
    /// Bytes of entries kept in memory for apply and replication.
    pub cache_bytes_max: usize,
    /// Below this many free bytes the disk counts as full.
    pub low_water_bytes: u64,
    /// How often an idle log looks at the free space and writes the committed position, and how
    /// long it waits before it tries again on a full disk.
    pub tick: Duration,
    /// A flush that takes longer is worth a warning (`fsync.warningthresholdms`).
    pub slow_flush: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            frame_bytes_soft_max: 1 << 20,
            cache_bytes_max: 8 << 20,
            low_water_bytes: 32 << 20,
            tick: Duration::from_millis(200),
            slow_flush: Duration::from_secs(1),
        }
    }
}

/// A log that was read and found good, while nothing on disk was changed yet.
pub struct ReadLog {
    files: Arc<dyn FileSystem>,
    options: LogOptions,
    scan: recovery::Scan,
}

impl ReadLog {
    /// Reads the log of a directory.
    ///
    /// # Errors
    ///
    /// As [`RaftLog::open`].
    pub fn read(files: Arc<dyn FileSystem>, options: &LogOptions) -> Result<Self, StorageError> {
        let scan = recovery::scan(Arc::clone(&files), options)?;
        Ok(Self { files, options: options.clone(), scan })
    }

    /// Whether there is no log yet: [`open`](Self::open) begins one.
    pub(crate) fn is_new(&self) -> bool {
        self.scan.is_new()
    }

    /// Goes to work: cuts a torn end, begins a new log where there is none, starts the threads.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`].
    pub fn open(self) -> Result<RaftLog, StorageError> {
        RaftLog::start(self.files, &self.options, self.scan.finish()?)
    }
}

impl std::fmt::Debug for ReadLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadLog").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// The newest entry that was purged.
    pub purged: Option<LogPosition>,
    /// The newest entry, or `purged` when there is none.
    pub last: Option<LogPosition>,
}

/// The log's word that all that it was given before is on disk, once it comes.
#[derive(Debug)]
pub struct LogFlush {
    told: mpsc::Receiver<io::Result<()>>,
}

impl LogFlush {
    /// For what rests on no log.
    pub fn of_nothing() -> Self {
        let (tell, told) = mpsc::channel();
        // It is received by nobody but the value itself.
        let _ = tell.send(Ok(()));
        Self { told }
    }

    /// Waits for the word.
    ///
    /// # Errors
    ///
    /// The log could not be flushed, or was closed: it may never hold what it was given.
    pub fn wait(&self) -> io::Result<()> {
        self.told.recv().unwrap_or_else(|_| Err(closed()))
    }

    /// As [`LogFlush::wait`], for a while at most; `None` when nothing came.
    pub(in crate::storage) fn wait_for(&self, at_most: Duration) -> Option<io::Result<()>> {
        match self.told.recv_timeout(at_most) {
            Ok(flushed) => Some(flushed),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Err(closed())),
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the log was closed")
}

/// The Raft log. Cheap to clone; the last clone that is dropped closes it.
#[derive(Clone, Debug)]
pub struct RaftLog {
    shared: Arc<LogShared>,
    slot: IdleWriter,
    /// Ends the threads when the last handle goes.
    _threads: Arc<Threads>,
}

impl RaftLog {
    /// Opens the log in a directory, or begins one in an empty directory.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] when data that had reached the disk is damaged or missing,
    /// [`StorageError::NewerFormat`], [`StorageError::Io`]. The files are untouched then.
    pub fn open(files: Arc<dyn FileSystem>, options: &LogOptions) -> Result<Self, StorageError> {
        ReadLog::read(files, options)?.open()
    }

    fn start(
        files: Arc<dyn FileSystem>,
        options: &LogOptions,
        recovered: recovery::Recovered,
    ) -> Result<Self, StorageError> {
        let shared = Arc::new(LogShared {
            files: Arc::clone(&files),
            cache: Mutex::new(recovered.cache),
            queue: Mutex::default(),
            wake: Condvar::new(),
            write_blocked: AtomicBool::new(false),
            flush_us: Histogram::default(),
        });
        let spares = SparePool::start(files, options);
        let writer =
            Writer::new(Arc::clone(&shared), spares.clone(), options.clone(), recovered.tail);
        let slot = Arc::new(Mutex::new(Some(writer)));
        let (tick, at_work, its) = (options.tick, Arc::clone(&shared), Arc::clone(&slot));
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer::run(&at_work, &its, tick))
            .map_err(StorageError::io("start a thread for", &shared.files.path("")))?;
        let threads = Threads { shared: Arc::clone(&shared), spares, writer: Some(thread) };
        Ok(Self { shared, slot, _threads: Arc::new(threads) })
    }

    /// Lets small appends to an idle log be written by the task that calls [`InPlace::write`], instead of
    /// by a thread of their own that has to wake up for each.
    pub fn write_in_place(&self, hooks: InPlaceHooks) -> InPlace {
        self.shared.queue.lock().turn.begin(hooks);
        InPlace::new(Arc::clone(&self.slot))
    }

    /// Adds entries at the end and returns at once; they can be read from then on. `done` is
    /// called when they are on disk, in the order of the appends.
    ///
    /// # Errors
    ///
    /// When the entries would leave a hole in the log; nothing was added then.
    pub fn append(
        &self,
        entries: impl IntoIterator<Item = LogEntry>,
        done: Completion,
    ) -> io::Result<()> {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        // The cache stays locked until the entries are queued, so that both have one order.
        let mut cache = self.shared.cache.lock();
        let mut next = cache.last().map(|_| cache.next_index());
        for entry in &entries {
            let index = entry.position.index;
            if next.is_some_and(|next| next != index) {
                return Err(io::Error::other(format!(
                    "entry {} would leave a hole in the log, which ends before {next:?}",
                    entry.position
                )));
            }
            next = Some(index + 1);
        }
        for entry in &entries {
            // Checked above.
            let _ = cache.push(entry.clone(), None);
        }
        self.shared.enqueue(Operation::Append { entries, done });
        drop(cache);
        Ok(())
    }

    /// Asks for word when all that was given to the log so far is on disk.
    pub fn flush(&self) -> LogFlush {
        let (tell, told) = mpsc::channel();
        let done = Box::new(move |flushed| {
            // Who asked may not want to know any more.
            let _ = tell.send(flushed);
        });
        // Nothing is appended; it has its place behind what was.
        let _cache = self.shared.cache.lock();
        self.shared.enqueue(Operation::Append { entries: Vec::new(), done });
        LogFlush { told }
    }

    /// Saves the vote; `done` is called when it is on disk.
    pub fn save_vote(&self, vote: Vote, done: Completion) {
        let mut cache = self.shared.cache.lock();
        cache.vote = Some(vote);
        self.shared.enqueue(Operation::Vote { vote, done });
    }

    /// Notes up to where entries are committed. Written along with the next append, or when the
    /// log is idle; not flushed for its own sake, since it can be learned again.
    pub fn save_committed(&self, committed: Option<LogPosition>) {
        self.shared.cache.lock().committed = committed;
    }

    /// Removes the entries from index `from` on.
    pub fn truncate(&self, from: u64) {
        let mut cache = self.shared.cache.lock();
        cache.truncate(from);
        self.shared.enqueue(Operation::Truncate { from });
    }

    /// Removes the entries up to a position, inclusive, and the segments that nobody needs then;
    /// `done` is called when that is on disk.
    pub fn purge(&self, upto: LogPosition, done: Completion) {
        let mut cache = self.shared.cache.lock();
        cache.purge(upto);
        self.shared.enqueue(Operation::Purge { upto, done });
    }

    /// Reads the entries of a range of indexes. Those that the log does not hold (purged, or not
    /// appended yet) are left out.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] or [`StorageError::Io`] when an entry cannot be read back.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<LogEntry>, StorageError> {
        self.shared.read(range)
    }

    /// Reads the entries of a range of indexes in order, ahead of the caller, with a thread of its own. They
    /// end where the log holds no more.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`] where there can be no thread.
    pub fn read_ahead(&self, range: Range<u64>) -> Result<EntriesAhead, StorageError> {
        EntriesAhead::start(Arc::clone(&self.shared), range)
            .map_err(StorageError::io("start a thread to read", &self.shared.files.path("")))
    }

    /// Where it is, for messages.
    pub(in crate::storage) fn path(&self) -> PathBuf {
        self.shared.files.path("")
    }

    /// What the log holds.
    pub fn state(&self) -> LogState {
        let cache = self.shared.cache.lock();
        LogState { purged: cache.purged, last: cache.last() }
    }

    /// How many bytes the entries behind a position have on disk.
    pub fn bytes_after(&self, position: Option<LogPosition>) -> u64 {
        self.shared.cache.lock().bytes_after(position)
    }

    /// The last saved vote.
    pub fn vote(&self) -> Option<Vote> {
        self.shared.cache.lock().vote
    }

    /// The last saved committed position.
    pub fn committed(&self) -> Option<LogPosition> {
        self.shared.cache.lock().committed
    }

    /// Whether new entries should be refused because the disk is (nearly) full. What was appended
    /// before completes all the same, at the latest when space returns.
    pub fn disk_full(&self) -> bool {
        self.shared.write_blocked.load(Ordering::Relaxed) || self._threads.spares.disk_full()
    }

    /// How long flushes took, in microseconds.
    pub fn flush_us(&self) -> &Histogram {
        &self.shared.flush_us
    }
}

/// One change of the log that waits to be written.
pub(super) enum Operation {
    Append { entries: Vec<LogEntry>, done: Completion },
    Vote { vote: Vote, done: Completion },
    Truncate { from: u64 },
    Purge { upto: LogPosition, done: Completion },
}

impl Operation {
    /// Whether it may be written in place: the others may take long.
    pub(super) fn may_be_in_place(&self) -> bool {
        matches!(self, Self::Append { .. })
    }

    /// About as many bytes as it takes in the log.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Append { entries, .. } => {
                entries.iter().map(|entry| entry.payload.len() + frame::ENTRY_HEADER_BYTES).sum()
            }
            Self::Vote { .. } | Self::Truncate { .. } | Self::Purge { .. } => 0,
        }
    }
}

/// What waits for the writer. Bounded by what the consensus has in flight.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) operations: Vec<Operation>,
    pub(super) closing: bool,
    pub(super) turn: WriterTurn,
}

/// The writer while nobody writes; the thread that writes holds the lock. Empty once the log is closed.
pub(super) type IdleWriter = Arc<Mutex<Option<Writer>>>;

/// What the handles, the writer and the log's threads share. Lock order: `cache`, then `queue`.
pub(super) struct LogShared {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) cache: Mutex<Cache>,
    pub(super) queue: Mutex<Queue>,
    /// Signalled when the queue is no longer empty, or closing.
    pub(super) wake: Condvar,
    /// Whether the writer waits for disk space.
    pub(super) write_blocked: AtomicBool,
    /// How long flushes took, in microseconds.
    pub(super) flush_us: Histogram,
}

impl LogShared {
    pub(super) fn read(&self, range: Range<u64>) -> Result<Vec<LogEntry>, StorageError> {
        let sources = self.cache.lock().sources(range);
        sources.into_iter().map(|source| self.load(source)).collect()
    }

    fn load(&self, source: Source) -> Result<LogEntry, StorageError> {
        let (file, place, position) = match source {
            Source::Memory(entry) => return Ok(entry),
            Source::Disk { file, place, position } => (file, place, position),
        };
        let path = || self.files.path(&segment::file_name(place.segment));
        let mut bytes = vec![0; place.length as usize];
        file.read_at(&mut bytes, place.offset).map_err(|e| StorageError::io("read", &path())(e))?;
        match frame::decode_entry(&bytes.into()) {
            Some(entry) if entry.position == position => Ok(entry),
            Some(_) | None => Err(StorageError::corrupt(
                &path(),
                place.offset,
                format!("entry {position} cannot be read back"),
            )),
        }
    }

    fn enqueue(&self, operation: Operation) {
        let mut queue = self.queue.lock();
        let was_empty = queue.operations.is_empty();
        let may_be_in_place = operation.may_be_in_place();
        queue.operations.push(operation);
        if !was_empty {
            return;
        }
        let wakeup = queue.turn.queued(may_be_in_place);
        drop(queue);
        if matches!(wakeup, Wakeup::WakeThread | Wakeup::AskAndWatch(_)) {
            self.wake.notify_one();
        }
        if let Wakeup::Ask(hooks) | Wakeup::AskAndWatch(hooks) = wakeup {
            (hooks.to_write)();
        }
    }
}

impl std::fmt::Debug for LogShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogShared").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The log's threads; dropping waits until all that is queued is written.
#[derive(Debug)]
struct Threads {
    shared: Arc<LogShared>,
    spares: SparePool,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closing = true;
        let (own, hooks) = (queue.turn.is_own_work(), queue.turn.end());
        drop(queue);
        drop(hooks);
        self.shared.wake.notify_all();
        if let Some(writer) = self.writer.take() {
            // A completion may hold the last handle and drop it where the log is being written.
            if !own && writer.thread().id() != thread::current().id() {
                let _ = writer.join();
            }
        }
        self.spares.stop();
    }
}
