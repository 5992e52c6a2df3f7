//! The session: what happens to it, and which of its parts deals with that.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use jute_proto::{
    ConnectRequest, ErrorCode, EventType, OpCode, Reader, ReplyHeader, WatcherEvent, Xid, frame_len,
};

use crate::error::{Error, Fate};

use super::connection::{Connection, Due, Phase, Time};
use super::credentials::Credentials;
use super::grants::Grants;
use super::hosts::Hosts;
use super::identity::SessionIdentity;
use super::leader_search::LeaderSearch;
use super::outstanding::{FailedRequest, OutOfOrder, Outstanding, OutstandingRequest};
use super::packets::{ConnectReply, ProtocolError, put_connect_request, put_packet, take_frame};
use super::read_write_search::ReadWriteSearch;
use super::rearm::Rearm;
use super::request::{Reply, Request};
use super::settings::{Credential, Settings};
use super::status::{SavedSession, SessionState, Status};
use super::watches::{Notice, WatchRemoval, WatchedEvent, WatcherId, Watches};

/// How many packets are taken at once: callers go on with the first answers of a long burst, and
/// the server with what they ask next, while the client takes the rest.
const BURST: usize = 32;

/// A connection that held so long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(1);

/// A server's answer to an operation that it does not have.
const UNKNOWN_OPERATION: Error = Error::Server(ErrorCode::Unimplemented);

/// A step for the driver to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<T, W> {
    /// Answer a caller.
    Complete(T, Result<Reply, Error>),
    /// Tell a watch.
    Notify(W, Notice),
    /// Show how the session is doing.
    Status(Status),
    /// Open a connection to the server with this number.
    Dial(usize),
    /// Open a connection to the server at this `host:port`.
    DialAt(String),
    /// Ask the server with this number, on a connection of its own, whether it takes writes.
    Probe(usize),
    /// Drop the connection, or the attempt at one.
    Hangup,
}

/// A session: see the [module](super). It conducts its parts, each of which keeps its own rules;
/// what concerns several of them is here, in the order in which it must happen.
///
/// `T` stands for a caller that waits, `W` for a place where watch events go.
#[derive(Debug)]
pub(crate) struct Session<T, W> {
    settings: Settings,
    /// How the session is doing, for callers to see. Calls are refused by it and by the
    /// connection's phase.
    state: SessionState,
    /// Which session of this client it is, see [`Status::generation`].
    generation: u64,
    identity: SessionIdentity,
    connection: Connection,
    grants: Grants,
    hosts: Hosts,
    leader_search: LeaderSearch,
    read_write_search: ReadWriteSearch,
    outstanding: Outstanding<T>,
    watches: Watches<W>,
    rearm: Rearm,
    credentials: Credentials<T>,
    /// Bytes for the connection, taken for sent when the driver takes them. Empty while there is no
    /// connection.
    out: BytesMut,
    /// Steps for the driver to take, in order.
    effects: VecDeque<Effect<T, W>>,
}

impl<T, W: Clone> Session<T, W> {
    pub(crate) fn new(mut settings: Settings) -> Self {
        Self {
            state: SessionState::Connecting,
            generation: 0,
            identity: SessionIdentity::new(settings.resume.take()),
            connection: Connection::new(settings.timeout),
            grants: Grants::NONE,
            hosts: Hosts::new(
                settings.hosts,
                settings.shuffle,
                settings.backoff_max,
                settings.seed,
            ),
            leader_search: LeaderSearch::default(),
            read_write_search: ReadWriteSearch::default(),
            outstanding: Outstanding::new(&settings),
            watches: Watches::new(),
            rearm: Rearm::default(),
            credentials: Credentials::new(std::mem::take(&mut settings.credentials)),
            settings,
            out: BytesMut::new(),
            effects: VecDeque::new(),
        }
    }

    // Calls of callers.

    /// Takes a request on. Returns whether there are bytes to send where there were none.
    pub(crate) fn submit(&mut self, request: Request<T, W>) -> Result<bool, Error> {
        self.check_open_to_calls()?;
        if self.connection.is_open() && !self.grants.allows(request.op) {
            return Err(UNKNOWN_OPERATION);
        }
        self.outstanding.admit(request.op, request.body.len())?;
        let Request { op, body, token, registration } = request;
        let watch = registration.map(|registration| self.watches.add(registration));
        Ok(self.accept(OutstandingRequest::new(op, body, token, watch)))
    }

