//! Creating and deleting nodes.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use jute_proto::{
    Acl, CreateMode, CreateResponse, DeleteRequest, Encode, OpCode, Reader, ReplyHeader, Xid,
    begin_vec, end_vec, put_buffer, put_str,
};

use super::material::{PathText, Value, frame};
use crate::script::{Script, WrongReply, expect, expect_ok};

/// What stands behind path and data in a create: the open ACL and the mode, encoded once.
#[derive(Clone, Debug)]
pub(super) struct CreateTail(BytesMut);

impl CreateTail {
    pub(super) fn new(mode: CreateMode) -> Self {
        let mut tail = BytesMut::new();
        let acl = Acl::open();
        let mark = begin_vec(&mut tail);
        for entry in &acl {
            entry.encode(&mut tail);
        }
        end_vec(&mut tail, mark, acl.len());
        tail.put_i32(mode.into());
        Self(tail)
    }

    /// Appends the record of a create.
    pub(super) fn create(&self, path: &str, data: &[u8], out: &mut BytesMut) {
        put_str(out, path);
        put_buffer(out, Some(data));
        out.put_slice(&self.0);
    }
}

/// Appends a delete of any version.
pub(super) fn delete(path: &str, out: &mut BytesMut) {
    DeleteRequest { path: Cow::Borrowed(path), version: -1 }.encode(out);
}

fn check_created(path: &str, body: &[u8]) -> Result<(), WrongReply> {
    let response: CreateResponse<'_> = Reader::new(body).record()?;
    expect(response.path == path, "path")
}

/// Creates numbered nodes, in order.
#[derive(Debug)]
pub(in super::super) struct CreateNodes {
    paths: PathText,
    value: Value,
    tail: CreateTail,
    next: u64,
    end: u64,
    due: u64,
}

impl CreateNodes {
    /// Creates children of `parent` with the numbers below `end`.
    pub(in super::super) fn new(parent: &str, end: u64, value: Value) -> Self {
        let (paths, tail) = (PathText::below(parent), CreateTail::new(CreateMode::Persistent));
        Self { paths, value, tail, next: 0, end, due: 0 }
    }
}

impl Script for CreateNodes {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let number = self.next;
        if number == self.end {
            return false;
        }
        self.next += 1;
        frame(out, xid, OpCode::Create, |out| {
            self.tail.create(self.paths.child(number), self.value.of(number), out);
        });
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        let number = self.due;
        self.due += 1;
        expect_ok(header)?;
        check_created(self.paths.child(number), body)
    }
}

/// Deletes numbered nodes in order, until there are no more.
#[derive(Debug)]
pub(in super::super) struct DeleteNodes {
    paths: PathText,
    next: u64,
    end: u64,
}

impl DeleteNodes {
    /// Deletes the nodes from `first` up to, not including, `end`.
    pub(in super::super) fn new(parent: &str, first: u64, end: u64) -> Self {
        Self { paths: PathText::below(parent), next: first, end }
    }
}

impl Script for DeleteNodes {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let number = self.next;
        if number == self.end {
            return false;
        }
        self.next += 1;
        frame(out, xid, OpCode::Delete, |out| delete(self.paths.child(number), out));
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)?;
        expect(body.is_empty(), "length of the body")
    }
}

/// Creates an ephemeral node and deletes it, then the next one.
#[derive(Debug)]
pub(in super::super) struct EphemeralPairs {
    paths: PathText,
    value: Value,
    tail: CreateTail,
    /// Requests written: an even one creates, the odd one after it deletes.
    next: u64,
    due: u64,
}

impl EphemeralPairs {
    pub(in super::super) fn new(parent: &str, value: Value) -> Self {
        let (paths, tail) = (PathText::below(parent), CreateTail::new(CreateMode::Ephemeral));
        Self { paths, value, tail, next: 0, due: 0 }
    }
}

impl Script for EphemeralPairs {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let (number, creates) = (self.next / 2, self.next.is_multiple_of(2));
        self.next += 1;
        let path = self.paths.child(number);
        if creates {
            let (tail, value) = (&self.tail, self.value.of(number));
            frame(out, xid, OpCode::Create, |out| tail.create(path, value, out));
        } else {
            frame(out, xid, OpCode::Delete, |out| delete(path, out));
        }
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        let (number, created) = (self.due / 2, self.due.is_multiple_of(2));
        self.due += 1;
        expect_ok(header)?;
        if created {
            check_created(self.paths.child(number), body)
        } else {
            expect(body.is_empty(), "length of the body")
        }
    }
}
