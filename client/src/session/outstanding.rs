//! Requests that wait for their answers.
//!
//! A connection answers requests in the order in which they were sent, so two queues are enough:
//! requests that wait for a connection, or for room on it, and requests that wait for an answer on
//! the present one. Read one behind the other, `in_flight` before `queue`, they are in the order of
//! the calls, at all times. After a lost connection the requests of the first go back to the front
//! of the second.

use std::collections::VecDeque;

use bytes::BytesMut;
use jute_proto::{OpCode, WriteNumber, Xid};

use crate::error::{Error, Fate};

use super::packets::put_request;
use super::settings::Settings;
use super::watches::PendingWatch;
use super::write_numbers::WriteNumbers;

/// The bytes of a request beside its record: the frame's length and the header.
const OVERHEAD: usize = 12;

/// A request that was accepted.
#[derive(Debug)]
pub(super) struct OutstandingRequest<T> {
    pub(super) op: OpCode,
    body: Vec<u8>,
    /// The caller that waits for the answer, if any.
    pub(super) token: Option<T>,
    /// The watch that the request sets.
    pub(super) watch: Option<PendingWatch>,
    /// The number that it was given as a write. It keeps it until a server is found that does not
    /// keep replies.
    number: Option<u64>,
    /// Whether it was handed to the socket of a connection before the present one, so that a server
    /// may have acted on it. Once set it stays set.
    sent: bool,
}

impl<T> OutstandingRequest<T> {
    pub(super) fn new(
        op: OpCode,
        body: Vec<u8>,
        token: Option<T>,
        watch: Option<PendingWatch>,
    ) -> Self {
        Self { op, body, token, watch, number: None, sent: false }
    }

    /// The bytes that it counts against the limit.
    fn len(&self) -> usize {
        self.body.len() + OVERHEAD
    }

    /// The fate of its change after the loss of a connection, if it was sent there.
    fn fate_if_sent(&self) -> Fate {
        if self.op.facts().repeatable { Fate::NotApplied } else { Fate::Unknown }
    }
}

/// A request that will not be answered, and why.
pub(super) type FailedRequest<T> = (OutstandingRequest<T>, Error);

/// Why an answer cannot be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The requests of a session that were accepted and not answered.
#[derive(Debug)]
pub(super) struct Outstanding<T> {
    /// Requests that wait for a connection, or for room on the present one.
    queue: VecDeque<OutstandingRequest<T>>,
    /// Requests that were written out on the present connection, with their numbers.
    in_flight: VecDeque<(Xid, OutstandingRequest<T>)>,
    /// How many of `in_flight`, from the front, were handed to the socket: the server cannot answer
    /// the others.
    handed_over: usize,
    /// The bytes of the requests in both queues.
    bytes: usize,
    next_xid: i32,
    numbers: WriteNumbers,
    /// Whether writes may get numbers, which make requests longer.
    may_number: bool,
    count_max: usize,
    bytes_max: usize,
    request_max: usize,
}

