//! What writes the log: takes all that is queued, writes it, flushes once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cache::Place;
use super::file_system::LogFile;
use super::frame::{self, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, Record};
use super::in_place::{self, ThreadTask};
use super::raft_log::{Completion, IdleWriter, LogOptions, LogShared, Operation};
use super::segment::{self, HEADER_BYTES, Header};
use super::spare::{Spare, SparePool};
use crate::env::time::Instant;
use crate::storage::error::{is_out_of_files, shortage};
use crate::storage::{LogPosition, Vote};

/// A segment that still holds needed entries.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Arc<dyn LogFile>,
    pub(super) capacity: u64,
    /// The highest index of an entry in it.
    pub(super) last_index: Option<u64>,
}

/// Where the log ends, and what its next segment has to repeat.
#[derive(Debug)]
pub(super) struct Tail {
    /// Oldest first; the last one is written. Never empty.
    pub(super) segments: VecDeque<Segment>,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// The number of the next frame.
    pub(super) sequence: u64,
    pub(super) kept: Kept,
}

/// The single values of the log. Each segment begins with them, so that older ones can go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogPosition>,
    pub(super) purged: Option<LogPosition>,
}

impl Kept {
    fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let purged = self.purged.map(Record::Purge);
        let vote = self.vote.map(Record::Vote);
        let committed = self.committed.map(Record::Committed);
        [purged, vote, committed].into_iter().flatten()
    }
}

/// Works on a thread of its own until the log is closed and all that was queued is written.
pub(super) fn run(shared: &LogShared, slot: &IdleWriter, tick: Duration) {
    loop {
        let task = in_place::next_thread_task(shared, tick);
        let mut writer = slot.lock();
        let Some(at_work) = writer.as_mut() else { return };
        match task {
            ThreadTask::Write => {
                let operations = std::mem::take(&mut shared.queue.lock().operations);
                if !operations.is_empty() {
                    at_work.process(operations);
                }
            }
            ThreadTask::NoteCommitted => at_work.write_committed(),
            ThreadTask::Close => {
                let operations = std::mem::take(&mut shared.queue.lock().operations);
                if operations.is_empty() {
                    at_work.write_committed();
                    *writer = None;
                    return;
                }
                at_work.process(operations);
            }
        }
    }
}

