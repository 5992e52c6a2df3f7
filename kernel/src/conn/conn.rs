//! The state of one connection and the order of its replies.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    DecodeError, ErrorCode, Extensions, MultiHeader, OpCode, Reader, Request, RequestHeader,
    SessionId, Zxid,
};

use super::close::CloseReason;
use super::credentials::Credentials;
use super::handling::{Handling, ReadBarrier, Route};
use super::output::Output;
use super::oversized::OversizedReply;
use super::read::{Answer, Read};
use super::rearm::{Rearm, Rearming};
use super::report::ConnReport;
use super::requests::{Ready, RequestMeta, Requests};
use super::session::{Agreement, ConnSession, Phase};
use super::settings::Settings;
use super::surroundings::{Propose, Surroundings, View};
use crate::limits::REQUEST_LEN_LONG;
use crate::replica::Event;
use crate::session::ConnId;

/// The zxid of the reply to an operation that does not exist.
const NO_ZXID: Zxid = Zxid(-1);

/// One client connection: it conducts its parts, which hold all state and keep their own rules.
///
/// * A part never calls another one. What one reports (a ready request, a failed output), the connection acts upon.
/// * After each use of the output its failure is settled: no request is answered into an output
///   that has failed.
/// * Closing forgets all requests, so a closed connection answers nothing; what was written before is still sent.
#[derive(Debug)]
pub struct Conn {
    id: ConnId,
    peer: SocketAddr,
    /// Whether its bytes are encrypted.
    pub(super) secure: bool,
    pub(super) session: ConnSession,
    pub(super) agreement: Agreement,
    pub(super) credentials: Credentials,
    pub(super) requests: Requests,
    pub(super) output: Output,
    /// Why the connection ends. Once it is set nothing is taken or answered any more.
    closing: Option<CloseReason>,
    /// No request after this point is looked at: the last one ends the session, or has no meaning. What came before
    /// is still answered, so this is set earlier than `closing`.
    pub(super) input_ended: bool,
    /// Those that the log does not know yet. The output's limit bounds how many there can be.
    oversized_replies: Vec<OversizedReply>,
}

/// How much is answered before others have their turn.
#[derive(Clone, Copy)]
struct Budget {
    /// The length of the output at which no more is answered.
    output_len: usize,
    /// Bytes of requests that may still be answered.
    requests_len: usize,
}

/// Bytes of requests that are answered in a row.
const BUDGET_LEN: usize = 64 << 10;

impl Budget {
    /// Until others wait for too long.
    fn of_turn(settings: &Settings) -> Self {
        Self { output_len: settings.output_len_high, requests_len: BUDGET_LEN }
    }

    /// Until nothing is left.
    const UNLIMITED: Self = Self { output_len: usize::MAX, requests_len: usize::MAX };

    fn has_left(&self, output: &Output) -> bool {
        output.len() < self.output_len && self.requests_len > 0
    }

    fn spend(&mut self, ready: &Ready) {
        let len = match ready {
            Ready::Read { frame, .. } => frame.len(),
            // One piece of it takes a whole turn.
            Ready::Rearming(_) => BUDGET_LEN,
            Ready::Failed { .. } => 0,
        };
        self.requests_len = self.requests_len.saturating_sub(len);
    }
}

impl Conn {
    /// A connection from `peer` that has just been accepted.
    pub fn new(id: ConnId, peer: SocketAddr, now_us: u64) -> Self {
        Self {
            id,
            peer,
            secure: false,
            session: ConnSession::none(),
            agreement: Agreement::none(),
            credentials: Credentials::of_address(peer.ip()),
            requests: Requests::default(),
            output: Output::new(now_us),
            closing: None,
            input_ended: false,
            oversized_replies: Vec::new(),
        }
    }

    /// Takes one frame from the socket, its length prefix already removed; to be called only while
    /// the connection [wants input](Self::wants_input).
    pub fn receive(&mut self, view: View<'_>, log: &mut impl Propose, frame: Bytes) {
        if self.closing.is_some() || self.input_ended {
            return;
        }
        self.count_received(view);
        match self.session.phase() {
            Phase::Fresh => self.handshake(view, log, &frame),
            Phase::Opening | Phase::Open => self.request(view, log, frame),
        }
    }

