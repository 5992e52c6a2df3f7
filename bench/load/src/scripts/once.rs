//! Single requests around the measured time.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;
use jute_proto::{
    CreateMode, Encode, ErrorCode, ExistsRequest, GetChildrenRequest, GetChildrenResponse, OpCode,
    Reader, ReplyHeader, SyncRequest, Xid,
};

use super::churn::{CreateTail, delete};
use super::material::{PathText, frame};
use crate::script::{Script, WrongReply, expect_ok};

/// One `sync`, so that a server has seen the nodes that another one made.
#[derive(Debug, Default)]
pub(in super::super) struct SyncOnce {
    written: bool,
}

impl Script for SyncOnce {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        if !self.written {
            frame(out, xid, OpCode::Sync, |out| SyncRequest { path: "/".into() }.encode(out));
        }
        !std::mem::replace(&mut self.written, true)
    }

    fn check(&mut self, header: ReplyHeader, _body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)
    }
}

/// Watches of numbered nodes that are not there, one each.
#[derive(Debug)]
pub(in super::super) struct WatchAbsent {
    paths: PathText,
    left: Range<u64>,
}

impl WatchAbsent {
    /// Watches the children of `parent` with the numbers of `range`.
    pub(in super::super) fn new(parent: &str, range: Range<u64>) -> Self {
        Self { paths: PathText::below(parent), left: range }
    }
}

impl Script for WatchAbsent {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let Some(number) = self.left.next() else { return false };
        frame(out, xid, OpCode::Exists, |out| {
            let path = Cow::Borrowed(self.paths.child(number));
            ExistsRequest { path, watch: true }.encode(out);
        });
        true
    }

    fn check(&mut self, header: ReplyHeader, _body: &[u8]) -> Result<(), WrongReply> {
        match header.err {
            err if err == i32::from(ErrorCode::NoNode) => Ok(()),
            0 => Err(WrongReply::Body("node: one that nobody made")),
            err => Err(WrongReply::Code(err)),
        }
    }
}

/// One `getChildren`, whose names are kept.
#[derive(Debug)]
pub(in super::super) struct ChildNames {
    path: Option<String>,
    /// The names, once the reply has come.
    pub(in super::super) names: Vec<String>,
}

impl ChildNames {
    /// Asks for the children of `path`.
    pub(in super::super) fn of(path: &str) -> Self {
        Self { path: Some(path.to_owned()), names: Vec::new() }
    }
}

impl Script for ChildNames {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let Some(path) = self.path.take() else { return false };
        frame(out, xid, OpCode::GetChildren, |out| {
            GetChildrenRequest { path: path.into(), watch: false }.encode(out);
        });
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)?;
        let response: GetChildrenResponse<'_> = Reader::new(body).record()?;
        self.names = response.children.into_iter().map(Cow::into_owned).collect();
        Ok(())
    }
}

/// Creates or deletes the nodes with these paths, in order.
#[derive(Debug)]
pub(in super::super) struct Paths {
    paths: std::vec::IntoIter<String>,
    create: Option<(CreateTail, Vec<u8>)>,
}

impl Paths {
    /// Creates persistent nodes with this data.
    pub(in super::super) fn create(paths: Vec<String>, data: &[u8]) -> Self {
        let create = Some((CreateTail::new(CreateMode::Persistent), data.to_vec()));
        Self { paths: paths.into_iter(), create }
    }

    /// Deletes nodes.
    pub(in super::super) fn delete(paths: Vec<String>) -> Self {
        Self { paths: paths.into_iter(), create: None }
    }
}

impl Script for Paths {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        let Some(path) = self.paths.next() else { return false };
        match &self.create {
            Some((tail, data)) => {
                frame(out, xid, OpCode::Create, |out| tail.create(&path, data, out));
            }
            None => frame(out, xid, OpCode::Delete, |out| delete(&path, out)),
        }
        true
    }

    fn check(&mut self, header: ReplyHeader, _body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)
    }
}