    /// Adds an identity to this connection and all that follow. Returns as
    /// [`submit`](Self::submit).
    pub(crate) fn add_credential(
        &mut self,
        credential: Credential,
        token: T,
    ) -> Result<bool, Error> {
        self.check_open_to_calls()?;
        self.credentials.add(credential, token)?;
        if !self.connection.is_open() {
            return Ok(false);
        }
        let was_empty = self.out.is_empty();
        self.credentials.send_newest(&mut self.out);
        Ok(was_empty)
    }

    /// Lets go of a watch. Returns as [`submit`](Self::submit).
    pub(crate) fn unwatch(&mut self, id: WatcherId) -> bool {
        let removal = self.watches.remove(id);
        removal.is_some_and(|removal| self.remove_watch(&removal))
    }

    /// Ends the session, or only the client where it is detached.
    pub(crate) fn close(&mut self, now: Time) {
        match self.connection.phase() {
            Phase::Open { .. } if !self.settings.detached => {
                let request = OutstandingRequest::new(OpCode::CloseSession, Vec::new(), None, None);
                self.outstanding.write_out(request, &mut self.out);
                self.connection.close(now);
            }
            Phase::Closing { .. } | Phase::Ended => {}
            Phase::Open { .. }
            | Phase::Waiting { .. }
            | Phase::Dialing { .. }
            | Phase::Handshaking { .. } => self.end(SessionState::Closed),
        }
    }

    /// How the session is doing.
    pub(crate) fn status(&self) -> Status {
        let mut status = Status {
            state: self.state,
            generation: self.generation,
            session: self.identity.id(),
            timeout: self.connection.timeout(),
            linearizable: false,
            at_leader: false,
            exactly_once: false,
        };
        self.grants.show(&mut status);
        status
    }

    /// All that it takes to take up the session again.
    pub(crate) fn save(&self) -> SavedSession {
        self.identity.save()
    }

    // Events of the connection.

    /// The socket asked for is open: the handshake goes out.
    pub(crate) fn socket_opened(&mut self, now: Time) {
        if !self.connection.handshake(now) {
            return;
        }
        let leader_only = self.leader_search.insists(now, self.connection.timeout());
        let (session_id, password) = self.identity.to_show();
        let request = ConnectRequest {
            protocol_version: self.settings.protocol_version(leader_only),
            last_zxid_seen: self.identity.last_zxid(),
            timeout_ms: i32::try_from(self.settings.timeout.as_millis()).unwrap_or(i32::MAX),
            session_id,
            password,
            read_only: Some(self.settings.read_only),
        };
        put_connect_request(&mut self.out, &request);
    }

    /// The connection is lost, or could not be opened.
    pub(crate) fn disconnected(&mut self, now: Time) {
        match self.connection.phase() {
            Phase::Dialing { .. } | Phase::Handshaking { .. } => self.retry(now),
            Phase::Open { since } => self.lose_connection(now, since),
            Phase::Closing { .. } => self.end(SessionState::Closed),
            Phase::Waiting { .. } | Phase::Ended => {}
        }
    }

    /// Takes whole frames off the front of `input`, up to [`BURST`] of them. Returns whether there
    /// may be more.
    pub(crate) fn receive(&mut self, now: Time, input: &mut BytesMut) -> bool {
        self.connection.heard(now);
        for _ in 0..BURST {
            let len = match frame_len(input, self.settings.response_max) {
                Ok(Some(len)) => len,
                Ok(None) => return false,
                Err(error) => {
                    tracing::warn!(%error, "the server's answer is no frame");
                    self.disconnected(now);
                    return false;
                }
            };
            let understood = match self.connection.phase() {
                Phase::Handshaking { .. } => self.connect_replied(now, &take_frame(input, len)),
                Phase::Open { .. } | Phase::Closing { .. } => self.packet(take_frame(input, len)),
                Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Ended => return false,
            };
            if let Err(error) = understood {
                tracing::warn!(%error, "the server's answer cannot be understood");
                self.disconnected(now);
                return false;
            }
        }
        true
    }