    /// Takes one frame that had to wait in front of the server for too long: it is answered
    /// `THROTTLEDOP` in its turn (`throttled_op_wait_time`). What keeps the session, ends it or says
    /// who the client is is served all the same.
    pub fn receive_throttled(&mut self, view: View<'_>, log: &mut impl Propose, frame: Bytes) {
        let header: Option<RequestHeader> = Reader::new(&frame).record().ok();
        let op = header.map(|header| (header.xid, self.operation(header.op)));
        match op {
            Some((xid, op))
                if self.session.phase() != Phase::Fresh && Handling::of(op).throttlable =>
            {
                self.count_received(view);
                view.stats.throttled_ops.increment();
                let request = RequestMeta { xid, op, start_us: view.now_us };
                self.refuse(view, request, ErrorCode::ThrottledOp);
            }
            Some(_) | None => self.receive(view, log, frame),
        }
    }

    fn count_received(&mut self, view: View<'_>) {
        self.output.tally_mut().received();
        view.stats.packets_received.increment();
    }

    /// Sends a request its way. A write that must wait is held back as it came, and comes here once more.
    fn request(&mut self, view: View<'_>, log: &mut impl Propose, frame: Bytes) {
        let mut reader = Reader::new(&frame);
        let header: RequestHeader = match reader.record() {
            Ok(header) => header,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let op = self.operation(header.op);
        let request = RequestMeta { xid: header.xid, op, start_us: view.now_us };
        let handling = Handling::of(op);
        let route = handling.route;
        if self.requests.holds_writes() && matches!(route, Route::Write | Route::CloseSession) {
            return self.requests.hold_back(frame);
        }
        view.stats.count_op(op);
        let proves = matches!(route, Route::Auth | Route::Sasl);
        if !proves && !self.credentials.suffice(view.settings) {
            return self.demand_credentials(view, header.xid);
        }
        if self.session.is_local() && handling.needs_quorum {
            return self.refuse(view, request, ErrorCode::NotReadOnly);
        }
        match route {
            Route::CloseSession if self.session.is_local() => {
                self.reply(view, request, (view.replica.last_zxid(), ErrorCode::Ok), |_| {});
                self.close(CloseReason::SessionClosed);
            }
            Route::Auth => self.authenticate(view, header.xid, reader.rest()),
            Route::Sasl => self.answer_sasl(view, header.xid, reader.rest()),
            Route::Write => {
                let number = match self.number(op, &mut reader) {
                    Ok(number) => number,
                    Err(error) => return self.close(CloseReason::BadHeader(error)),
                };
                self.write(view, log, request, number, reader.rest());
            }
            Route::CloseSession => self.close_session(view, log, request),
            Route::Read | Route::Refused => {
                self.input_ended = route == Route::Refused;
                let barrier = self.read_barrier(view, log, handling.read_barrier);
                let long = frame.len() > REQUEST_LEN_LONG;
                if self.requests.may_answer(barrier) && (view.at_length || !long) {
                    self.answer(view, &frame, view.now_us);
                } else {
                    self.requests.push_read(frame, view.now_us, barrier, long);
                }
            }
        }
    }

    /// The read barrier that a request must wait for, 0 for none. Who reads without a quorum is content with what may
    /// be old.
    fn read_barrier(&self, view: View<'_>, log: &mut impl Propose, barrier: ReadBarrier) -> u64 {
        let waits = match barrier {
            ReadBarrier::Never => false,
            ReadBarrier::Linearizable => {
                view.settings.linearizable_reads
                    || self.agreement.has(Extensions::LINEARIZABLE_READS)
            }
            ReadBarrier::Always => true,
        };
        if waits && !self.session.is_local() { log.read_barrier(self.id) } else { 0 }
    }

    /// The operation of a number. One of an extension that the client was not granted is none.
    pub(super) fn operation(&self, number: i32) -> OpCode {
        match OpCode::try_from(number) {
            Ok(op) if op.facts().extension.is_none_or(|needed| self.agreement.has(needed)) => op,
            Ok(_) | Err(_) => OpCode::Error,
        }
    }

    /// Answers a request that goes no further than this server.
    fn answer(&mut self, view: View<'_>, frame: &Bytes, start_us: u64) {
        let mut reader = Reader::new(frame);
        let header: RequestHeader = match reader.record() {
            Ok(header) => header,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let op = self.operation(header.op);
        let request = RequestMeta { xid: header.xid, op, start_us };
        if Handling::of(op).route == Route::Refused {
            self.reply(view, request, (NO_ZXID, ErrorCode::Unimplemented), |_| {});
            return self.close(CloseReason::UnknownOperation(header.op));
        }
        let answer = match Request::decode(op, &mut reader) {
            Ok(Request::SetWatches(_)) => {
                return self.begin_rearming(view, Rearming::one_shot(frame, request));
            }
            Ok(Request::SetWatches2(_)) => {
                return self.begin_rearming(view, Rearming::all_kinds(frame, request));
            }
            Ok(decoded) => self.reading(view, request).answer(&decoded),
            Err(_) => Err(ErrorCode::MarshallingError),
        };
        if answer == Ok(Answer::PutOff) {
            return self.requests.put_off(frame.clone(), start_us);
        }
        view.stats.read_latency_us.record(view.now_us.saturating_sub(start_us));
        if let Err(code) = answer {
            self.fail(view, request, code);
        }
        if let Some(len) = self.output.take_oversized_len() {
            self.note_oversized(view, op, len, Self::describe(frame).1);
        }
        self.settle_output();
    }

    fn reading<'a>(&'a mut self, view: View<'a>, request: RequestMeta) -> Read<'a> {
        Read {
            view,
            request,
            watcher: self.id.number,
            session: self.session.id(),
            identities: self.credentials.identities(),
            output: &mut self.output,
        }
    }

    /// Begins to set the watches of a request. It was decoded before, so there are some to set.
    fn begin_rearming(&mut self, view: View<'_>, rearming: Option<Rearming>) {
        if let Some(rearming) = rearming {
            self.requests.begin_rearming();
            self.go_on_rearming(view, Box::new(rearming));
        }
    }

    /// Sets some of the watches, and answers where those were the last.
    fn go_on_rearming(&mut self, view: View<'_>, mut rearming: Box<Rearming>) {
        let mut rearm = Rearm { view, watcher: self.id.number, output: &mut self.output };
        let is_done = rearm.go_on(&mut rearming);
        self.settle_output();
        if is_done {
            let request = rearming.request();
            self.requests.end_rearming();
            let latency_us = view.now_us.saturating_sub(request.start_us);
            view.stats.read_latency_us.record(latency_us);
            self.reply(view, request, (view.replica.last_zxid(), ErrorCode::Ok), |_| {});
        } else if self.closing.is_none() {
            self.requests.put_back(rearming);
        }
    }

    /// Answers a request with an error when its turn comes.
    pub(super) fn refuse(&mut self, view: View<'_>, request: RequestMeta, code: ErrorCode) {
        if self.requests.is_empty() {
            self.fail(view, request, code);
        } else {
            self.requests.push_failed(request, code);
        }
    }

    /// Answers a request with an error now.
    fn fail(&mut self, view: View<'_>, request: RequestMeta, code: ErrorCode) {
        self.reply(view, request, (view.replica.last_zxid(), code), |_| {});
    }

    /// Puts a reply into the output.
    pub(super) fn reply(
        &mut self,
        view: View<'_>,
        request: RequestMeta,
        header: (Zxid, ErrorCode),
        body: impl FnOnce(&mut BytesMut),
    ) {
        self.output.reply(view, request, header, body);
        self.settle_output();
    }

    /// Closes the connection, where the output could not take what was given to it.
    pub(super) fn settle_output(&mut self) {
        if let Some(reason) = self.output.take_failure() {
            self.close(reason);
        }
    }

    /// Keeps for the log whose reply is over `jute.maxbuffer`.
    pub(super) fn note_oversized(
        &mut self,
        view: View<'_>,
        op: OpCode,
        len: usize,
        path: Option<String>,
    ) {
        view.stats.replies_too_large.increment();
        self.oversized_replies.push(OversizedReply {
            len,
            limit: view.settings.packet_len_max,
            op,
            path,
            session: self.session(),
            peer: self.peer,
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

    /// Answers what may be answered, until the budget is spent.
    fn answer_waiting(&mut self, view: View<'_>, mut budget: Budget) {
        while self.closing.is_none()
            && budget.has_left(&self.output)
            && let Some(ready) = self.requests.next_ready(view.at_length)
        {
            budget.spend(&ready);
            match ready {
                Ready::Read { frame, start_us } => self.answer(view, &frame, start_us),
                Ready::Rearming(rearming) => self.go_on_rearming(view, rearming),
                Ready::Failed { request, code } => self.fail(view, request, code),
            }
        }
    }

    /// Answers what waited for an outcome, as far as there is time now.
    pub(super) fn answer_behind_outcome(&mut self, view: View<'_>) {
        self.answer_waiting(view, Budget::of_turn(view.settings));
    }

    /// Serves requests that were paused, until many bytes wait again.
    pub fn resume(&mut self, view: View<'_>, log: &mut impl Propose) {
        self.answer_waiting(view, Budget::of_turn(view.settings));
        // A write that was held back may have nothing to wait for any more.
        if self.closing.is_none()
            && let Some(frame) = self.requests.release()
        {
            self.request(view, log, frame);
        }
    }

    /// Answers all that was paused; to be called before another write of this connection is
    /// applied, which the requests in front of it must not see.
    pub fn resume_all(&mut self, view: View<'_>) {
        self.answer_waiting(View { at_length: true, ..view }, Budget::UNLIMITED);
    }

    /// Every write that was acknowledged anywhere before the read barrier of this number was asked
    /// for is in the state that `view` shows. Answers what waited for it.
    pub fn barrier_passed(&mut self, view: View<'_>, log: &mut impl Propose, barrier: u64) {
        self.requests.barrier_passed(barrier);
        self.resume(view, log);
    }

    /// Whether requests could be served and are not, because many bytes wait in the output, because they take long,
    /// or because nobody has looked yet. [`Self::resume`] has to follow, and nothing else calls for it.
    pub fn has_paused(&self) -> bool {
        self.requests.has_paused()
    }

    /// Whether the request that is paused takes long to answer: only with [`View::at_length`] is it.
    pub fn takes_long(&self) -> bool {
        self.requests.takes_long()
    }

    /// Puts a watch event into the output, unless the client may not read what it is about.
    pub fn notify(&mut self, around: Surroundings<'_>, event: &Event<'_>) {
        let policy = around.settings.policy;
        if self.closing.is_none() && self.credentials.may_read(event.acl, policy) {
            self.output.event(around, event.zxid, event.event_type, event.path);
            self.settle_output();
        }
    }

    /// Ends the connection: what is in the output is still sent, nothing else is taken or answered.
    /// The first reason counts.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closing.is_none() {
            self.requests.clear();
            self.closing = Some(reason);
        }
    }

    /// Why the connection is to be closed once its output is written, if it is.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.closing.as_ref()
    }

    /// Whether the socket should be read: not while a session is being opened, not while too much
    /// waits.
    pub fn wants_input(&self, settings: &Settings) -> bool {
        self.session.phase() != Phase::Opening
            && self.closing.is_none()
            && !self.input_ended
            && self.requests.has_room(settings)
            && self.output.len() < settings.output_len_high
    }

    /// Takes the bytes that are ready for the socket.
    pub fn take_output(&mut self) -> BytesMut {
        self.output.take()
    }

    /// The bytes that are ready for the socket and were not taken.
    pub fn output(&self) -> &[u8] {
        self.output.bytes()
    }

    /// The first bytes of [`output`](Self::output) are with the socket.
    pub fn output_sent(&mut self, len: usize) {
        self.output.advance(len);
    }

    /// How long the socket may be silent, in microseconds.
    pub fn idle_limit_us(&self, settings: &Settings) -> u64 {
        match self.session.phase() {
            Phase::Fresh => settings.handshake_timeout_ms * 1000,
            Phase::Opening | Phase::Open => u64::from(self.timeout_ms().max(1)) * 1000,
        }
    }

    /// The connection's name.
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Whether the client talks TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The session, once the handshake named it or made it; 0 before.
    pub fn session(&self) -> SessionId {
        self.session.id()
    }

    /// The session's timeout in milliseconds, once it is negotiated; 0 before.
    pub fn timeout_ms(&self) -> u32 {
        self.session.timeout_ms()
    }

    /// Whether the session is open.
    pub fn is_open(&self) -> bool {
        self.session.phase() == Phase::Open
    }

    /// Whether requests wait for an outcome.
    pub fn has_outstanding(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The number of the last command that was proposed.
    pub fn last_seq(&self) -> Option<u64> {
        self.requests.last_seq()
    }

    /// Whether a command waits for its outcome.
    pub fn is_outstanding(&self, seq: u64) -> bool {
        self.requests.is_outstanding(seq)
    }

    /// The operation and path that a frame asks for, for messages about frames that are refused for
    /// their size; only the beginning of the frame is needed.
    pub fn describe(frame_start: &[u8]) -> (Option<OpCode>, Option<String>) {
        let mut reader = Reader::new(frame_start);
        let header: Result<RequestHeader, DecodeError> = reader.record();
        let op = header.ok().and_then(|header| OpCode::try_from(header.op).ok());
        if op.is_some_and(|op| op.facts().is_batch) {
            // The first operation stands for all.
            let _ = reader.record::<MultiHeader>();
        }
        let path = reader.str().ok().filter(|path| path.starts_with('/')).map(|path| path.into());
        (op, path)
    }

    /// What the connection counted of itself.
    pub fn report(&self) -> ConnReport {
        self.output.tally().report(self.session(), self.requests.len(), self.timeout_ms())
    }

    /// Forgets the counts (`crst`).
    pub fn reset_report(&mut self) {
        self.output.tally_mut().reset();
    }
}
