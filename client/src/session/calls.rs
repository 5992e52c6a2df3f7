//! Requests on their way and their answers.
//!
//! A connection answers requests in the order in which they were sent, so two queues are enough:
//! what waits for a connection, and what waits for an answer on the present one.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use jute_proto::{Encode, OpCode, RequestHeader, Xid, begin_frame, end_frame};

use crate::error::{Error, Fate};

use super::request::is_repeatable;
use super::settings::Settings;
use super::watches::Pending;

/// What a request occupies beside its record: the frame's length and the header.
const OVERHEAD: usize = 12;

/// A request that was accepted.
#[derive(Debug)]
pub(super) struct Call<T> {
    pub(super) op: OpCode,
    pub(super) body: Bytes,
    pub(super) token: Option<T>,
    pub(super) watch: Option<Pending>,
}

/// A request that will not be answered, and why.
pub(super) type Failed<T> = (Call<T>, Error);

/// Why an answer cannot be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The requests of a session.
#[derive(Debug)]
pub(super) struct Calls<T> {
    /// What waits for a connection; empty while there is one.
    queue: VecDeque<Call<T>>,
    /// What was written out on the present connection, with the number it was given.
    in_flight: VecDeque<(Xid, Call<T>)>,
    /// How many of `in_flight`, from the front, were handed to the socket.
    sent: usize,
    /// The bytes of all these.
    bytes: usize,
    next_xid: i32,
    count_max: usize,
    bytes_max: usize,
    request_max: usize,
}

impl<T> Calls<T> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            sent: 0,
            bytes: 0,
            next_xid: 1,
            count_max: settings.outstanding_max,
            bytes_max: settings.outstanding_bytes_max,
            request_max: settings.request_max,
        }
    }

    /// Whether a request with so long a record may be added.
    pub(super) fn admit(&self, body: usize) -> Result<(), Error> {
        let len = body + OVERHEAD - 4;
        if len > self.request_max {
            return Err(Error::TooLarge { len, max: self.request_max });
        }
        let count = self.queue.len() + self.in_flight.len();
        if count >= self.count_max || self.bytes + body + OVERHEAD > self.bytes_max {
            return Err(Error::Busy);
        }
        Ok(())
    }

    /// Keeps a request until there is a connection.
    pub(super) fn enqueue(&mut self, call: Call<T>) {
        self.bytes += call.body.len() + OVERHEAD;
        self.queue.push_back(call);
    }

    /// Writes a request out on the present connection.
    pub(super) fn write_out(&mut self, call: Call<T>, out: &mut BytesMut) {
        self.bytes += call.body.len() + OVERHEAD;
        self.send(call, out);
    }

    /// Takes back what waits for a connection and has one of these operations.
    pub(super) fn withdraw(&mut self, which: impl Fn(OpCode) -> bool) -> VecDeque<Call<T>> {
        let queue = std::mem::take(&mut self.queue);
        let (taken, kept) = queue.into_iter().partition(|call| which(call.op));
        self.queue = kept;
        for Call { body, .. } in &taken {
            self.bytes -= body.len() + OVERHEAD;
        }
        taken
    }

    /// Writes out everything that waited for a connection.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        while let Some(call) = self.queue.pop_front() {
            self.send(call, out);
        }
    }

    fn send(&mut self, call: Call<T>, out: &mut BytesMut) {
        let xid = Xid(self.next_xid);
        // Positive numbers only: the others have fixed meanings.
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        put_frame(out, xid, call.op, &call.body);
        self.in_flight.push_back((xid, call));
    }

    /// All that was written out has been handed to the socket.
    pub(super) fn handed_over(&mut self) {
        self.sent = self.in_flight.len();
    }

    /// The request that an answer with the number `xid` belongs to.
    pub(super) fn answered(&mut self, xid: Xid) -> Result<Call<T>, OutOfOrder> {
        match self.in_flight.front() {
            Some((expected, _)) if *expected == xid && self.sent > 0 => {}
            Some(_) | None => return Err(OutOfOrder),
        }
        let (_, call) = self.in_flight.pop_front().ok_or(OutOfOrder)?;
        self.sent -= 1;
        self.bytes -= call.body.len() + OVERHEAD;
        Ok(call)
    }

    /// The connection was lost. What had not been sent waits for the next one, and so do requests
    /// that can be repeated, as long as no change was under way behind them: asked again they could
    /// show that change, which their caller made later. All others are returned.
    pub(super) fn interrupted(&mut self) -> Vec<Failed<T>> {
        let sent = std::mem::take(&mut self.sent);
        let last_change =
            self.in_flight.iter().take(sent).rposition(|(_, call)| !is_repeatable(call.op));
        let (mut kept, mut failed) = (VecDeque::new(), Vec::new());
        for (at, (_, call)) in self.in_flight.drain(..).enumerate() {
            let behind = last_change.is_none_or(|last| at > last);
            if behind {
                kept.push_back(call);
            } else {
                self.bytes -= call.body.len() + OVERHEAD;
                let fate = fate_of_sent(call.op);
                failed.push((call, Error::ConnectionLost { fate }));
            }
        }
        kept.append(&mut self.queue);
        self.queue = kept;
        failed
    }

    /// Gives up all requests, with the error for those of the given fate.
    pub(super) fn abandon(&mut self, error: impl Fn(Fate) -> Error) -> Vec<Failed<T>> {
        let sent = std::mem::take(&mut self.sent);
        self.bytes = 0;
        let in_flight = self.in_flight.drain(..).enumerate().map(|(at, (_, call))| {
            let fate = if at < sent { fate_of_sent(call.op) } else { Fate::NotApplied };
            (call, fate)
        });
        let queue = self.queue.drain(..).map(|call| (call, Fate::NotApplied));
        in_flight.chain(queue).map(|(call, fate)| (call, error(fate))).collect()
    }
}

fn fate_of_sent(op: OpCode) -> Fate {
    if is_repeatable(op) { Fate::NotApplied } else { Fate::Unknown }
}

/// Appends a frame.
pub(super) fn put_frame(out: &mut BytesMut, xid: Xid, op: OpCode, body: &[u8]) {
    let frame = begin_frame(out);
    RequestHeader { xid, op: op.into() }.encode(out);
    out.put_slice(body);
    end_frame(out, frame);
}
