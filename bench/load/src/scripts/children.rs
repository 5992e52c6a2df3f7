//! Listings of one node.

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{Encode, GetChildrenRequest, OpCode, Reader, ReplyHeader, Xid};

use super::material::frame;
use crate::script::{Script, WrongReply, expect, expect_ok};

/// `getChildren` of one node, again and again.
#[derive(Debug)]
pub(in super::super) struct ListChildren {
    path: String,
    children: u64,
}

impl ListChildren {
    pub(in super::super) fn new(path: String, children: u64) -> Self {
        Self { path, children }
    }
}

/// Length of a numbered child's name.
const NAME_LEN: usize = 8;

impl Script for ListChildren {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        frame(out, xid, OpCode::GetChildren, |out| {
            let path = Cow::Borrowed(self.path.as_str());
            GetChildrenRequest { path, watch: false }.encode(out);
        });
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        expect_ok(header)?;
        let mut reader = Reader::new(body);
        let count = u64::try_from(reader.i32()?).unwrap_or_default();
        expect(count == self.children, "number of children")?;
        for _ in 0..count {
            expect(reader.str()?.len() == NAME_LEN, "name of a child")?;
        }
        expect(reader.is_empty(), "length of the body")
    }
}
