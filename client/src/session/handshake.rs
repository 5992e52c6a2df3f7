//! Opening a connection, taking up the session, losing it; and what comes after, packet by packet.

use bytes::{Buf, Bytes, BytesMut};
use jute_proto::{
    ConnectRequest, DecodeError, Encode, EventType, OpCode, Reader, ReplyHeader, SessionId,
    WatcherEvent, Xid, Zxid, begin_frame, end_frame,
};
use std::time::Duration;
use thiserror::Error;

use crate::error::Error;

use super::leader_search::ConnectReply;
use super::outstanding::OutOfOrder;
use super::request::Reply;
use super::state_machine::{ATTEMPT_MAX, Effect, Phase, Session, Time};
use super::status::SessionState;
use super::watches::WatchedEvent;

/// Why a packet of the server ends the connection.
#[derive(Debug, Error)]
pub(super) enum ProtocolError {
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("answer {0} to a request that is not the next")]
    OutOfOrder(Xid),
}

impl<T, W: Clone> Session<T, W> {
    /// Sends the handshake.
    pub(super) fn send_connect_request(&mut self, now: Time) {
        let Phase::Dialing { deadline } = self.phase else { return };
        // The answer may take as long as opening the connection might have taken.
        let patience = (self.status.timeout / 3).min(ATTEMPT_MAX);
        self.phase = Phase::Handshaking { deadline: deadline.max(now + patience) };
        let session_id = if self.fake { SessionId(0) } else { self.status.session };
        let password: &[u8] = if session_id == SessionId(0) { &[0; 16] } else { &self.password };
        let frame = begin_frame(&mut self.out);
        ConnectRequest {
            protocol_version: self.protocol_version(now),
            last_zxid_seen: self.last_zxid,
            timeout_ms: i32::try_from(self.settings.timeout.as_millis()).unwrap_or(i32::MAX),
            session_id,
            password,
            read_only: Some(self.settings.read_only),
        }
        .encode(&mut self.out);
        end_frame(&mut self.out, frame);
    }

    /// Takes the answer to the handshake off the front of `input`, a frame of `len` bytes.
    pub(super) fn connect_replied(
        &mut self,
        now: Time,
        input: &mut BytesMut,
        len: usize,
    ) -> Result<(), ProtocolError> {
        let frame = take_frame(input, len);
        let reply = ConnectReply::decode(&frame)?;
        if self.sent_on(now, &reply) {
            return Ok(());
        }
        let ConnectReply { response, applied, .. } = reply;
        let Some(timeout) = u64::try_from(response.timeout_ms).ok().filter(|ms| *ms > 0) else {
            self.refused(now);
            return Ok(());
        };
        let read_only = response.read_only == Some(true);
        self.fake = read_only && (self.fake || self.status.session == SessionId(0));
        self.status.session = response.session_id;
        self.status.timeout = Duration::from_millis(timeout);
        self.password = Bytes::copy_from_slice(response.password);
        self.phase = Phase::Open { since: now };
        self.set_state(if read_only { SessionState::ReadOnly } else { SessionState::Connected });
        self.plan_probes(now);
        self.authenticate();
        self.rearm();
        let failed = self.outstanding.connected(applied);
        self.fail(failed);
        self.withdraw_unknown();
        self.outstanding.flush(&mut self.out);
        Ok(())
    }

    /// The server does not know the session.
    fn refused(&mut self, now: Time) {
        if self.fake || self.status.session == SessionId(0) {
            self.retry(now);
        } else {
            self.lose_session(now);
        }
    }

    fn lose_session(&mut self, now: Time) {
        if !self.settings.renew {
            self.end(SessionState::Lost);
            return;
        }
        self.hangup();
        self.status.generation += 1;
        self.status.session = SessionId(0);
        self.status.timeout = self.settings.timeout;
        self.password = Bytes::new();
        self.last_heard = now;
        self.leader_search.since = now;
        self.phase = Phase::Waiting { until: now };
        // Whoever is woken by the end of a call or a watch finds the next session in the status.
        self.set_state(SessionState::Connecting);
        self.fail_all(|fate| Error::SessionLost { fate });
    }

    /// Takes a packet that follows the handshake off the front of `input`, a frame of `len` bytes.
    pub(super) fn answer(&mut self, input: &mut BytesMut, len: usize) -> Result<(), ProtocolError> {
        let mut frame = take_frame(input, len);
        let header: ReplyHeader = Reader::new(&frame).record()?;
        frame.advance(ReplyHeader::LEN);
        match header.xid {
            Xid::NOTIFICATION => self.notified(header, Reader::new(&frame).record()?),
            Xid::PING => self.saw(header.zxid),
            Xid::AUTH => self.authenticated(header),
            Xid::SET_WATCHES => {
                self.rearmed(header);
                self.saw(header.zxid);
            }
            xid => {
                self.replied(header, frame.freeze())
                    .map_err(|OutOfOrder| ProtocolError::OutOfOrder(xid))?;
            }
        }
        Ok(())
    }

    /// Remembers the newest transaction. Events do not count: a transaction can have several, and
    /// those still missing would not be asked for after a reconnect.
    fn saw(&mut self, zxid: Zxid) {
        self.last_zxid = self.last_zxid.max(zxid);
    }

    fn notified(&mut self, header: ReplyHeader, event: WatcherEvent<'_>) {
        let Ok(kind) = EventType::try_from(event.event_type) else { return };
        let zxid = (header.zxid.0 > 0).then_some(header.zxid);
        let event = WatchedEvent { kind, path: event.path.into_owned(), zxid };
        self.tell_gap();
        let effects = &mut self.effects;
        self.watches.fire(&event, |sink, notice| {
            effects.push_back(Effect::Notify(sink, notice));
        });
    }

    fn authenticated(&mut self, header: ReplyHeader) {
        let at = self.auth_sent.pop_front();
        if header.err != 0 {
            self.end(SessionState::AuthFailed);
            return;
        }
        let waiting = at.and_then(|at| self.credentials.get_mut(at));
        if let Some(token) = waiting.and_then(|(_, token)| token.take()) {
            let reply = Reply { zxid: header.zxid, err: 0, body: Bytes::new() };
            self.effects.push_back(Effect::Complete(token, Ok(reply)));
        }
    }

    fn replied(&mut self, header: ReplyHeader, body: Bytes) -> Result<(), OutOfOrder> {
        let call = self.outstanding.answered(header.xid)?;
        self.outstanding.flush(&mut self.out);
        self.saw(header.zxid);
        if let Some(watch) = &call.watch
            && let Some(removal) = self.watches.answered(watch, header.err)
        {
            self.forget(&removal);
        }
        if let Some(token) = call.token {
            let reply = Reply { zxid: header.zxid, err: header.err, body };
            self.effects.push_back(Effect::Complete(token, Ok(reply)));
        }
        if call.op == OpCode::CloseSession {
            self.end(SessionState::Closed);
        }
        Ok(())
    }
}

/// The length prefix of a frame.
const PREFIX_LEN: usize = 4;

/// Cuts off a frame that is known to be whole.
fn take_frame(input: &mut BytesMut, len: usize) -> BytesMut {
    input.advance(PREFIX_LEN);
    input.split_to(len)
}