/// Writes the log, for the thread or the task whose turn it is.
pub(super) struct Writer {
    shared: Arc<LogShared>,
    spares: SparePool,
    options: LogOptions,
    tail: Tail,
    /// The newest frame that is on disk.
    durable: u64,
    /// The frame that is being filled.
    frame: Vec<u8>,
    /// The values as of the frame that is being filled; `tail.kept` is as of the last written one.
    kept: Kept,
    /// Entries of the frame that is being filled: place in the frame and length.
    frame_entries: Vec<(LogPosition, usize, u32)>,
    /// Frames of the current segment that were written and not flushed, with their offsets: they
    /// are written again when a flush fails for want of space.
    unflushed: Vec<(u64, Vec<u8>)>,
    /// Entries that were written and not flushed.
    places: Vec<(LogPosition, Place)>,
    /// Why nothing can be written any more.
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<LogShared>,
        spares: SparePool,
        options: LogOptions,
        tail: Tail,
    ) -> Self {
        let kept = tail.kept;
        Self {
            shared,
            spares,
            options,
            // Opening the log flushed all that it found.
            durable: tail.sequence - 1,
            tail,
            frame: Vec::new(),
            kept,
            frame_entries: Vec::new(),
            unflushed: Vec::new(),
            places: Vec::new(),
            failed: None,
        }
    }

    /// Writes a group of operations with one flush, then reports them done in order.
    pub(super) fn process(&mut self, operations: Vec<Operation>) {
        let mut completions = Vec::with_capacity(operations.len());
        let result = self.write_group(operations, &mut completions).and_then(|()| self.flush());
        if let Err(error) = result {
            self.fail(error);
        }
        let purged = self.failed.is_none() && self.publish();
        for done in completions {
            done(self.outcome());
        }
        if purged {
            self.remove_purged_segments();
        }
    }

    fn write_group(
        &mut self,
        operations: Vec<Operation>,
        completions: &mut Vec<Completion>,
    ) -> io::Result<()> {
        // Every completion must be called, whatever happens to its operation.
        let mut outcome = self.outcome();
        frame::begin(&mut self.frame);
        for operation in operations {
            match operation {
                Operation::Append { entries, done } => {
                    completions.push(done);
                    for entry in entries {
                        if outcome.is_ok() {
                            outcome = self.add_entry(&Record::Entry(entry));
                        }
                    }
                }
                Operation::Vote { vote, done } => {
                    completions.push(done);
                    self.kept.vote = Some(vote);
                    Record::Vote(vote).encode(&mut self.frame);
                }
                Operation::Truncate { from } => {
                    Record::Truncate { from }.encode(&mut self.frame);
                }
                Operation::Purge { upto, done } => {
                    completions.push(done);
                    self.kept.purged = self.kept.purged.max(Some(upto));
                    Record::Purge(upto).encode(&mut self.frame);
                }
            }
        }
        outcome?;
        self.add_committed();
        self.write_frame()
    }

    fn add_entry(&mut self, record: &Record) -> io::Result<()> {
        let start = self.frame.len();
        record.encode(&mut self.frame);
        if let Record::Entry(entry) = record {
            let length = u32::try_from(self.frame.len() - start).map_err(io::Error::other)?;
            self.frame_entries.push((entry.position, start, length));
        }
        if self.frame.len() < self.options.frame_bytes_soft_max {
            return Ok(());
        }
        self.write_frame()?;
        frame::begin(&mut self.frame);
        Ok(())
    }

    /// Adds the committed position to the frame when it has changed; false when it has not.
    fn add_committed(&mut self) -> bool {
        let committed = self.shared.cache.lock().committed;
        if committed == self.kept.committed {
            return false;
        }
        self.kept.committed = committed;
        // Nothing ever unsays a commit: no record is needed for `None`.
        committed.into_iter().for_each(|c| Record::Committed(c).encode(&mut self.frame));
        committed.is_some()
    }

    /// Writes the committed position of an idle log, without a flush.
    fn write_committed(&mut self) {
        if self.failed.is_some() {
            return;
        }
        frame::begin(&mut self.frame);
        if self.add_committed()
            && let Err(error) = self.write_frame()
        {
            self.fail(error);
        }
    }

    /// Writes the frame that was filled, in the next segment if this one has no room for it.
    fn write_frame(&mut self) -> io::Result<()> {
        if self.frame.len() == FRAME_HEADER_BYTES {
            return Ok(());
        }
        let size = self.frame.len().next_multiple_of(FRAME_ALIGNMENT) as u64;
        if self.tail.offset + size > self.current().capacity {
            self.begin_segment(size)?;
        }
        let frame = std::mem::take(&mut self.frame);
        let offset = self.put(frame)?;
        let number = self.current().number;
        for (position, start, length) in self.frame_entries.drain(..) {
            let place = Place { segment: number, offset: offset + start as u64, length };
            self.places.push((position, place));
            if let Some(segment) = self.tail.segments.back_mut() {
                segment.last_index = segment.last_index.max(Some(position.index));
            }
        }
        self.tail.kept = self.kept;
        Ok(())
    }

    /// Seals a frame and writes it at the end of the current segment; returns where.
    fn put(&mut self, mut frame: Vec<u8>) -> io::Result<u64> {
        frame::seal(&mut frame, self.current().number, self.tail.sequence, self.durable);
        let offset = self.tail.offset;
        while let Err(error) = self.current().file.write_at(&frame, offset) {
            self.wait_for_space(error)?;
        }
        self.shared.write_blocked.store(false, Ordering::Relaxed);
        self.tail.offset += frame.len() as u64;
        self.tail.sequence += 1;
        self.unflushed.push((offset, frame));
        Ok(offset)
    }

    /// Makes all written frames durable.
    fn flush(&mut self) -> io::Result<()> {
        let start = Instant::now();
        while let Err(error) = self.current().file.sync() {
            self.wait_for_space(error)?;
            // A failed flush may have dropped the pages: hand them to the system again.
            for (offset, frame) in &self.unflushed {
                self.current().file.write_at(frame, *offset)?;
            }
        }
        let took = start.elapsed();
        self.shared.flush_us.record_elapsed(took);
        self.shared.queue.lock().turn.flushed(took);
        if took > self.options.slow_flush {
            tracing::warn!(
                "flushing the log took {} ms (fsync.warningthresholdms is {}): writes wait for the \
                 disk",
                took.as_millis(),
                self.options.slow_flush.as_millis()
            );
        }
        self.shared.write_blocked.store(false, Ordering::Relaxed);
        self.durable = self.tail.sequence - 1;
        if let Some((_, frame)) = self.unflushed.pop() {
            // Keep one buffer for the next frame.
            self.frame = frame;
        }
        self.unflushed.clear();
        Ok(())
    }

    /// Goes on in a new segment that has room for a frame of `size` bytes.
    fn begin_segment(&mut self, size: u64) -> io::Result<()> {
        // A segment is complete on disk before there is a next one.
        if !self.unflushed.is_empty() {
            let filled = std::mem::take(&mut self.frame);
            self.flush()?;
            self.frame = filled;
        }
        let mut first = Vec::new();
        frame::begin(&mut first);
        self.tail.kept.records().for_each(|record| record.encode(&mut first));
        let needed = HEADER_BYTES as u64 + size + first.len() as u64 + FRAME_ALIGNMENT as u64;
        let Spare { file, name, capacity } = self.spare(needed)?;
        let number = self.current().number + 1;
        let header = Header { number, first_sequence: self.tail.sequence, capacity };
        activate(&*self.shared.files, &*file, &name, &header)?;
        while let Err(error) = self.shared.files.sync_directory() {
            // A flush that was not begun can be; one that failed is not made good by the next one.
            if !is_out_of_files(&error) {
                return Err(error);
            }
            self.wait_for_space(error)?;
        }
        self.shared.cache.lock().files.insert(number, Arc::clone(&file));
        self.tail.segments.push_back(Segment { number, file, capacity, last_index: None });
        self.tail.offset = HEADER_BYTES as u64;
        if first.len() > FRAME_HEADER_BYTES {
            self.put(first)?;
        }
        Ok(())
    }

    /// A zeroed file of at least `needed` bytes; waits for disk space if it has to.
    fn spare(&mut self, needed: u64) -> io::Result<Spare> {
        loop {
            match self.spares.take(needed) {
                Ok(Some(spare)) => {
                    self.shared.write_blocked.store(false, Ordering::Relaxed);
                    return Ok(spare);
                }
                Ok(None) if self.spares.disk_full() => {
                    self.wait_for_space(io::ErrorKind::StorageFull.into())?;
                }
                Ok(None) => {}
                Err(error) => self.wait_for_space(error)?,
            }
        }
    }

    /// Waits a moment when the error says that the disk is full, or that no file can be opened; else returns
    /// it.
    fn wait_for_space(&self, error: io::Error) -> io::Result<()> {
        let Some(shortage) = shortage(&error) else { return Err(error) };
        if !self.shared.write_blocked.swap(true, Ordering::Relaxed) {
            tracing::warn!("{shortage}: accepted writes wait until that ends");
        }
        let mut queue = self.shared.queue.lock();
        if queue.closing {
            return Err(error);
        }
        self.shared.wake.wait_for(&mut queue, self.options.tick);
        Ok(())
    }

    /// Tells readers where the flushed entries are; true when segments may have become free.
    fn publish(&mut self) -> bool {
        let mut cache = self.shared.cache.lock();
        for (position, place) in self.places.drain(..) {
            cache.set_place(position, place);
        }
        cache.evict();
        let purged = self.tail.kept.purged;
        let oldest = self.tail.segments.front();
        oldest.is_some_and(|s| s.last_index <= purged.map(|p| p.index))
    }

    /// Has the segments in front removed that hold purged entries only. That they are purged is on
    /// disk already.
    fn remove_purged_segments(&mut self) {
        let purged = self.tail.kept.purged.map(|position| position.index);
        while self.tail.segments.len() > 1
            && self.tail.segments.front().is_some_and(|s| s.last_index <= purged)
        {
            let Some(segment) = self.tail.segments.pop_front() else { return };
            self.shared.cache.lock().files.remove(&segment.number);
            self.spares.remove(segment::file_name(segment.number), segment.file);
        }
    }

    /// Whether the segment in use has room for entries of this many bytes.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        // The frame's header, and the committed position.
        let size = (bytes + 4 * FRAME_HEADER_BYTES) as u64;
        self.tail.offset + size <= self.current().capacity
    }

    pub(super) fn shared(&self) -> &LogShared {
        &self.shared
    }

    fn current(&self) -> &Segment {
        // There is always one: the log begins with a segment, and the last is never removed.
        &self.tail.segments[self.tail.segments.len() - 1]
    }

    fn fail(&mut self, error: io::Error) {
        if self.failed.is_none() {
            tracing::error!(%error, "the log cannot be written");
            self.failed = Some(error);
        }
    }

    fn outcome(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

/// Turns a prepared file into a segment, whose name is durable once the directory is synced.
pub(super) fn activate(
    files: &dyn super::FileSystem,
    file: &dyn LogFile,
    name: &str,
    header: &Header,
) -> io::Result<()> {
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    files.rename(name, &segment::file_name(header.number))
}
