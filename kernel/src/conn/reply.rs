//! Replies and events, encoded straight into the connection's output.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use bytes::BytesMut;
use jute_proto::{
    Encode, ErrorCode, EventType, OpCode, ReplyHeader, SessionId, WatcherEvent, Xid, Zxid,
    begin_frame, end_frame,
};

use super::close::CloseReason;
use super::conn::{Conn, Surroundings, View};
use super::handling::{Handling, Route};
use crate::limits::REPLY_LEN_MAX;

/// A reply over `jute.maxbuffer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OversizedReply {
    /// Its length in bytes.
    pub len: usize,
    /// The limit of this server.
    pub limit: usize,
    /// What was asked for.
    pub op: OpCode,
    /// Of which node; `None` for several.
    pub path: Option<String>,
    /// Whose session it is.
    pub session: SessionId,
    /// The client's address.
    pub peer: SocketAddr,
}

impl fmt::Display for OversizedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, limit, op, path, session, peer } = self;
        let path = path.as_deref().unwrap_or("several paths");
        write!(
            f,
            "a reply of {len} bytes to {op} of {path} for session {session} at {peer} is over \
             jute.maxbuffer ({limit}): a client with that limit will drop the connection"
        )
    }
}

impl Conn {
    /// Puts a whole reply into the output: header, then what `body` writes.
    pub(super) fn reply(
        &mut self,
        view: View<'_>,
        (xid, op): (Xid, OpCode),
        header: (Zxid, ErrorCode),
        start_us: u64,
        body: impl FnOnce(&mut BytesMut),
    ) {
        let (zxid, code) = header;
        let frame = begin_frame(&mut self.out);
        ReplyHeader { xid, zxid, err: code.into() }.encode(&mut self.out);
        body(&mut self.out);
        let made = frame.len(&self.out);
        let frame = if made > REPLY_LEN_MAX {
            frame.abandon(&mut self.out);
            if Handling::of(op).route == Route::Write {
                // It was done, and its client cannot be told what came of it.
                return self.close(CloseReason::ReplyTooLong(made));
            }
            self.oversized = Some(made);
            let frame = begin_frame(&mut self.out);
            let err = ErrorCode::MarshallingError.into();
            ReplyHeader { xid, zxid, err }.encode(&mut self.out);
            frame
        } else {
            frame
        };
        let len = end_frame(&mut self.out, frame);
        let latency_us = view.now_us.saturating_sub(start_us);
        self.tally.answered(op, xid, zxid, view.now_us, latency_us);
        view.stats.latency_us.record(latency_us);
        view.stats.response_bytes.record(len as u64);
        if len > view.settings.packet_len_max {
            self.oversized = Some(len);
        }
        self.sent(view.around);
    }

    /// Says whose reply was over the limit, if the last one was. It is sent all the same, up to
    /// [`REPLY_LEN_MAX`]: the limit is the client's, and may be higher than this server's.
    pub(super) fn report_oversized(&mut self, view: View<'_>, op: OpCode, path: Option<&str>) {
        let Some(len) = self.oversized.take() else { return };
        view.stats.replies_too_large.increment();
        self.oversized_replies.push(OversizedReply {
            len,
            limit: view.settings.packet_len_max,
            op,
            path: path.map(String::from),
            session: self.session(),
            peer: self.peer(),
        });
    }

    /// Whether there are replies over the limit that were not [taken](Self::take_oversized).
    pub fn has_oversized(&self) -> bool {
        !self.oversized_replies.is_empty()
    }

    /// Takes the replies over the limit that were made since the last time, for the log.
    pub fn take_oversized(&mut self) -> Vec<OversizedReply> {
        core::mem::take(&mut self.oversized_replies)
    }

    pub(super) fn reply_error(
        &mut self,
        view: View<'_>,
        request: (Xid, OpCode),
        zxid: Zxid,
        code: ErrorCode,
        start_us: u64,
    ) {
        self.reply(view, request, (zxid, code), start_us, |_| {});
    }

    pub(super) fn put_event(
        &mut self,
        around: Surroundings<'_>,
        zxid: Zxid,
        event_type: EventType,
        path: &str,
    ) {
        let frame = begin_frame(&mut self.out);
        ReplyHeader { xid: Xid::NOTIFICATION, zxid, err: 0 }.encode(&mut self.out);
        WatcherEvent::new(event_type, path).encode(&mut self.out);
        let len = end_frame(&mut self.out, frame);
        around.stats.watch_bytes.add(len as u64);
        self.sent(around);
    }

    /// Counts a packet; a client that lets too many wait is given up.
    pub(super) fn sent(&mut self, around: Surroundings<'_>) {
        self.tally.sent();
        around.stats.packets_sent.increment();
        let waiting = self.out.len();
        if waiting > around.settings.output_len_max && self.close_reason().is_none() {
            self.out.clear();
            self.close(CloseReason::SlowReader { waiting });
        }
    }
}
