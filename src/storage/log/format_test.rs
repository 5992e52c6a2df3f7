//! Bytes of the log, as earlier builds wrote them.

use std::path::Path;

use bytes::Bytes;

use super::entry::{EntryKind, LogEntry};
use super::frame::{Frame, Record, begin, decode_entry, seal};
use super::segment::Header;
use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_written, golden};
use crate::storage::{LogPosition, Vote};

const BUILDS: [&str; 2] = [BUILD_8AECE55, BUILD_5DE72FB];

/// A frame is valid in its own segment only.
const SEGMENT: u64 = 7;

fn entry(kind: EntryKind, index: u64, payload: &'static str) -> Record {
    let position = LogPosition { term: 6, index };
    Record::Entry(LogEntry { position, kind, payload: Bytes::from_static(payload.as_bytes()) })
}

/// One of each record, and an entry of each kind.
fn records() -> Vec<Record> {
    vec![
        entry(EntryKind::Blank, 300, ""),
        entry(EntryKind::Normal, 301, "a batch"),
        entry(EntryKind::Membership, 302, "a membership"),
        Record::Vote(Vote { term: 7, server: 0x5f2a_c01d_0000_0002, committed: true }),
        Record::Committed(LogPosition { term: 6, index: 301 }),
        Record::Truncate { from: 302 },
        Record::Purge(LogPosition { term: 5, index: 200 }),
    ]
}

/// The number of a record in the log, and its name in the golden files. Both stay; a new one has the next number.
fn number(record: &Record) -> (u8, &'static str) {
    match record {
        Record::Entry(entry) => match entry.kind {
            EntryKind::Blank => (1, "log.Entry.Blank"),
            EntryKind::Normal => (1, "log.Entry.Normal"),
            EntryKind::Membership => (1, "log.Entry.Membership"),
        },
        Record::Vote(_) => (2, "log.Vote"),
        Record::Committed(_) => (3, "log.Committed"),
        Record::Truncate { .. } => (4, "log.Truncate"),
        Record::Purge(_) => (5, "log.Purge"),
    }
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

fn frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    begin(&mut bytes);
    records().iter().for_each(|record| record.encode(&mut bytes));
    seal(&mut bytes, SEGMENT, 99, 98);
    bytes
}

const HEADER: Header = Header { number: SEGMENT, first_sequence: 99, capacity: 16 << 20 };

#[test]
fn records_keep_their_numbers() {
    // The log knows a record by its number.
    for record in records() {
        assert_eq!(encoded(&record)[0], number(&record).0, "{record:?}");
    }
}

#[test]
fn records_of_earlier_builds_are_read() {
    // Entries, votes and what else a frame records are what they were, and are written the same.
    for file in BUILDS {
        for record in records() {
            let (_, name) = number(&record);
            assert_written(file, name, &encoded(&record));
            if let Record::Entry(entry) = record {
                assert_eq!(decode_entry(&golden(file, name).into()), Some(entry));
            }
        }
    }
}

#[test]
fn frames_and_segments_of_earlier_builds_are_read() {
    // A segment's header and a frame of all records, with their check sums.
    for file in BUILDS {
        assert_written(file, "log.segment", &HEADER.encode());
        let header = Header::decode(Path::new("log"), &golden(file, "log.segment"));
        assert_eq!(header.unwrap(), HEADER);
        assert_written(file, "log.frame", &frame());
        let bytes = golden(file, "log.frame");
        let frame = Frame::parse(&bytes, SEGMENT).unwrap();
        assert_eq!((frame.sequence, frame.durable, frame.size()), (99, 98, bytes.len()));
        let read: Vec<Record> = frame.records().map(|record| record.unwrap().2).collect();
        assert_eq!(read, records());
    }
}
