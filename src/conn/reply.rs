//! Replies and events, encoded straight into the connection's output.

use bytes::BytesMut;
use jute_proto::{
    Encode, ErrorCode, EventType, OpCode, ReplyHeader, WatcherEvent, Xid, Zxid, begin_frame,
    end_frame,
};

use super::close::CloseReason;
use super::conn::{Conn, Surroundings, View};
use super::route::{Route, route};
use crate::limits::REPLY_LEN_MAX;

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
            if route(op) == Route::Write {
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
        let (session, peer, path) = (self.session(), self.peer(), path.unwrap_or("several paths"));
        tracing::warn!(
            "a reply of {len} bytes to {op} of {path} for session {session} at {peer} is over \
             jute.maxbuffer ({}): a client with that limit will drop the connection",
            view.settings.packet_len_max
        );
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
