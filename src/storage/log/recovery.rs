//! Reads the log back when it is opened, and tells a torn end from damage.
//!
//! Everything is read and judged before anything is changed, so that a refused log is untouched.
//!
//! What is read may come from memory and not from the disk. After a failed flush Linux keeps the pages that
//! were not written, and takes them for written: the next flush, of the next process too, succeeds
//! without writing them. So what is found is believed only where it was seen to be flushed:
//!
//! * A frame, where a later frame says so, or the header of a later segment. The process that wrote that had seen
//!   the flush. Whether what it wrote is on the disk itself does not matter.
//! * The name and the header of a segment, where there is a frame in it: nobody writes one before both
//!   are flushed.
//!
//! All else is written once more, and flushed, before anybody relies on it. What cannot be written that way
//! ends the start.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::cache::{Cache, Place};
use super::file_system::{FileSystem, LogFile};
use super::frame::{FRAME_ALIGNMENT, Frame, Record};
use super::raft_log::LogOptions;
use super::segment::{self, HEADER_BYTES, Header};
use super::spare::{self, Spare};
use super::writer::{self, Kept, Segment, Tail};
use crate::storage::StorageError;

/// An opened log.
pub(super) struct Recovered {
    pub(super) cache: Cache,
    pub(super) tail: Tail,
}

/// Reads the log of a directory.
pub(super) fn scan(files: Arc<dyn FileSystem>, options: &LogOptions) -> Result<Scan, StorageError> {
    let names = files.list().map_err(StorageError::io("list", &files.path("")))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    let mut scan = Scan::new(files, options);
    scan.spares = names.into_iter().filter(|name| spare::is_spare(name)).collect();
    for (at, &number) in numbers.iter().enumerate() {
        scan.segment(number, at + 1 == numbers.len())?;
    }
    scan.check_entries()?;
    Ok(scan)
}

/// State of reading the segments in order.
pub(super) struct Scan {
    files: Arc<dyn FileSystem>,
    segment_bytes: u64,
    /// Files that were prepared for an earlier process.
    spares: Vec<String>,
    cache: Cache,
    segments: Vec<Segment>,
    kept: Kept,
    /// The number the next frame must have; `None` before the first segment.
    sequence: Option<u64>,
    /// The newest frame that was seen to be flushed.
    durable: u64,
    /// The frames behind it, as they were read.
    unproven: Vec<u8>,
    /// Where the last valid frame ends in the last segment.
    offset: u64,
    /// Whether there are bytes other than zero behind it.
    torn: bool,
}

impl Scan {
    fn new(files: Arc<dyn FileSystem>, options: &LogOptions) -> Self {
        Self {
            files,
            segment_bytes: options.segment_bytes,
            spares: Vec::new(),
            cache: Cache::new(options.cache_bytes_max),
            segments: Vec::new(),
            kept: Kept::default(),
            sequence: None,
            durable: 0,
            unproven: Vec::new(),
            offset: 0,
            torn: false,
        }
    }

    /// Whether there is no segment.
    pub(super) fn is_new(&self) -> bool {
        self.segments.is_empty()
    }

