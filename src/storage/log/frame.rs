//! The bytes of frames and records. All numbers are little-endian.
//!
//! Frames and records carry no version: the `FORMAT` of their segment is theirs. A frame of another magic in the last
//! segment counts as torn and is cut, so a new format begins a new segment (docs/reference/formats.md).
//!
//! ```text
//! frame   0  magic "GKF1"
//!         4  length of the records, before padding      u32
//!         8  sequence number                            u64
//!        16  newest frame known to be on disk           u64
//!        24  CRC-32 of segment number, the fields above and the records    u32
//!        28  zero                                       u32
//! record  0  kind                                       u8
//!         …  fields of the kind
//! ```
//!
//! The segment's number goes into the check sum, so that a frame is valid in its own segment only.

use bytes::{BufMut, Bytes};

use super::entry::{EntryKind, LogEntry};
use crate::storage::{LogPosition, Vote};

pub(super) const FRAME_HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub(super) const FRAME_ALIGNMENT: usize = 8;
/// The fields of an entry record in front of its payload.
pub(super) const ENTRY_HEADER_BYTES: usize = 26;

const FRAME_MAGIC: [u8; 4] = *b"GKF1";

const KIND_ENTRY: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_COMMITTED: u8 = 3;
const KIND_TRUNCATE: u8 = 4;
const KIND_PURGE: u8 = 5;

/// One thing that a frame records.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Entry(LogEntry),
    Vote(Vote),
    Committed(LogPosition),
    /// Entries from this index on are gone.
    Truncate {
        from: u64,
    },
    /// Entries up to this position, inclusive, are gone.
    Purge(LogPosition),
}

impl Record {
    /// Appends the record to a frame's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entry(entry) => encode_entry(entry, out),
            Self::Vote(vote) => {
                out.put_u8(KIND_VOTE);
                out.put_u64_le(vote.term);
                out.put_u64_le(vote.server);
                out.put_u8(u8::from(vote.committed));
            }
            Self::Committed(position) => encode_position(KIND_COMMITTED, *position, out),
            Self::Truncate { from } => {
                out.put_u8(KIND_TRUNCATE);
                out.put_u64_le(*from);
            }
            Self::Purge(position) => encode_position(KIND_PURGE, *position, out),
        }
    }
}

fn encode_position(kind: u8, position: LogPosition, out: &mut Vec<u8>) {
    out.put_u8(kind);
    out.put_u64_le(position.term);
    out.put_u64_le(position.index);
}

/// `kind 1 | entry kind 1 | term 8 | index 8 | length 4 | CRC-32 4 | payload`. The check sum of its
/// own lets one entry be read without its frame.
pub(super) fn encode_entry(entry: &LogEntry, out: &mut Vec<u8>) {
    out.reserve(ENTRY_HEADER_BYTES + entry.payload.len());
    let start = out.len();
    out.put_u8(KIND_ENTRY);
    out.put_u8(entry.kind as u8);
    out.put_u64_le(entry.position.term);
    out.put_u64_le(entry.position.index);
    out.put_u32_le(u32_len(entry.payload.len()));
    let check = entry_check(&out[start..], &entry.payload);
    out.put_u32_le(check);
    out.put_slice(&entry.payload);
}

fn entry_check(header: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(payload);
    crc.finalize()
}

/// The writer bounds what goes into a frame far below 4 GiB.
fn u32_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Decodes one entry record, as read back from its place. The payload is not copied.
pub(super) fn decode_entry(bytes: &Bytes) -> Option<LogEntry> {
    let mut input = Input { bytes };
    if input.u8()? != KIND_ENTRY {
        return None;
    }
    let (position, kind, payload) = input.entry(bytes)?;
    let payload = bytes.slice_ref(payload);
    input.bytes.is_empty().then_some(LogEntry { position, kind, payload })
}

/// Bytes of a frame with room for its header, which [`seal`] fills in.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.resize(FRAME_HEADER_BYTES, 0);
}

/// Completes a frame: fills in the header and pads it.
pub(super) fn seal(frame: &mut Vec<u8>, segment: u64, sequence: u64, durable: u64) {
    let length = u32_len(frame.len() - FRAME_HEADER_BYTES);
    frame[0..4].copy_from_slice(&FRAME_MAGIC);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..24].copy_from_slice(&durable.to_le_bytes());
    let check = frame_check(segment, &frame[..24], &frame[FRAME_HEADER_BYTES..]);
    frame[24..28].copy_from_slice(&check.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(FRAME_ALIGNMENT), 0);
}

fn frame_check(segment: u64, header: &[u8], records: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment.to_le_bytes());
    crc.update(header);
    crc.update(records);
    crc.finalize()
}

/// A frame whose check sum fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    /// The newest frame that had reached the disk when this one was written.
    pub(super) durable: u64,
    records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that begins with `bytes`, or `None` when there is no valid one.
    pub(super) fn parse(bytes: &'a [u8], segment: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        if header[0..4] != FRAME_MAGIC {
            return None;
        }
        let mut fields = Input { bytes: &header[4..] };
        let length = usize::try_from(fields.u32()?).ok()?;
        let sequence = fields.u64()?;
        let durable = fields.u64()?;
        let check = fields.u32()?;
        let records = bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES.checked_add(length)?)?;
        let fits = check == frame_check(segment, &header[..24], records);
        fits.then_some(Self { sequence, durable, records })
    }

    /// The space it takes in the segment.
    pub(super) fn size(&self) -> usize {
        (FRAME_HEADER_BYTES + self.records.len()).next_multiple_of(FRAME_ALIGNMENT)
    }

    /// Its records, each with its place inside the frame and its length; `None` in place of a
    /// record that cannot be decoded.
    pub(super) fn records(&self) -> impl Iterator<Item = Option<(usize, usize, Record)>> + 'a {
        let all = self.records;
        let mut input = Input { bytes: all };
        std::iter::from_fn(move || {
            if input.bytes.is_empty() {
                return None;
            }
            let start = all.len() - input.bytes.len();
            let record = input.record();
            let end = all.len() - input.bytes.len();
            if record.is_none() {
                input.bytes = &[];
            }
            Some(record.map(|record| (FRAME_HEADER_BYTES + start, end - start, record)))
        })
    }
}

/// Decodes from the front of a slice.
struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition { term: self.u64()?, index: self.u64()? })
    }

    fn record(&mut self) -> Option<Record> {
        let start = self.bytes;
        match self.u8()? {
            KIND_ENTRY => self.entry(start).map(|(position, kind, payload)| {
                let payload = Bytes::copy_from_slice(payload);
                Record::Entry(LogEntry { position, kind, payload })
            }),
            KIND_VOTE => {
                let (term, server) = (self.u64()?, self.u64()?);
                Some(Record::Vote(Vote { term, server, committed: self.u8()? == 1 }))
            }
            KIND_COMMITTED => self.position().map(Record::Committed),
            KIND_TRUNCATE => Some(Record::Truncate { from: self.u64()? }),
            KIND_PURGE => self.position().map(Record::Purge),
            _ => None,
        }
    }

    /// The rest of an entry record that begins with `start`.
    fn entry(&mut self, start: &[u8]) -> Option<(LogPosition, EntryKind, &'a [u8])> {
        let kind = EntryKind::from_byte(self.u8()?)?;
        let position = self.position()?;
        let length = usize::try_from(self.u32()?).ok()?;
        let header = &start[..ENTRY_HEADER_BYTES - 4];
        let check = self.u32()?;
        let payload = self.take(length)?;
        let fits = check == entry_check(header, payload);
        fits.then_some((position, kind, payload))
    }
}
