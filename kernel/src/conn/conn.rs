//! The state of one connection and the order of its replies.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use jute_proto::{
    DecodeError, ErrorCode, Extensions, Id, LeaderHint, MultiHeader, OpCode, Reader, Request,
    RequestHeader, SessionId, WriteNumber, Xid, Zxid,
};

use super::bounds::check_kept_reply;
use super::close::CloseReason;
use super::handling::{Handling, ReadBarrier, Route};
use super::hold::Hold;
use super::order::{Slot, Turn};
use super::reply::OversizedReply;
use super::report::{ConnReport, Tally};
use super::settings::Settings;
use super::stats::ConnStats;
use crate::limits::REQUEST_LEN_LONG;
use crate::replica::answer::put_result;
use crate::replica::{Command, Event, Op, Origin, Outcome, Replica};
use crate::session::ConnId;
use crate::session::auth::ip_identity;

/// What a connection always needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// Where to count.
    pub stats: &'a ConnStats,
    /// The time in microseconds of a clock that never goes back.
    pub now_us: u64,
    /// The server has no contact to a majority and answers reads of what it has, to those who want
    /// that (`readonlymode.enabled`).
    pub read_only: bool,
}

/// What a connection looks at while it answers requests.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state, under a lock that the caller holds.
    pub replica: &'a Replica,
    /// The rest.
    pub around: Surroundings<'a>,
    /// Whether there is time for what takes long; else that [waits](Conn::takes_long) for who has it.
    pub at_length: bool,
}

impl<'a> core::ops::Deref for View<'a> {
    type Target = Surroundings<'a>;

    fn deref(&self) -> &Surroundings<'a> {
        &self.around
    }
}

/// Why a command cannot be written to the log now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The disk is full: reads go on, writes are refused until space returns.
    DiskFull,
    /// This server is stopping or has no contact to a quorum.
    Unavailable,
}

/// Where a connection sends its commands.
pub trait Propose {
    /// Puts a command into the log, behind all that this connection proposed before.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be: nothing will come of the command.
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal>;

    /// Asks for a read barrier: the number of one that begins after this call, and that
    /// [`Conn::barrier_passed`] will name; 0 where the state here is the newest there is.
    fn read_barrier(&mut self, conn: ConnId) -> u64;

    /// Where the leader is; its address is that for clients with TLS, or that for those without.
    fn leader(&self, secure: bool) -> LeaderHint<'static>;

    /// An id for a new session.
    fn next_session_id(&mut self) -> SessionId;

    /// Whether one more connection request is served; it takes this many tokens of the throttle.
    fn may_connect(&mut self, tokens: u32) -> bool;
}

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// The session is being made or resumed; no request is taken before it is.
    Opening,
    /// The session is the connection's.
    Open,
}

/// The zxid of replies that no state stands behind.
const NO_STATE: Zxid = Zxid(0);

/// One client connection.
#[derive(Debug)]
pub struct Conn {
    id: ConnId,
    peer: SocketAddr,
    pub(super) phase: Phase,
    pub(super) session: SessionId,
    pub(super) timeout_ms: u32,
    /// When the handshake for a new session came, in microseconds of the server's clock; `None`
    /// where the session is resumed.
    pub(super) creating_us: Option<u64>,
    /// Whether the client sent the read-only byte, and so expects it in the answer.
    pub(super) speaks_read_only: bool,
    /// Whether the session was made without a majority: it is known here only, and ends with the
    /// connection.
    pub(super) is_local: bool,
    /// What was granted of what the client asked for beyond ZooKeeper; `None` for one that knows only
    /// that.
    pub(super) extensions: Option<Extensions>,
    /// Where the leader was when the session was asked for, for a client that wants to know.
    pub(super) leader: Option<LeaderHint<'static>>,
    /// Whether its bytes are encrypted.
    pub(super) secure: bool,
    pub(super) identities: Vec<Id>,
    pub(super) encoded_identities: Vec<u8>,
    pub(super) order: VecDeque<Slot>,
    /// Bytes of the frames in `order`.
    pub(super) waiting_len: usize,
    pub(super) hold: Hold,
    pub(super) next_seq: u64,
    pub(super) out: BytesMut,
    pub(super) closing: Option<CloseReason>,
    /// No request after this point is looked at.
    input_ended: bool,
    /// The length of the reply just made, where it is over the limit.
    pub(super) oversized: Option<usize>,
    /// Those that the log does not know yet. The output's limit bounds how many there can be.
    pub(super) oversized_replies: Vec<OversizedReply>,
    /// Whether the request at hand is to be answered by who has time for it.
    pub(super) put_off: bool,
    pub(super) tally: Tally,
}

