//! The packets on their way to the socket.

use bytes::{Buf, BytesMut};
use jute_proto::{
    Encode, ErrorCode, EventType, ReplyHeader, WatcherEvent, Xid, Zxid, begin_frame, end_frame,
};

use super::close::CloseReason;
use super::handling::{Handling, Route};
use super::report::Tally;
use super::requests::RequestMeta;
use super::surroundings::{Surroundings, View};
use crate::limits::REPLY_LEN_MAX;

/// A larger output buffer goes with its bytes, so that a quiet connection keeps little memory.
const OUTPUT_KEPT_MAX: usize = 128 << 10;

/// What waits for the socket, and the counts of what went either way.
///
/// * It begins and ends at the border of a packet, except that the socket may have taken the beginning of the first.
/// * It stays below `output_len_max`. A packet that takes it further is dropped with all that waits, and leaves a
///   [failure](Self::take_failure).
#[derive(Debug)]
pub(super) struct Output {
    bytes: BytesMut,
    /// Why the connection must be closed, once a packet could not be appended. The first reason stays until the
    /// connection takes it, which it does after each packet, or after each row of them.
    failure: Option<CloseReason>,
    /// The length of the last reply, where it is over `jute.maxbuffer`, until the connection takes it.
    oversized_len: Option<usize>,
    tally: Tally,
}

impl Output {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            bytes: BytesMut::new(),
            failure: None,
            oversized_len: None,
            tally: Tally::new(now_us),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self) -> BytesMut {
        if self.bytes.capacity() > OUTPUT_KEPT_MAX {
            return core::mem::take(&mut self.bytes);
        }
        self.bytes.split()
    }

    /// The first bytes are with the socket.
    pub(super) fn advance(&mut self, len: usize) {
        self.bytes.advance(len);
    }

    /// Takes the reason for which the connection must be closed, if there is one since the last time.
    pub(super) fn take_failure(&mut self) -> Option<CloseReason> {
        self.failure.take()
    }

    /// Takes the length of the last reply, if it is over `jute.maxbuffer`. It is sent all the same, up to
    /// [`REPLY_LEN_MAX`]: the limit is the client's, and may be higher than this server's.
    pub(super) fn take_oversized_len(&mut self) -> Option<usize> {
        self.oversized_len.take()
    }

    /// Appends a packet, which `body` writes; returns its length.
    pub(super) fn packet(
        &mut self,
        around: Surroundings<'_>,
        body: impl FnOnce(&mut BytesMut),
    ) -> usize {
        let frame = begin_frame(&mut self.bytes);
        body(&mut self.bytes);
        let len = end_frame(&mut self.bytes, frame);
        self.count_packet(around);
        len
    }

    /// Appends a reply: its header, then what `body` writes.
    pub(super) fn reply(
        &mut self,
        view: View<'_>,
        request: RequestMeta,
        (zxid, code): (Zxid, ErrorCode),
        body: impl FnOnce(&mut BytesMut),
    ) {
        let RequestMeta { xid, op, start_us } = request;
        let frame = begin_frame(&mut self.bytes);
        ReplyHeader { xid, zxid, err: code.into() }.encode(&mut self.bytes);
        body(&mut self.bytes);
        let made = frame.len(&self.bytes);
        let frame = if made > REPLY_LEN_MAX {
            frame.abandon(&mut self.bytes);
            if Handling::of(op).route == Route::Write {
                // It was done, and its client cannot be told what came of it.
                return self.fail(CloseReason::ReplyTooLong(made));
            }
            self.oversized_len = Some(made);
            let frame = begin_frame(&mut self.bytes);
            let err = ErrorCode::MarshallingError.into();
            ReplyHeader { xid, zxid, err }.encode(&mut self.bytes);
            frame
        } else {
            frame
        };
        let len = end_frame(&mut self.bytes, frame);
        let latency_us = view.now_us.saturating_sub(start_us);
        self.tally.answered(op, xid, zxid, view.now_us, latency_us);
        view.stats.latency_us.record(latency_us);
        view.stats.response_bytes.record(len as u64);
        if len > view.settings.packet_len_max {
            self.oversized_len = Some(len);
        }
        self.count_packet(view.around);
    }

    /// Appends a reply that its header is all of, and that is no answer to a counted request.
    pub(super) fn header(&mut self, around: Surroundings<'_>, xid: Xid, code: ErrorCode) {
        self.packet(around, |out| ReplyHeader { xid, zxid: Zxid(0), err: code.into() }.encode(out));
    }

    /// Appends a watch event.
    pub(super) fn event(
        &mut self,
        around: Surroundings<'_>,
        zxid: Zxid,
        event_type: EventType,
        path: &str,
    ) {
        let len = self.packet(around, |out| {
            ReplyHeader { xid: Xid::NOTIFICATION, zxid, err: 0 }.encode(out);
            WatcherEvent::new(event_type, path).encode(out);
        });
        around.stats.watch_bytes.add(len as u64);
    }

    /// Counts a packet; a client that lets too many wait is given up.
    fn count_packet(&mut self, around: Surroundings<'_>) {
        self.tally.sent();
        around.stats.packets_sent.increment();
        let waiting = self.bytes.len();
        if waiting > around.settings.output_len_max && self.failure.is_none() {
            self.bytes.clear();
            self.fail(CloseReason::SlowReader { waiting });
        }
    }

    fn fail(&mut self, reason: CloseReason) {
        self.failure.get_or_insert(reason);
    }
}