    /// The server that was asked takes writes.
    pub(crate) fn found_writable(&mut self, now: Time, host: usize) {
        if let (Phase::Open { since }, SessionState::ReadOnly) =
            (self.connection.phase(), self.state)
        {
            self.hosts.aim(host);
            self.lose_connection(now, since);
        }
    }

    /// Appends the bytes to send to `output`, which is taken for sent.
    pub(crate) fn take_output(&mut self, now: Time, output: &mut BytesMut) {
        if self.out.is_empty() {
            return;
        }
        self.connection.sent(now);
        self.outstanding.handed_over();
        if output.is_empty() {
            std::mem::swap(output, &mut self.out);
        } else {
            output.extend_from_slice(&self.out);
        }
        self.out.clear();
    }

    // The passing of time.

    /// Begins.
    pub(crate) fn start(&mut self, now: Time) {
        self.connection.begin(now, self.settings.timeout);
        self.leader_search.begin(now);
        self.tick(now);
    }

    /// It is `now`.
    pub(crate) fn tick(&mut self, now: Time) {
        if self.overdue_at().is_some_and(|at| at <= now) {
            self.overdue();
        }
        if self.connection.is_open() && self.read_write_search.take_due(now) {
            self.effects.push_back(Effect::Probe(self.hosts.next()));
        }
        match self.connection.due(now) {
            Some(Due::Dial) => self.dial(now),
            Some(Due::AttemptFailed) => self.retry(now),
            Some(Due::Lost { since }) => self.lose_connection(now, since),
            Some(Due::Ping) => put_packet(&mut self.out, Xid::PING, OpCode::Ping, &[]),
            Some(Due::Closed) => self.end(SessionState::Closed),
            None => {}
        }
    }