impl Conn {
    /// A connection from `peer` that has just been accepted.
    pub fn new(id: ConnId, peer: SocketAddr, now_us: u64) -> Self {
        let identities = vec![ip_identity(peer.ip())];
        Self {
            id,
            peer,
            phase: Phase::Fresh,
            session: SessionId(0),
            timeout_ms: 0,
            creating_us: None,
            speaks_read_only: true,
            is_local: false,
            extensions: None,
            leader: None,
            secure: false,
            encoded_identities: crate::replica::entry::encode_identities(&identities),
            identities,
            order: VecDeque::new(),
            waiting_len: 0,
            hold: Hold::default(),
            next_seq: 0,
            out: BytesMut::new(),
            closing: None,
            input_ended: false,
            oversized: None,
            oversized_replies: Vec::new(),
            put_off: false,
            tally: Tally::new(now_us),
        }
    }

    /// Takes one frame from the socket, its length prefix already removed; to be called only while
    /// the connection [wants input](Self::wants_input).
    pub fn receive(&mut self, view: View<'_>, log: &mut impl Propose, frame: Bytes) {
        if self.closing.is_some() || self.input_ended {
            return;
        }
        self.tally.received();
        view.stats.packets_received.increment();
        match self.phase {
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
            Some((xid, op)) if self.phase != Phase::Fresh && Handling::of(op).throttlable => {
                self.tally.received();
                view.stats.packets_received.increment();
                view.stats.throttled_ops.increment();
                self.refuse(view, (xid, op), ErrorCode::ThrottledOp);
            }
            Some(_) | None => self.receive(view, log, frame),
        }
    }

    pub(super) fn request(&mut self, view: View<'_>, log: &mut impl Propose, frame: Bytes) {
        let mut reader = Reader::new(&frame);
        let header: RequestHeader = match reader.record() {
            Ok(header) => header,
            Err(error) => return self.close(CloseReason::BadHeader(error)),
        };
        let op = self.operation(header.op);
        let handling = Handling::of(op);
        let way = handling.route;
        if self.hold.stands() && matches!(way, Route::Write | Route::CloseSession) {
            return self.hold.keep(frame);
        }
        view.stats.count_op(op);
        if !matches!(way, Route::Auth | Route::Sasl) && !self.is_authenticated(view.settings) {
            return self.demand_credentials(view, header.xid);
        }
        match way {
            _ if self.is_local && handling.needs_quorum => {
                self.refuse(view, (header.xid, op), ErrorCode::NotReadOnly);
            }
            Route::CloseSession if self.is_local => {
                let done = (view.replica.last_zxid(), ErrorCode::Ok);
                self.reply(view, (header.xid, op), done, view.now_us, |_| {});
                self.close(CloseReason::SessionClosed);
            }
            Route::Auth => self.authenticate(view, header.xid, reader.rest()),
            Route::Sasl => self.answer_sasl(view, header.xid, reader.rest()),
            Route::Write | Route::CloseSession => {
                let number = match self.number(op, &mut reader) {
                    Ok(number) => number,
                    Err(error) => return self.close(CloseReason::BadHeader(error)),
                };
                self.write(view, log, (header.xid, op), number, reader.rest());
            }
            Route::Read | Route::Refused => {
                self.input_ended = way == Route::Refused;
                let waits = match handling.read_barrier {
                    ReadBarrier::Never => false,
                    ReadBarrier::Linearizable => self.is_linearizable(view.settings),
                    ReadBarrier::Always => true,
                };
                let barrier = if waits && !self.is_local { log.read_barrier(self.id) } else { 0 };
                let long = frame.len() > REQUEST_LEN_LONG;
                if self.order.is_empty()
                    && self.hold.has_passed(barrier)
                    && (view.at_length || !long)
                {
                    self.answer(view, &frame, view.now_us);
                } else {
                    self.hold.until(barrier);
                    let start_us = view.now_us;
                    let slot = self.waiting(frame, start_us, barrier, long);
                    self.order.push_back(slot);
                }
            }
        }
    }

