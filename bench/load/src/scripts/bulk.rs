//! Many nodes at once, outside the measured time: transactions of creates or deletes.

use std::ops::Range;

use bytes::BytesMut;
use jute_proto::{CreateMode, Encode, MultiHeader, OpCode, Reader, ReplyHeader, Xid};

use super::churn::{CreateTail, delete};
use super::material::{PathText, Value, frame};
use crate::script::{Script, WrongReply, expect_ok};

/// Most operations of one transaction.
const OPS_MAX: u64 = 100;
/// Most bytes of data in one transaction: well below the least limit that a server has.
const BYTES_MAX: usize = 256 * 1024;

/// Creates numbered nodes.
#[derive(Debug)]
pub(in super::super) struct BulkCreate {
    paths: PathText,
    value: Value,
    tail: CreateTail,
    left: Range<u64>,
    ops: u64,
}

impl BulkCreate {
    /// Creates the children of `parent` with the numbers of `range`.
    pub(in super::super) fn new(parent: &str, range: Range<u64>, value: Value) -> Self {
        let by_bytes = BYTES_MAX / usize::try_from(value.stat_len()).unwrap_or(1).max(1);
        let ops = OPS_MAX.min(by_bytes as u64).max(1);
        let (paths, tail) = (PathText::below(parent), CreateTail::new(CreateMode::Persistent));
        Self { paths, value, tail, left: range, ops }
    }
}

impl Script for BulkCreate {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        if self.left.is_empty() {
            return false;
        }
        let end = self.left.end.min(self.left.start + self.ops);
        frame(out, xid, OpCode::Multi, |out| {
            for number in self.left.start..end {
                MultiHeader::request(OpCode::Create).encode(out);
                self.tail.create(self.paths.child(number), self.value.of(number), out);
            }
            MultiHeader::END.encode(out);
        });
        self.left.start = end;
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)?;
        check_succeeded(body)
    }
}

/// Deletes nodes without children.
#[derive(Debug)]
pub(in super::super) struct BulkDelete {
    paths: PathText,
    names: std::vec::IntoIter<String>,
}

impl BulkDelete {
    /// Deletes the children of `parent` with these names.
    pub(in super::super) fn new(parent: &str, names: Vec<String>) -> Self {
        Self { paths: PathText::below(parent), names: names.into_iter() }
    }
}

impl Script for BulkDelete {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        if self.names.len() == 0 {
            return false;
        }
        frame(out, xid, OpCode::Multi, |out| {
            for name in self.names.by_ref().take(OPS_MAX as usize) {
                MultiHeader::request(OpCode::Delete).encode(out);
                delete(self.paths.named(&name), out);
            }
            MultiHeader::END.encode(out);
        });
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)?;
        check_succeeded(body)
    }
}

/// A transaction fails as a whole: then each result is an error, and one of them says why.
fn check_succeeded(body: &[u8]) -> Result<(), WrongReply> {
    let mut reader = Reader::new(body);
    let mut header: MultiHeader = reader.record()?;
    while header.op == i32::from(OpCode::Error) && !header.done {
        if header.err != 0 {
            return Err(WrongReply::Code(header.err));
        }
        reader.i32()?;
        header = reader.record()?;
    }
    Ok(())
}