    /// When it wants to be told the time next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let mut deadline = self.connection.due_at()?;
        if let Some(at) = self.overdue_at() {
            deadline = deadline.min(at);
        }
        if self.connection.is_open()
            && let Some(at) = self.read_write_search.due_at()
        {
            deadline = deadline.min(at);
        }
        Some(deadline)
    }

    /// Takes what is to be done, in order.
    pub(crate) fn take_effects(&mut self, effects: &mut VecDeque<Effect<T, W>>) {
        if effects.is_empty() {
            std::mem::swap(effects, &mut self.effects);
        } else {
            effects.append(&mut self.effects);
        }
    }

    /// Whether there is nothing more to do.
    pub(crate) fn has_ended(&self) -> bool {
        self.connection.has_ended()
    }

    /// Ends without a word to the server: the driver of the connection is gone, or there is no
    /// reason to go on.
    pub(crate) fn end(&mut self, state: SessionState) {
        if self.connection.has_ended() {
            return;
        }
        self.hangup();
        self.connection.end();
        self.set_state(state);
        self.fail_all(|fate| state.error_of_calls(fate));
    }

    // Packets of the server.

    /// Takes the answer to the handshake. Also sends again what the last connection left unanswered.
    fn connect_replied(&mut self, now: Time, frame: &[u8]) -> Result<(), ProtocolError> {
        let reply = ConnectReply::decode(frame)?;
        if reply.is_misplaced() {
            self.retry(now);
            if let Some(address) = reply.leader() {
                self.leader_search.told(address);
            }
            return Ok(());
        }
        self.grants = reply.grants;
        let ConnectReply { response, applied, .. } = reply;
        let timeout = u64::try_from(response.timeout_ms).ok().filter(|ms| *ms > 0);
        let Some(timeout) = timeout.map(Duration::from_millis) else {
            self.refused(now);
            return Ok(());
        };
        let read_only = response.read_only == Some(true);
        self.identity.granted(response.session_id, response.password, read_only);
        self.connection.open(now, timeout);
        self.set_state(if read_only { SessionState::ReadOnly } else { SessionState::Connected });
        self.read_write_search.connected(now, read_only);
        // Requests come last: they may need the identities, and a watch that is set again first
        // misses nothing that a request changes.
        self.credentials.send_all(&mut self.out);
        self.rearm.begin(&self.watches, self.identity.last_zxid(), &mut self.out);
        let failed = self.outstanding.connected(applied);
        self.fail(failed);
        self.withdraw_unknown();
        self.outstanding.flush(&mut self.out);
        Ok(())
    }

    /// The server does not know the session.
    fn refused(&mut self, now: Time) {
        if self.identity.is_established() {
            self.lose_session(now);
        } else {
            self.retry(now);
        }
    }

    /// Fails requests that waited for a connection and are unknown to the server of the one that
    /// came.
    fn withdraw_unknown(&mut self) {
        let grants = self.grants;
        for request in self.outstanding.withdraw(|op| !grants.allows(op)) {
            if let Some(token) = request.token {
                self.effects.push_back(Effect::Complete(token, Err(UNKNOWN_OPERATION)));
            }
        }
    }

    /// Takes a packet that follows the handshake.
    fn packet(&mut self, mut frame: BytesMut) -> Result<(), ProtocolError> {
        let header: ReplyHeader = Reader::new(&frame).record()?;
        frame.advance(ReplyHeader::LEN);
        match header.xid {
            Xid::NOTIFICATION => self.notified(header, Reader::new(&frame).record()?),
            Xid::PING => self.identity.saw(header.zxid),
            Xid::AUTH => self.authenticated(header),
            Xid::SET_WATCHES => {
                if self.rearm.answered(header) {
                    self.tell_gap();
                }
                self.identity.saw(header.zxid);
            }
            xid => {
                self.replied(header, frame.freeze())
                    .map_err(|OutOfOrder| ProtocolError::OutOfOrder(xid))?;
            }
        }
        Ok(())
    }

    fn notified(&mut self, header: ReplyHeader, event: WatcherEvent<'_>) {
        let Ok(kind) = EventType::try_from(event.event_type) else { return };
        let zxid = (header.zxid.0 > 0).then_some(header.zxid);
        let event = WatchedEvent { kind, path: event.path.into_owned(), zxid };
        if self.rearm.take_gap() {
            self.tell_gap();
        }
        let effects = &mut self.effects;
        self.watches.trigger(&event, |sink, notice| {
            effects.push_back(Effect::Notify(sink, notice));
        });
    }

    /// Tells persistent watches that they may have missed something.
    fn tell_gap(&mut self) {
        let effects = &mut self.effects;
        self.watches.gap(|sink, notice| effects.push_back(Effect::Notify(sink, notice)));
    }

    fn authenticated(&mut self, header: ReplyHeader) {
        if header.err != 0 {
            self.end(SessionState::AuthFailed);
        } else if let Some(token) = self.credentials.accepted() {
            let reply = Reply { zxid: header.zxid, err: 0, body: Bytes::new() };
            self.effects.push_back(Effect::Complete(token, Ok(reply)));
        }
    }

    fn replied(&mut self, header: ReplyHeader, body: Bytes) -> Result<(), OutOfOrder> {
        let request = self.outstanding.answered(header.xid)?;
        self.outstanding.flush(&mut self.out);
        self.identity.saw(header.zxid);
        if let Some(watch) = &request.watch
            && let Some(removal) = self.watches.answered(watch, header.err)
        {
            self.remove_watch(&removal);
        }
        if let Some(token) = request.token {
            let reply = Reply { zxid: header.zxid, err: header.err, body };
            self.effects.push_back(Effect::Complete(token, Ok(reply)));
        }
        if request.op == OpCode::CloseSession {
            self.end(SessionState::Closed);
        }
        Ok(())
    }

    // Inside.

    /// Fails where no call can be taken on at present.
    fn check_open_to_calls(&self) -> Result<(), Error> {
        match self.connection.phase() {
            Phase::Ended => Err(self.state.error_of_calls(Fate::NotApplied)),
            Phase::Closing { .. } => Err(Error::Closed { fate: Fate::NotApplied }),
            Phase::Waiting { .. }
            | Phase::Dialing { .. }
            | Phase::Handshaking { .. }
            | Phase::Open { .. } => {
                let is_overdue = self.state == SessionState::Overdue;
                if is_overdue { Err(Error::Unreachable) } else { Ok(()) }
            }
        }
    }

    fn accept(&mut self, request: OutstandingRequest<T>) -> bool {
        if self.connection.is_open() {
            let was_empty = self.out.is_empty();
            self.outstanding.write_out(request, &mut self.out);
            was_empty && !self.out.is_empty()
        } else {
            self.outstanding.enqueue(request);
            false
        }
    }

    /// Asks the server to forget a watch; without a connection it has done so already.
    fn remove_watch(&mut self, removal: &WatchRemoval) -> bool {
        if !self.connection.is_open() {
            return false;
        }
        let (op, record) = (OpCode::RemoveWatches, removal.record());
        self.accept(OutstandingRequest::new(op, record, None, None))
    }

    /// Fails what waits and ends the watches.
    fn fail_all(&mut self, error: impl Fn(Fate) -> Error) {
        let failed = self.outstanding.abandon(&error);
        self.fail(failed);
        let over = error(Fate::NotApplied);
        for token in self.credentials.take_waiting() {
            self.effects.push_back(Effect::Complete(token, Err(over.clone())));
        }
        let effects = &mut self.effects;
        self.watches.end(&over, |sink, notice| effects.push_back(Effect::Notify(sink, notice)));
    }

    fn fail(&mut self, failed: Vec<FailedRequest<T>>) {
        for (request, error) in failed {
            if let Some(watch) = &request.watch {
                self.watches.failed(watch);
            }
            if let Some(token) = request.token {
                self.effects.push_back(Effect::Complete(token, Err(error)));
            }
        }
    }

    /// No connection for longer than the session lasts without one. Writes that wait to be sent
    /// again end too: the session, and with it their answers, is probably gone.
    fn overdue(&mut self) {
        self.set_state(SessionState::Overdue);
        let failed = self.outstanding.abandon(|fate| match fate {
            Fate::Applied | Fate::Unknown => Error::ConnectionLost { fate },
            Fate::NotApplied => Error::Unreachable,
        });
        self.fail(failed);
    }

    fn overdue_at(&self) -> Option<Time> {
        self.connection.overdue_at().filter(|_| self.state != SessionState::Overdue)
    }

    /// Whatever the status shows is to be set before.
    fn set_state(&mut self, state: SessionState) {
        self.state = state;
        self.effects.push_back(Effect::Status(self.status()));
    }

    fn hangup(&mut self) {
        self.out.clear();
        self.credentials.disconnected();
        self.effects.push_back(Effect::Hangup);
    }

    fn dial(&mut self, now: Time) {
        self.connection.dial(now, self.settings.hosts);
        self.effects.push_back(match self.leader_search.take_address() {
            Some(address) => Effect::DialAt(address),
            None => Effect::Dial(self.hosts.next()),
        });
    }

    /// The attempt has failed: on to the next.
    fn retry(&mut self, now: Time) {
        self.hangup();
        self.connection.wait_until(now + self.hosts.failed());
    }

    fn lose_connection(&mut self, now: Time, since: Time) {
        self.hangup();
        self.leader_search.begin(now);
        // A connection that ends at once counts as a failed attempt, so that a server that takes
        // connections and drops them is not asked in a tight loop.
        let pause = if now.saturating_sub(since) >= GOOD_CONNECTION {
            self.hosts.succeeded();
            Duration::ZERO
        } else {
            self.hosts.failed()
        };
        self.connection.wait_until(now + pause);
        self.set_state(SessionState::Suspended);
        let failed = self.outstanding.disconnected();
        self.fail(failed);
    }

    /// The ensemble has ended the session. Unless one is all that was asked for, the next begins.
    fn lose_session(&mut self, now: Time) {
        if !self.settings.renew {
            self.end(SessionState::Lost);
            return;
        }
        self.hangup();
        self.generation += 1;
        self.identity.forget();
        self.connection.begin(now, self.settings.timeout);
        self.leader_search.begin(now);
        // A caller woken by the end of a call or a watch finds the next session in the status.
        self.set_state(SessionState::Connecting);
        self.fail_all(|fate| Error::SessionLost { fate });
    }
}