    /// The operation of a number. One of an extension that the client was not granted is none.
    pub(super) fn operation(&self, number: i32) -> OpCode {
        match OpCode::try_from(number) {
            Ok(op) if op.facts().extension.is_none_or(|needed| self.has_extension(needed)) => op,
            Ok(_) | Err(_) => OpCode::Error,
        }
    }

    /// The number of a write, on a connection where they have one.
    fn number(
        &self,
        op: OpCode,
        reader: &mut Reader<'_>,
    ) -> Result<Option<WriteNumber>, DecodeError> {
        let numbers = self.has_extension(Extensions::EXACTLY_ONCE) && op.facts().exactly_once;
        if numbers { reader.record().map(Some) } else { Ok(None) }
    }

    fn write(
        &mut self,
        view: View<'_>,
        log: &mut impl Propose,
        (xid, op): (Xid, OpCode),
        number: Option<WriteNumber>,
        body: &[u8],
    ) {
        let start_us = view.now_us;
        let judged = if op == OpCode::CloseSession {
            Ok(())
        } else {
            self.check_write(view, op, body, number.is_some())
        };
        if judged.is_ok()
            && view.settings.eager_acl_check
            && self.order.is_empty()
            && let Err(code) = self.check_early(view, op, body)
        {
            return self.reply_error(view, (xid, op), NO_STATE, code, start_us);
        }
        let command = judged.map(|()| match number {
            _ if op == OpCode::CloseSession => Op::CloseSession,
            None => Op::Request { op_code: op.into(), body },
            Some(WriteNumber { number, answered }) => {
                Op::Numbered { number, answered, op_code: op.into(), body }
            }
        });
        let refused = match command {
            Ok(command) => match self.propose(view, log, command) {
                Ok(()) => None,
                // The client sends it again, and need not know.
                Err(Refusal::Unavailable) if number.is_some() => {
                    return self.close(CloseReason::Unavailable);
                }
                Err(Refusal::DiskFull | Refusal::Unavailable) => Some(ErrorCode::SystemError),
            },
            Err(code) => Some(code),
        };
        match refused {
            None => {
                self.input_ended = op == OpCode::CloseSession;
                let seq = self.next_seq - 1;
                if Handling::of(op).changes_members {
                    self.hold.until_outcome(seq);
                }
                self.order.push_back(Slot::Write { xid, op, seq, start_us });
            }
            Some(code) => self.refuse(view, (xid, op), code),
        }
    }

    /// Whether a write's record can be decoded, so that applying it cannot fail on that, and holds no more
    /// than it may.
    fn check_write(
        &self,
        view: View<'_>,
        op: OpCode,
        body: &[u8],
        is_numbered: bool,
    ) -> Result<(), ErrorCode> {
        let request = Request::decode(op, &mut Reader::new(body));
        let request = request.map_err(|_| ErrorCode::MarshallingError)?;
        if is_numbered {
            check_kept_reply(op, body.len())?;
        }
        self.check_bounds(view, &request)
    }

    pub(super) fn propose(
        &mut self,
        view: View<'_>,
        log: &mut impl Propose,
        op: Op<'_>,
    ) -> Result<(), Refusal> {
        let origin = Origin { session: self.session, conn: self.id, seq: self.next_seq };
        log.propose(&Command { origin, identities: &self.encoded_identities, op })?;
        self.next_seq += 1;
        view.stats.writes_proposed.increment();
        Ok(())
    }

