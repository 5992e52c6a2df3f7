//! Requests on their way and their answers.
//!
//! A connection answers requests in the order in which they were sent, so two queues are enough:
//! what waits for a connection, or for room on it, and what waits for an answer on the present one.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use jute_proto::{Encode, OpCode, RequestHeader, WriteNumber, Xid, begin_frame, end_frame};

use crate::error::{Error, Fate};

use super::once::Numbers;
use super::settings::Settings;
use super::watches::Pending;

/// What a request occupies beside its record: the frame's length and the header.
const OVERHEAD: usize = 12;

/// A request that was accepted.
#[derive(Debug)]
pub(super) struct Call<T> {
    pub(super) op: OpCode,
    pub(super) body: Vec<u8>,
    pub(super) token: Option<T>,
    pub(super) watch: Option<Pending>,
    /// The number that it was given as a write.
    pub(super) number: Option<u64>,
    /// Whether it was handed to the socket of a connection before the present one.
    sent: bool,
}

impl<T> Call<T> {
    pub(super) fn new(op: OpCode, body: Vec<u8>, token: Option<T>, watch: Option<Pending>) -> Self {
        Self { op, body, token, watch, number: None, sent: false }
    }
}

/// A request that will not be answered, and why.
pub(super) type Failed<T> = (Call<T>, Error);

/// Why an answer cannot be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The requests of a session.
#[derive(Debug)]
pub(super) struct Calls<T> {
    /// What waits for a connection, or for room on the present one.
    queue: VecDeque<Call<T>>,
    /// What was written out on the present connection, with the number it was given.
    in_flight: VecDeque<(Xid, Call<T>)>,
    /// How many of `in_flight`, from the front, were handed to the socket.
    sent: usize,
    /// The bytes of all these.
    bytes: usize,
    next_xid: i32,
    numbers: Numbers,
    /// Whether writes may get numbers, which make requests longer.
    may_number: bool,
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
            numbers: Numbers::new(settings.seed),
            may_number: settings.exactly_once,
            count_max: settings.outstanding_max,
            bytes_max: settings.outstanding_bytes_max,
            request_max: settings.request_max,
        }
    }

    /// Whether a request with so long a record may be added.
    pub(super) fn admit(&self, op: OpCode, body: usize) -> Result<(), Error> {
        let number = if self.may_number && op.facts().exactly_once { WriteNumber::LEN } else { 0 };
        let len = body + OVERHEAD - 4 + number;
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

    /// Writes a request out on the present connection, as soon as there is room.
    pub(super) fn write_out(&mut self, call: Call<T>, out: &mut BytesMut) {
        if self.queue.is_empty() && self.numbers.has_room(&call) {
            self.bytes += call.body.len() + OVERHEAD;
            self.send(call, out);
        } else {
            self.enqueue(call);
        }
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

    /// Writes out what waited for a connection, as far as there is room.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        while self.queue.front().is_some_and(|call| self.numbers.has_room(call))
            && let Some(call) = self.queue.pop_front()
        {
            self.send(call, out);
        }
    }

    fn send(&mut self, mut call: Call<T>, out: &mut BytesMut) {
        let xid = Xid(self.next_xid);
        // Positive numbers only: the others have fixed meanings.
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        let number = self.numbers.number(&mut call);
        put_request(out, (xid, call.op), number, &call.body);
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
        self.numbers.answered(&call);
        Ok(call)
    }

    /// The connection was lost. What had not been sent waits for the next one, and so do requests
    /// that can be repeated and writes with a number. What can neither be repeated nor has a number is
    /// returned, with the reads in front of it.
    pub(super) fn interrupted(&mut self) -> Vec<Failed<T>> {
        let sent = std::mem::take(&mut self.sent);
        for (_, call) in self.in_flight.iter_mut().take(sent) {
            call.sent = true;
        }
        let mut calls: VecDeque<_> = self.in_flight.drain(..).map(|(_, call)| call).collect();
        calls.append(&mut self.queue);
        self.queue = calls;
        self.numbers.interrupted();
        let lost = |call: &Call<T>| !call.op.facts().repeatable && call.number.is_none();
        self.drop_sent(lost, |call| call.number.is_some())
    }

    /// There is a connection, to a server that keeps the replies to numbered writes if it says up to
    /// which number they were `applied`. Where it does not, or others have written in the session, what
    /// became of the writes that were sent cannot be known. They are returned, and so are reads that
    /// must not be repeated.
    pub(super) fn connected(&mut self, applied: Option<u64>) -> Vec<Failed<T>> {
        if let Some(applied) = self.numbers.open(applied) {
            let applied = |call: &Call<T>| call.number.is_some_and(|number| number <= applied);
            return self.drop_sent(applied, |call| call.number.is_some());
        }
        let failed = self.drop_sent(|call| call.number.is_some(), |_| false);
        for call in &mut self.queue {
            call.number = None;
        }
        failed
    }

    /// Takes out what was sent up to the last of those `changes`, which have been made, or may have:
    /// reads in front of them, asked again, could show what their caller changed later.
    fn drop_sent(
        &mut self,
        changes: impl Fn(&Call<T>) -> bool,
        stays: impl Fn(&Call<T>) -> bool,
    ) -> Vec<Failed<T>> {
        let Some(last) = self.queue.iter().rposition(|call| call.sent && changes(call)) else {
            return Vec::new();
        };
        let (mut kept, mut failed) = (VecDeque::new(), Vec::new());
        for (at, call) in self.queue.drain(..).enumerate() {
            if at > last || stays(&call) {
                kept.push_back(call);
            } else {
                self.bytes -= call.body.len() + OVERHEAD;
                let fate = fate_of_sent(call.op);
                failed.push((call, Error::ConnectionLost { fate }));
            }
        }
        self.queue = kept;
        failed
    }

    /// Gives up all requests, with the error for those of the given fate.
    pub(super) fn abandon(&mut self, error: impl Fn(Fate) -> Error) -> Vec<Failed<T>> {
        let sent = std::mem::take(&mut self.sent);
        self.bytes = 0;
        self.numbers.interrupted();
        self.numbers.give_up();
        let in_flight = self.in_flight.drain(..).enumerate().map(|(at, (_, mut call))| {
            call.sent |= at < sent;
            call
        });
        let calls = in_flight.chain(self.queue.drain(..));
        let fate =
            |call: &Call<T>| if call.sent { fate_of_sent(call.op) } else { Fate::NotApplied };
        calls.map(|call| (fate(&call), call)).map(|(fate, call)| (call, error(fate))).collect()
    }
}

fn fate_of_sent(op: OpCode) -> Fate {
    if op.facts().repeatable { Fate::NotApplied } else { Fate::Unknown }
}

/// Appends a frame.
pub(super) fn put_frame(out: &mut BytesMut, xid: Xid, op: OpCode, body: &[u8]) {
    put_request(out, (xid, op), None, body);
}

fn put_request(
    out: &mut BytesMut,
    (xid, op): (Xid, OpCode),
    number: Option<WriteNumber>,
    body: &[u8],
) {
    let frame = begin_frame(out);
    RequestHeader { xid, op: op.into() }.encode(out);
    if let Some(number) = number {
        number.encode(out);
    }
    out.put_slice(body);
    end_frame(out, frame);
}
