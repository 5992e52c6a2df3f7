//! Reads and writes of random existing nodes.

use std::borrow::Cow;

use bytes::BytesMut;
use jute_proto::{
    Encode, ExistsRequest, GetDataRequest, GetDataResponse, MultiHeader, OpCode, Reader,
    ReplyHeader, SetDataRequest, Stat, Xid,
};

use super::material::{PathText, Random, Value, frame};
use crate::script::{Script, WrongReply, expect, expect_ok};

/// Which operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum KeyMix {
    /// `getData`
    Get,
    /// `exists`
    Exists,
    /// `setData`
    Set,
    /// Nine `getData` to one `setData`.
    Mixed,
    /// A `multi` of this many `setData`.
    Multi(usize),
}

/// Reads and writes of random existing nodes.
#[derive(Debug)]
pub(in super::super) struct KeyScript {
    mix: KeyMix,
    keys: u64,
    paths: PathText,
    value: Value,
    /// Draws for requests.
    asked: Random,
    /// The same draws again, for replies.
    heard: Random,
}

/// One draw: which node, and whether a mix writes this time.
struct Draw {
    key: u64,
    write: bool,
}

impl KeyScript {
    pub(in super::super) fn new(
        mix: KeyMix,
        parent: &str,
        keys: u64,
        value: Value,
        seed: u64,
    ) -> Self {
        let (asked, heard) = (Random::new(seed), Random::new(seed));
        Self { mix, keys, paths: PathText::below(parent), value, asked, heard }
    }

    fn draw(random: &mut Random, keys: u64) -> Draw {
        let number = random.next();
        Draw { key: number % keys, write: (number >> 32).is_multiple_of(10) }
    }

    fn write_multi(&mut self, ops: usize, out: &mut BytesMut) {
        for _ in 0..ops {
            let key = Self::draw(&mut self.asked, self.keys).key;
            MultiHeader::request(OpCode::SetData).encode(out);
            set(&mut self.paths, &mut self.value, key, out);
        }
        MultiHeader::END.encode(out);
    }

    fn check_data(&mut self, key: u64, body: &[u8]) -> Result<(), WrongReply> {
        let response: GetDataResponse<'_> = Reader::new(body).record()?;
        expect(response.data == Some(self.value.of(key)), "data")?;
        self.check_stat(response.stat)
    }

    fn check_stat(&self, stat: Stat) -> Result<(), WrongReply> {
        expect(stat.data_length == self.value.stat_len(), "dataLength")
    }

    fn check_stat_body(&self, body: &[u8]) -> Result<(), WrongReply> {
        let mut reader = Reader::new(body);
        self.check_stat(reader.record()?)?;
        expect(reader.is_empty(), "length of the body")
    }

    fn check_multi(&mut self, ops: usize, body: &[u8]) -> Result<(), WrongReply> {
        let mut reader = Reader::new(body);
        for _ in 0..ops {
            let _ = self.heard.next();
            let header: MultiHeader = reader.record()?;
            if header.err != 0 {
                return Err(WrongReply::Code(header.err));
            }
            expect(header == MultiHeader::success(OpCode::SetData), "result of a multi")?;
            self.check_stat(reader.record()?)?;
        }
        expect(reader.record::<MultiHeader>()? == MultiHeader::END, "end of a multi")
    }
}

fn set(paths: &mut PathText, value: &mut Value, key: u64, out: &mut BytesMut) {
    let path = Cow::Borrowed(paths.child(key));
    SetDataRequest { path, data: Some(value.of(key)), version: -1 }.encode(out);
}

impl Script for KeyScript {
    fn write(&mut self, xid: Xid, out: &mut BytesMut) -> bool {
        if let KeyMix::Multi(ops) = self.mix {
            frame(out, xid, OpCode::Multi, |out| self.write_multi(ops, out));
            return true;
        }
        let Draw { key, write } = Self::draw(&mut self.asked, self.keys);
        let (paths, value) = (&mut self.paths, &mut self.value);
        match self.mix {
            KeyMix::Exists => frame(out, xid, OpCode::Exists, |out| {
                let path = Cow::Borrowed(paths.child(key));
                ExistsRequest { path, watch: false }.encode(out);
            }),
            KeyMix::Mixed | KeyMix::Set if write || self.mix == KeyMix::Set => {
                frame(out, xid, OpCode::SetData, |out| set(paths, value, key, out));
            }
            KeyMix::Get | KeyMix::Mixed | KeyMix::Set | KeyMix::Multi(_) => {
                frame(out, xid, OpCode::GetData, |out| {
                    let path = Cow::Borrowed(paths.child(key));
                    GetDataRequest { path, watch: false }.encode(out);
                });
            }
        }
        true
    }

    fn check(&mut self, header: ReplyHeader, body: &[u8]) -> Result<(), WrongReply> {
        if let KeyMix::Multi(ops) = self.mix {
            expect_ok(header)?;
            return self.check_multi(ops, body);
        }
        let Draw { key, write } = Self::draw(&mut self.heard, self.keys);
        expect_ok(header)?;
        match self.mix {
            KeyMix::Get => self.check_data(key, body),
            KeyMix::Mixed if !write => self.check_data(key, body),
            KeyMix::Mixed | KeyMix::Exists | KeyMix::Set | KeyMix::Multi(_) => {
                self.check_stat_body(body)
            }
        }
    }
}