    /// Takes the outcome of command `seq`, and answers what waited for it.
    pub fn complete(&mut self, view: View<'_>, seq: u64, zxid: Zxid, outcome: Outcome) {
        match outcome {
            Outcome::Repeated | Outcome::OutOfOrder | Outcome::Deferred => return,
            Outcome::NotOwner => {
                view.stats.writes_finished.increment();
                return self.close(CloseReason::SessionMoved);
            }
            Outcome::SessionOpened { timeout_ms } => self.session_opened(view, timeout_ms),
            Outcome::SessionRefused => self.refuse_session(view),
            Outcome::SessionClosed => {
                self.finish_write(view, seq, (zxid, ErrorCode::Ok), |_| {});
                self.close(CloseReason::SessionClosed);
            }
            Outcome::Request(Ok(result)) => {
                let done = (zxid, ErrorCode::Ok);
                self.finish_write(view, seq, done, |out| put_result(out, &result));
            }
            Outcome::Request(Err(error)) => {
                self.finish_write(view, seq, (zxid, error.into()), |_| {});
            }
            Outcome::Numbered(reply) => {
                let header = (reply.zxid, reply.code);
                self.finish_write(view, seq, header, |out| out.put_slice(&reply.body));
            }
            Outcome::BadWriteNumber => self.close(CloseReason::BadWriteNumber),
        }
        self.hold.outcome(seq);
        view.stats.writes_finished.increment();
        self.answer_waiting(view, Turn::new(view.settings));
    }

    fn is_linearizable(&self, settings: &Settings) -> bool {
        let wants = |granted: Extensions| granted.contains(Extensions::LINEARIZABLE_READS);
        settings.linearizable_reads || self.extensions.is_some_and(wants)
    }

    /// Puts a watch event into the output, unless the client may not read what it is about.
    pub fn notify(&mut self, around: Surroundings<'_>, event: &Event<'_>) {
        if self.closing.is_none() && self.may_read(around, event.acl) {
            self.put_event(around, event.zxid, event.event_type, event.path);
        }
    }

    /// Ends the connection: what is in the output is still sent, nothing else is taken or answered.
    /// The first reason counts.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closing.is_none() {
            self.order.clear();
            self.hold.drop_held();
            self.waiting_len = 0;
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
        self.phase != Phase::Opening
            && self.closing.is_none()
            && !self.input_ended
            && !self.hold.is_holding()
            && self.order.len() < settings.waiting_requests_max
            && self.waiting_len < settings.waiting_len_max
            && self.out.len() < settings.output_len_high
    }

    /// How long the socket may be silent, in microseconds.
    pub fn idle_limit_us(&self, settings: &Settings) -> u64 {
        match self.phase {
            Phase::Fresh => settings.handshake_timeout_ms * 1000,
            Phase::Opening | Phase::Open => u64::from(self.timeout_ms.max(1)) * 1000,
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
        self.session
    }

    /// The session's timeout in milliseconds, once it is negotiated; 0 before.
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// Whether the session is open.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether requests wait for an outcome.
    pub fn has_outstanding(&self) -> bool {
        !self.order.is_empty()
    }

    /// The number of the last command that was proposed.
    pub fn last_seq(&self) -> Option<u64> {
        self.next_seq.checked_sub(1)
    }

    /// Whether a command waits for its outcome.
    pub fn is_outstanding(&self, seq: u64) -> bool {
        let of_command = |slot: &Slot| match slot {
            Slot::Write { seq, .. } => Some(*seq),
            Slot::Waiting { .. } | Slot::Rearming(_) | Slot::Failed { .. } => None,
        };
        // Outcomes come in order, so the first one decides.
        self.order.iter().find_map(of_command).is_some_and(|first| first <= seq)
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
        self.tally.report(self.session, self.order.len(), self.timeout_ms)
    }

    /// Forgets the counts (`crst`).
    pub fn reset_report(&mut self) {
        self.tally.reset();
    }
}