    /// Reads one segment. Only the last one may end in a torn frame.
    fn segment(&mut self, number: u64, last: bool) -> Result<(), StorageError> {
        let path = self.files.path(&segment::file_name(number));
        let read = |file: &Arc<dyn LogFile>| -> io::Result<Vec<u8>> {
            let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
            let mut bytes = vec![0; len];
            file.read_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let file = self
            .files
            .open(&segment::file_name(number))
            .map_err(StorageError::io("open", &path))?;
        let bytes = read(&file).map_err(StorageError::io("read", &path))?;
        let header = Header::decode(&path, &bytes)?;
        self.check_header(&header, number, bytes.len() as u64)?;
        self.cache.files.insert(number, Arc::clone(&file));
        let capacity = header.capacity;
        self.segments.push(Segment { number, file, capacity, last_index: None });
        self.sequence = Some(header.first_sequence);
        self.durable = self.durable.max(header.first_sequence.saturating_sub(1));
        let end = self.frames(number, &bytes)?;
        self.offset = end as u64;
        // That the next segment exists proves that all of this one had reached the disk; its
        // first sequence number, checked next, tells whether a frame is missing here.
        self.torn = last && bytes[end..].iter().any(|byte| *byte != 0);
        Ok(())
    }

    fn check_header(&self, header: &Header, number: u64, len: u64) -> Result<(), StorageError> {
        let path = self.files.path(&segment::file_name(number));
        let damaged = |at, what: String| Err(StorageError::corrupt(&path, at, what));
        if header.number != number {
            return damaged(16, format!("it is segment {} by its header", header.number));
        }
        if header.capacity != len {
            let what = format!("the file should have {} bytes, it has {len}", header.capacity);
            return damaged(len, what);
        }
        let Some(previous) = self.segments.last() else { return Ok(()) };
        if previous.number + 1 != number {
            return damaged(0, format!("segment {} in front of it is missing", number - 1));
        }
        let expected = self.sequence.unwrap_or(header.first_sequence);
        if header.first_sequence != expected {
            let path = self.files.path(&segment::file_name(previous.number));
            let what = format!(
                "frame {expected} cannot be read, but frames up to {} had been written",
                header.first_sequence.saturating_sub(1)
            );
            return Err(StorageError::corrupt(&path, self.offset, what));
        }
        Ok(())
    }

    /// Takes in the frames of a segment; returns where the last valid one ends.
    fn frames(&mut self, number: u64, bytes: &[u8]) -> Result<usize, StorageError> {
        let path = self.files.path(&segment::file_name(number));
        let mut at = HEADER_BYTES;
        let mut begins = Vec::new();
        loop {
            let expected = self.sequence.unwrap_or_default();
            let frame = bytes.get(at..).and_then(|rest| Frame::parse(rest, number));
            let Some(frame) = frame.filter(|frame| frame.sequence == expected) else {
                return match first_durable_after(&bytes[at..], number, expected) {
                    None => {
                        self.keep_unproven(&begins, &bytes[..at]);
                        Ok(at)
                    }
                    Some(later) => Err(StorageError::corrupt(
                        &path,
                        at as u64,
                        format!(
                            "frame {expected} cannot be read, but it had reached the disk: frame \
                             {later} behind it says so"
                        ),
                    )),
                };
            };
            for record in frame.records() {
                let damaged = |what: &str| StorageError::corrupt(&path, at as u64, what);
                let (start, length, record) =
                    record.ok_or_else(|| damaged("a record of a valid frame cannot be decoded"))?;
                let place = Place {
                    segment: number,
                    offset: (at + start) as u64,
                    length: u32::try_from(length).map_err(|_| damaged("a record is too long"))?,
                };
                if !self.record(record, place) {
                    return Err(damaged("entries are missing in front of the ones here"));
                }
            }
            begins.push((frame.sequence, at));
            self.durable = self.durable.max(frame.durable);
            at += frame.size();
            self.sequence = Some(expected + 1);
        }
    }

    /// Keeps the frames that nothing proves to be on disk, of a segment whose frames begin at these places.
    fn keep_unproven(&mut self, begins: &[(u64, usize)], bytes: &[u8]) {
        let first = begins.iter().find(|(sequence, _)| *sequence > self.durable);
        self.unproven = first.map_or_else(Vec::new, |(_, at)| bytes[*at..].to_vec());
    }

    /// Takes in one record; false when it does not follow from those before it.
    fn record(&mut self, record: Record, place: Place) -> bool {
        match record {
            Record::Entry(entry) => {
                let index = entry.position.index;
                if let Some(segment) = self.segments.last_mut() {
                    segment.last_index = segment.last_index.max(Some(index));
                }
                return self.cache.push(entry, Some(place));
            }
            Record::Vote(vote) => self.kept.vote = Some(vote),
            Record::Committed(committed) => self.kept.committed = Some(committed),
            Record::Truncate { from } => self.cache.truncate(from),
            Record::Purge(upto) => {
                self.kept.purged = self.kept.purged.max(Some(upto));
                self.cache.purge(upto);
            }
        }
        true
    }

    /// The oldest entry must follow the purged one: segments in front may have been deleted by
    /// someone else.
    fn check_entries(&self) -> Result<(), StorageError> {
        let Some(first) = self.cache.first_index() else { return Ok(()) };
        let expected = self.kept.purged.map_or(0, |purged| purged.index + 1);
        let oldest = self.segments.first().map_or(0, |segment| segment.number);
        if first == expected || (oldest == 1 && self.kept.purged.is_none()) {
            return Ok(());
        }
        let path = self.files.path(&segment::file_name(oldest));
        let what = format!("the log begins with entry {first} in place of {expected}");
        Err(StorageError::corrupt(&path, 0, what))
    }

    /// Puts on disk what may not be there, cuts a torn end and removes leftovers; the only step that
    /// changes files.
    pub(super) fn finish(mut self) -> Result<Recovered, StorageError> {
        for name in &self.spares {
            let path = self.files.path(name);
            self.files.remove(name).map_err(StorageError::io("remove", &path))?;
        }
        if self.segments.is_empty() {
            self.begin()?;
        } else if let Some(last) = self.segments.last() {
            let path = self.files.path(&segment::file_name(last.number));
            self.settle(last, &path).map_err(StorageError::io("write", &path))?;
        }
        self.cache.vote = self.kept.vote;
        self.cache.committed = self.kept.committed;
        let tail = Tail {
            segments: self.segments.into(),
            offset: self.offset,
            sequence: self.sequence.unwrap_or(1),
            kept: self.kept,
        };
        Ok(Recovered { cache: self.cache, tail })
    }

    /// Sees to it that the last segment is on disk, its name and all that was found in it, and nothing
    /// behind that.
    fn settle(&self, last: &Segment, path: &Path) -> io::Result<()> {
        let file = &*last.file;
        if self.torn {
            tracing::info!(file = %path.display(), offset = self.offset,
                "cutting a write that a crash had interrupted");
            cut(file, self.offset, last.capacity)?;
        }
        if !self.unproven.is_empty() {
            file.write_at(&self.unproven, self.offset - self.unproven.len() as u64)?;
        }
        file.sync()?;
        if self.offset > HEADER_BYTES as u64 {
            // Earlier versions wrote frames into a segment that a killed process had named and not flushed.
            return self.files.sync_directory();
        }
        // Nothing proves the name: it is given once more. Should that be interrupted, nothing was in it.
        let header = Header {
            number: last.number,
            first_sequence: self.sequence.unwrap_or(1),
            capacity: last.capacity,
        };
        self.files.rename(&segment::file_name(last.number), spare::FIRST_NAME)?;
        writer::activate(&*self.files, file, spare::FIRST_NAME, &header)?;
        self.files.sync_directory()
    }

    /// Begins a log in an empty directory.
    fn begin(&mut self) -> Result<(), StorageError> {
        let directory = self.files.path("");
        let failed = StorageError::io("take space for the log in", &directory);
        let begun = || -> io::Result<Segment> {
            let Spare { file, name, capacity } = spare::prepare(
                &*self.files,
                spare::FIRST_NAME,
                self.segment_bytes,
                spare::FLUSH_ONCE,
                |_| (),
            )?;
            let header = Header { number: 1, first_sequence: 1, capacity };
            writer::activate(&*self.files, &*file, &name, &header)?;
            self.files.sync_directory()?;
            Ok(Segment { number: header.number, file, capacity, last_index: None })
        };
        let segment = begun().map_err(failed)?;
        self.cache.files.insert(segment.number, Arc::clone(&segment.file));
        self.segments.push(segment);
        self.offset = HEADER_BYTES as u64;
        Ok(())
    }
}

/// Looks behind an unreadable place for a frame that says that frame `expected` had reached the
/// disk; returns that frame's number.
fn first_durable_after(bytes: &[u8], segment: u64, expected: u64) -> Option<u64> {
    (0..bytes.len()).step_by(FRAME_ALIGNMENT).find_map(|at| {
        let frame = Frame::parse(&bytes[at..], segment)?;
        (frame.durable >= expected).then_some(frame.sequence)
    })
}

/// Stands in front of what is being cut, where the next frame goes, until the rest is gone.
const CUTTING: [u8; FRAME_ALIGNMENT] = [0xff; FRAME_ALIGNMENT];

/// Overwrites the rest of a file with zeros, so that nothing of a torn write can be taken for a frame later
/// on. Zeros that are read do not prove that there are zeros on the disk; so until they are flushed, what
/// is in front of them says that they are not.
fn cut(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let mark = CUTTING.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
    file.write_at(&CUTTING[..mark], from)?;
    zero(file, from + mark as u64, to)?;
    file.sync()?;
    zero(file, from, from + mark as u64)
}

fn zero(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    const PIECE: usize = 4096;
    let zeros = [0; PIECE];
    let mut at = from;
    while at < to {
        let piece = usize::try_from(to - at).map_or(PIECE, |left| left.min(PIECE));
        file.write_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}
