//! Requests that go through the log: judged here, proposed, and answered when their outcome comes.

use bytes::{BufMut, BytesMut};
use jute_proto::{DecodeError, ErrorCode, Extensions, OpCode, Reader, Request, WriteNumber, Zxid};

use super::bounds::{check_bounds, check_kept_reply};
use super::close::CloseReason;
use super::conn::Conn;
use super::eager::check_early;
use super::handling::Handling;
use super::requests::RequestMeta;
use super::surroundings::{Propose, Refusal, View};
use crate::replica::answer::put_result;
use crate::replica::{Command, Op, Origin, Outcome};

/// The zxid of replies that no state stands behind.
const NO_STATE: Zxid = Zxid(0);

impl Conn {
    /// The number of a write, on a connection where they have one.
    pub(super) fn number(
        &self,
        op: OpCode,
        reader: &mut Reader<'_>,
    ) -> Result<Option<WriteNumber>, DecodeError> {
        let numbers = self.agreement.has(Extensions::EXACTLY_ONCE) && op.facts().exactly_once;
        if numbers { reader.record().map(Some) } else { Ok(None) }
    }

    pub(super) fn write(
        &mut self,
        view: View<'_>,
        log: &mut impl Propose,
        request: RequestMeta,
        number: Option<WriteNumber>,
        body: &[u8],
    ) {
        let op = request.op;
        if let Err(code) = self.check_write(view, op, body, number.is_some()) {
            return self.refuse(view, request, code);
        }
        if view.settings.eager_acl_check
            && self.requests.is_empty()
            && let Err(code) = check_early(view, self.credentials.identities(), op, body)
        {
            return self.reply(view, request, (NO_STATE, code), |_| {});
        }
        let command = match number {
            None => Op::Request { op_code: op.into(), body },
            Some(WriteNumber { number, answered }) => {
                Op::Numbered { number, answered, op_code: op.into(), body }
            }
        };
        match self.propose(view, log, command) {
            Ok(()) => self.requests.push_write(request, Handling::of(op).changes_members),
            // The client sends it again, and need not know.
            Err(Refusal::Unavailable) if number.is_some() => self.close(CloseReason::Unavailable),
            Err(Refusal::DiskFull | Refusal::Unavailable) => {
                self.refuse(view, request, ErrorCode::SystemError);
            }
        }
    }

    /// Ends the session through the log; no request behind it is looked at.
    pub(super) fn close_session(
        &mut self,
        view: View<'_>,
        log: &mut impl Propose,
        request: RequestMeta,
    ) {
        match self.propose(view, log, Op::CloseSession) {
            Ok(()) => {
                self.input_ended = true;
                self.requests.push_write(request, false);
            }
            Err(Refusal::DiskFull | Refusal::Unavailable) => {
                self.refuse(view, request, ErrorCode::SystemError);
            }
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
        check_bounds(&request, self.credentials.identities(), view.settings.policy)
    }

    /// Sends a command to the log, with the next number of this connection.
    pub(super) fn propose(
        &mut self,
        view: View<'_>,
        log: &mut impl Propose,
        op: Op<'_>,
    ) -> Result<(), Refusal> {
        let origin =
            Origin { session: self.session(), conn: self.id(), seq: self.requests.next_seq() };
        log.propose(&Command { origin, identities: self.credentials.encoded(), op })?;
        self.requests.proposed();
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
        self.requests.outcome_known(seq);
        view.stats.writes_finished.increment();
        self.answer_behind_outcome(view);
    }

    fn finish_write(
        &mut self,
        view: View<'_>,
        seq: u64,
        header: (Zxid, ErrorCode),
        body: impl FnOnce(&mut BytesMut),
    ) {
        let Some(request) = self.requests.finish_write(seq) else {
            // An outcome out of order would put every later reply in the wrong place.
            return self.close(CloseReason::SessionMoved);
        };
        view.stats.write_latency_us.record(view.now_us.saturating_sub(request.start_us));
        self.reply(view, request, header, body);
        if let Some(len) = self.output.take_oversized_len() {
            self.note_oversized(view, request.op, len, None);
        }
    }
}