impl<T> Outstanding<T> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            handed_over: 0,
            bytes: 0,
            next_xid: 1,
            numbers: WriteNumbers::new(settings.seed),
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
    pub(super) fn enqueue(&mut self, request: OutstandingRequest<T>) {
        self.bytes += request.len();
        self.queue.push_back(request);
    }

    /// Writes a request out on the present connection, as soon as there is room.
    pub(super) fn write_out(&mut self, request: OutstandingRequest<T>, out: &mut BytesMut) {
        if self.queue.is_empty() && self.has_room(&request) {
            self.bytes += request.len();
            self.send(request, out);
        } else {
            self.enqueue(request);
        }
    }

    /// Takes back what waits for a connection and has one of these operations.
    pub(super) fn withdraw(
        &mut self,
        which: impl Fn(OpCode) -> bool,
    ) -> VecDeque<OutstandingRequest<T>> {
        let queue = std::mem::take(&mut self.queue);
        let (taken, kept) = queue.into_iter().partition(|request| which(request.op));
        self.queue = kept;
        for request in &taken {
            self.bytes -= request.len();
        }
        taken
    }

    /// Writes out what waited for a connection, as far as there is room.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        while self.queue.front().is_some_and(|request| self.has_room(request))
            && let Some(request) = self.queue.pop_front()
        {
            self.send(request, out);
        }
    }

    fn has_room(&self, request: &OutstandingRequest<T>) -> bool {
        self.numbers.has_room(request.op, request.body.len())
    }

    fn send(&mut self, mut request: OutstandingRequest<T>, out: &mut BytesMut) {
        let xid = Xid(self.next_xid);
        // Positive numbers only: the others have fixed meanings.
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        let number = self.numbers.send(request.op, request.body.len(), request.number);
        request.number = number.map(|number| number.number);
        put_request(out, (xid, request.op), number, &request.body);
        self.in_flight.push_back((xid, request));
    }

    /// All that was written out has been handed to the socket.
    pub(super) fn handed_over(&mut self) {
        self.handed_over = self.in_flight.len();
    }

    /// The request that an answer with the number `xid` belongs to.
    pub(super) fn answered(&mut self, xid: Xid) -> Result<OutstandingRequest<T>, OutOfOrder> {
        match self.in_flight.front() {
            Some((expected, _)) if *expected == xid && self.handed_over > 0 => {}
            Some(_) | None => return Err(OutOfOrder),
        }
        let (_, request) = self.in_flight.pop_front().ok_or(OutOfOrder)?;
        self.handed_over -= 1;
        self.bytes -= request.len();
        if let Some(number) = request.number {
            self.numbers.answered(number, request.op, request.body.len());
        }
        Ok(request)
    }

    /// The connection was lost. What had not been sent waits for the next one, and so do requests
    /// that can be repeated and writes with a number. What can neither be repeated nor has a number
    /// is returned, with the reads in front of it.
    pub(super) fn disconnected(&mut self) -> Vec<FailedRequest<T>> {
        let sent = std::mem::take(&mut self.handed_over);
        for (_, request) in self.in_flight.iter_mut().take(sent) {
            request.sent = true;
        }
        let mut requests: VecDeque<_> =
            self.in_flight.drain(..).map(|(_, request)| request).collect();
        requests.append(&mut self.queue);
        self.queue = requests;
        self.numbers.disconnected();
        let lost = |request: &OutstandingRequest<T>| {
            !request.op.facts().repeatable && request.number.is_none()
        };
        self.drop_sent(lost, |request| request.number.is_some())
    }

    /// There is a connection. `applied`: the last numbered write that the server applied; `None` if
    /// it keeps no replies. Then, and if another client has written in the session, nobody can know
    /// which of the sent writes were applied. Returns these writes, failed, and the reads that must
    /// not be repeated.
    pub(super) fn connected(&mut self, applied: Option<u64>) -> Vec<FailedRequest<T>> {
        if let Some(applied) = self.numbers.connected(applied) {
            let applied = |request: &OutstandingRequest<T>| {
                request.number.is_some_and(|number| number <= applied)
            };
            return self.drop_sent(applied, |request| request.number.is_some());
        }
        let failed = self.drop_sent(|request| request.number.is_some(), |_| false);
        for request in &mut self.queue {
            request.number = None;
        }
        failed
    }

    /// Fails each sent request up to the last one for which `changes` holds, unless `stays` holds
    /// for it.
    ///
    /// `changes` holds for writes that the server has applied, or may have. The reads in front of
    /// such a write fail too: asked again, they could show what their caller changed later.
    fn drop_sent(
        &mut self,
        changes: impl Fn(&OutstandingRequest<T>) -> bool,
        stays: impl Fn(&OutstandingRequest<T>) -> bool,
    ) -> Vec<FailedRequest<T>> {
        let Some(last) = self.queue.iter().rposition(|request| request.sent && changes(request))
        else {
            return Vec::new();
        };
        let (mut kept, mut failed) = (VecDeque::new(), Vec::new());
        for (at, request) in self.queue.drain(..).enumerate() {
            if at > last || stays(&request) {
                kept.push_back(request);
            } else {
                self.bytes -= request.len();
                let fate = request.fate_if_sent();
                failed.push((request, Error::ConnectionLost { fate }));
            }
        }
        self.queue = kept;
        failed
    }

    /// Gives up all requests, with the error for those of the given fate.
    pub(super) fn abandon(&mut self, error: impl Fn(Fate) -> Error) -> Vec<FailedRequest<T>> {
        let sent = std::mem::take(&mut self.handed_over);
        self.bytes = 0;
        self.numbers.disconnected();
        self.numbers.give_up();
        let in_flight = self.in_flight.drain(..).enumerate().map(|(at, (_, mut request))| {
            request.sent |= at < sent;
            request
        });
        let requests = in_flight.chain(self.queue.drain(..));
        let fate = |request: &OutstandingRequest<T>| {
            if request.sent { request.fate_if_sent() } else { Fate::NotApplied }
        };
        requests
            .map(|request| (fate(&request), request))
            .map(|(fate, request)| (request, error(fate)))
            .collect()
    }
}
