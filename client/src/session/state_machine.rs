//! The state of a session, its phases and its entry points.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Encode, Extensions, OpCode, RemoveWatchesRequest, SessionId, Xid, Zxid, frame_len,
};

use crate::error::{Error, Fate};

use super::hosts::Hosts;
use super::leader_search::LeaderSearch;
use super::outstanding::{FailedRequest, Outstanding, OutstandingRequest, put_frame};
use super::read_write_search::ReadWriteSearch;
use super::rearm::{Rearm, put_auth};
use super::request::{Reply, Request};
use super::settings::{Credential, Settings};
use super::status::{SavedSession, SessionState, Status};
use super::watches::{Notice, WatchRemoval, WatcherId, Watches};

/// A moment, as the time since the client was started.
pub(crate) type Time = Duration;

/// The shortest time for a connection attempt, however many servers share the session timeout.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// The longest time for each step of an attempt, however long sessions last: Apache ZooKeeper, while it
/// starts, takes connections that it then never answers.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(4);

/// How many attempts there is time for within the session timeout, however few servers there are: one
/// that hangs must not cost the session.
const ATTEMPTS: usize = 3;

/// The longest silence towards the server.
const PING_MAX: Duration = Duration::from_secs(10);

/// How long closing may take.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// How many packets are taken at once: callers go on with the first answers of a long burst, and the
/// server with what they ask next, while the client takes the rest.
const BURST: usize = 32;

/// A connection that held so long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(1);

/// How many credentials a client may have.
const CREDENTIALS_MAX: usize = 64;

/// What the shell is to do.
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

/// What the session is doing about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until the next attempt.
    Waiting { until: Time },
    /// For a connection to be opened.
    Dialing { deadline: Time },
    /// For the answer to the handshake.
    Handshaking { deadline: Time },
    /// Serving.
    Open { since: Time },
    /// For the answer to the last request.
    Closing { deadline: Time },
    /// Nothing any more.
    Ended,
}

/// A session: see the [module](super).
///
/// `T` stands for a caller that waits, `W` for a place where watch events go.
#[derive(Debug)]
pub(crate) struct Session<T, W> {
    pub(super) settings: Settings,
    pub(super) hosts: Hosts,
    pub(super) leader_search: LeaderSearch,
    pub(super) read_write_search: ReadWriteSearch,
    pub(super) phase: Phase,
    pub(super) status: Status,
    pub(super) password: Bytes,
    /// What the server of the newest connection has beyond ZooKeeper.
    pub(super) granted: Extensions,
    /// Whether the session is one that a read-only server made up.
    pub(super) fake: bool,
    /// The newest transaction that an answer told of.
    pub(super) last_zxid: Zxid,
    pub(super) last_heard: Time,
    pub(super) last_sent: Time,
    pub(super) outstanding: Outstanding<T>,
    pub(super) watches: Watches<W>,
    pub(super) rearm: Rearm,
    /// What connections authenticate with, and who waits for it to be accepted.
    pub(super) credentials: Vec<(Credential, Option<T>)>,
    /// The credentials sent on this connection and not answered.
    pub(super) auth_sent: VecDeque<usize>,
    /// Bytes for the connection.
    pub(super) out: BytesMut,
    pub(super) effects: VecDeque<Effect<T, W>>,
}

impl<T, W: Clone> Session<T, W> {
    pub(crate) fn new(mut settings: Settings) -> Self {
        let hosts =
            Hosts::new(settings.hosts, settings.shuffle, settings.backoff_max, settings.seed);
        let credentials = std::mem::take(&mut settings.credentials);
        let resume = settings.resume.take();
        let status = Status {
            state: SessionState::Connecting,
            generation: 0,
            session: resume.as_ref().map_or(SessionId(0), |saved| saved.id),
            timeout: settings.timeout,
            linearizable: false,
            at_leader: false,
            exactly_once: false,
        };
        let last_zxid = resume.as_ref().map_or(Zxid(0), |saved| saved.last_zxid);
        Self {
            outstanding: Outstanding::new(&settings),
            settings,
            hosts,
            leader_search: LeaderSearch::default(),
            read_write_search: ReadWriteSearch::default(),
            phase: Phase::Waiting { until: Time::ZERO },
            status,
            granted: Extensions::NONE,
            password: resume.map(|saved| saved.password).unwrap_or_default(),
            fake: false,
            last_zxid,
            last_heard: Time::ZERO,
            last_sent: Time::ZERO,
            watches: Watches::new(),
            rearm: Rearm::default(),
            credentials: credentials.into_iter().map(|known| (known, None)).collect(),
            auth_sent: VecDeque::new(),
            out: BytesMut::new(),
            effects: VecDeque::new(),
        }
    }

    // What callers do.

    /// Takes a request on. Returns whether there are bytes to send where there were none.
    pub(crate) fn submit(&mut self, request: Request<T, W>) -> Result<bool, Error> {
        self.refusal()?;
        self.check_operation(request.op)?;
        self.outstanding.admit(request.op, request.body.len())?;
        let Request { op, body, token, registration } = request;
        let watch = registration.map(|registration| self.watches.add(registration));
        Ok(self.accept(OutstandingRequest::new(op, body, token, watch)))
    }

    /// Adds an identity to this connection and all that follow.
    pub(crate) fn add_credential(
        &mut self,
        credential: Credential,
        token: T,
    ) -> Result<bool, Error> {
        self.refusal()?;
        if self.credentials.len() >= CREDENTIALS_MAX {
            return Err(Error::Busy);
        }
        let quiet = self.out.is_empty();
        let open = matches!(self.phase, Phase::Open { .. });
        if open {
            put_auth(&mut self.out, &credential);
            self.auth_sent.push_back(self.credentials.len());
        }
        self.credentials.push((credential, Some(token)));
        Ok(open && quiet)
    }

    /// Lets go of a watch. Returns whether there are bytes to send where there were none.
    pub(crate) fn unwatch(&mut self, id: WatcherId) -> bool {
        let removal = self.watches.remove(id);
        removal.is_some_and(|removal| self.forget(&removal))
    }

    /// Ends the session, or only the client where it is detached.
    pub(crate) fn close(&mut self, now: Time) {
        match self.phase {
            Phase::Open { .. } if !self.settings.detached => {
                let body = Vec::new();
                let op = OpCode::CloseSession;
                self.outstanding
                    .write_out(OutstandingRequest::new(op, body, None, None), &mut self.out);
                let patience = CLOSE_MAX.min(self.status.timeout);
                self.phase = Phase::Closing { deadline: now + patience };
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
        self.status
    }

    /// All that it takes to take up the session again.
    pub(crate) fn save(&self) -> SavedSession {
        SavedSession {
            id: self.status.session,
            password: self.password.clone(),
            last_zxid: self.last_zxid,
        }
    }

    // What the connection does.

    /// The connection asked for is open.
    pub(crate) fn connected(&mut self, now: Time) {
        if matches!(self.phase, Phase::Dialing { .. }) {
            self.send_connect_request(now);
        }
    }

    /// The connection is lost, or could not be opened.
    pub(crate) fn disconnected(&mut self, now: Time) {
        match self.phase {
            Phase::Dialing { .. } | Phase::Handshaking { .. } => self.retry(now),
            Phase::Open { since } => self.lose_connection(now, since),
            Phase::Closing { .. } => self.end(SessionState::Closed),
            Phase::Waiting { .. } | Phase::Ended => {}
        }
    }

    /// Takes whole frames off the front of `input`, up to [`BURST`] of them. Returns whether there may be
    /// more.
    pub(crate) fn receive(&mut self, now: Time, input: &mut BytesMut) -> bool {
        self.last_heard = now;
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
            let understood = match self.phase {
                Phase::Handshaking { .. } => self.connect_replied(now, input, len),
                Phase::Open { .. } | Phase::Closing { .. } => self.answer(input, len),
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

    /// Appends the bytes to send to `output`, which is taken for sent.
    pub(crate) fn take_output(&mut self, now: Time, output: &mut BytesMut) {
        if self.out.is_empty() {
            return;
        }
        self.last_sent = now;
        self.outstanding.handed_over();
        if output.is_empty() {
            std::mem::swap(output, &mut self.out);
        } else {
            output.extend_from_slice(&self.out);
        }
        self.out.clear();
    }

    // What time does.

    /// Begins.
    pub(crate) fn start(&mut self, now: Time) {
        self.last_heard = now;
        self.leader_search.since = now;
        self.phase = Phase::Waiting { until: now };
        self.tick(now);
    }

    /// It is `now`.
    pub(crate) fn tick(&mut self, now: Time) {
        if self.overdue_at().is_some_and(|at| at <= now) {
            self.overdue();
        }
        self.probe(now);
        match self.phase {
            Phase::Waiting { until } if until <= now => self.dial(now),
            Phase::Dialing { deadline } | Phase::Handshaking { deadline } if deadline <= now => {
                self.retry(now);
            }
            Phase::Open { since } if self.silence_at() <= now => self.lose_connection(now, since),
            Phase::Open { .. } if self.ping_at() <= now => {
                put_frame(&mut self.out, Xid::PING, OpCode::Ping, &[]);
            }
            Phase::Closing { deadline } if deadline <= now => self.end(SessionState::Closed),
            Phase::Waiting { .. }
            | Phase::Dialing { .. }
            | Phase::Handshaking { .. }
            | Phase::Open { .. }
            | Phase::Closing { .. }
            | Phase::Ended => {}
        }
    }

    /// When it wants to be told the time next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let of_phase = match self.phase {
            Phase::Waiting { until } => until,
            Phase::Dialing { deadline }
            | Phase::Handshaking { deadline }
            | Phase::Closing { deadline } => deadline,
            Phase::Open { .. } => {
                let at = self.silence_at().min(self.ping_at());
                self.probe_at().map_or(at, |probe| probe.min(at))
            }
            Phase::Ended => return None,
        };
        Some(self.overdue_at().map_or(of_phase, |at| at.min(of_phase)))
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
        self.phase == Phase::Ended
    }

    /// Ends without a word to the server: whoever drove the connection is gone.
    pub(crate) fn end(&mut self, state: SessionState) {
        if self.phase == Phase::Ended {
            return;
        }
        self.hangup();
        self.phase = Phase::Ended;
        self.set_state(state);
        self.fail_all(|fate| error_of(state, fate));
    }

    // Inside.

    /// Why no request can be taken on at present.
    fn refusal(&self) -> Result<(), Error> {
        match (self.phase, self.status.state) {
            (Phase::Ended, state) => Err(error_of(state, Fate::NotApplied)),
            (Phase::Closing { .. }, _) => Err(Error::Closed { fate: Fate::NotApplied }),
            (_, SessionState::Overdue) => Err(Error::Unreachable),
            _ => Ok(()),
        }
    }

    pub(super) fn accept(&mut self, call: OutstandingRequest<T>) -> bool {
        if matches!(self.phase, Phase::Open { .. }) {
            let quiet = self.out.is_empty();
            self.outstanding.write_out(call, &mut self.out);
            quiet && !self.out.is_empty()
        } else {
            self.outstanding.enqueue(call);
            false
        }
    }

    /// Asks the server to forget a watch; without a connection it has done so already.
    pub(super) fn forget(&mut self, removal: &WatchRemoval) -> bool {
        if !matches!(self.phase, Phase::Open { .. }) {
            return false;
        }
        let mut body = BytesMut::new();
        let path = removal.path.as_str().into();
        RemoveWatchesRequest { path, watcher_type: removal.kind.into() }.encode(&mut body);
        let (op, body) = (OpCode::RemoveWatches, body.into());
        self.accept(OutstandingRequest::new(op, body, None, None))
    }

    /// Fails what waits and ends the watches.
    pub(super) fn fail_all(&mut self, error: impl Fn(Fate) -> Error) {
        let failed = self.outstanding.abandon(&error);
        self.fail(failed);
        let over = error(Fate::NotApplied);
        for (_, token) in &mut self.credentials {
            if let Some(token) = token.take() {
                self.effects.push_back(Effect::Complete(token, Err(over.clone())));
            }
        }
        let effects = &mut self.effects;
        self.watches.end(&over, |sink, notice| effects.push_back(Effect::Notify(sink, notice)));
    }

    pub(super) fn fail(&mut self, failed: Vec<FailedRequest<T>>) {
        for (call, error) in failed {
            if let Some(watch) = call.watch {
                self.watches.answered(&watch, i32::MIN);
            }
            if let Some(token) = call.token {
                self.effects.push_back(Effect::Complete(token, Err(error)));
            }
        }
    }

    /// No connection for longer than the session lasts without one. Writes that wait to be sent again
    /// end too: the session, and with it their answers, is probably gone.
    fn overdue(&mut self) {
        self.set_state(SessionState::Overdue);
        let failed = self.outstanding.abandon(|fate| match fate {
            Fate::Applied | Fate::Unknown => Error::ConnectionLost { fate },
            Fate::NotApplied => Error::Unreachable,
        });
        self.fail(failed);
    }

    pub(super) fn set_state(&mut self, state: SessionState) {
        self.status.state = state;
        self.effects.push_back(Effect::Status(self.status));
    }

    pub(super) fn hangup(&mut self) {
        self.out.clear();
        self.auth_sent.clear();
        self.effects.push_back(Effect::Hangup);
    }

    fn dial(&mut self, now: Time) {
        let attempts = self.settings.hosts.max(ATTEMPTS);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        let patience = (self.status.timeout / attempts).clamp(ATTEMPT_MIN, ATTEMPT_MAX);
        self.phase = Phase::Dialing { deadline: now + patience };
        let dial = match self.leader_search.aim.take() {
            Some(address) => Effect::DialAt(address),
            None => Effect::Dial(self.hosts.next()),
        };
        self.effects.push_back(dial);
    }

    /// The attempt has failed: on to the next.
    pub(super) fn retry(&mut self, now: Time) {
        self.hangup();
        self.phase = Phase::Waiting { until: now + self.hosts.failed() };
    }

    pub(super) fn lose_connection(&mut self, now: Time, since: Time) {
        self.hangup();
        self.leader_search.since = now;
        // A connection that ends at once counts as a failed attempt, so that a server that takes
        // connections and drops them is not asked in a tight loop.
        let pause = if now.saturating_sub(since) >= GOOD_CONNECTION {
            self.hosts.succeeded();
            Duration::ZERO
        } else {
            self.hosts.failed()
        };
        self.phase = Phase::Waiting { until: now + pause };
        self.set_state(SessionState::Suspended);
        let failed = self.outstanding.interrupted();
        self.fail(failed);
    }

    fn ping_at(&self) -> Time {
        self.last_sent + (self.status.timeout / 3).min(PING_MAX)
    }

    /// When the server has been silent for too long.
    fn silence_at(&self) -> Time {
        self.last_heard + self.status.timeout * 2 / 3
    }

    fn overdue_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Handshaking { .. } => {
                let due = self.status.state != SessionState::Overdue;
                due.then(|| self.last_heard + self.status.timeout)
            }
            Phase::Open { .. } | Phase::Closing { .. } | Phase::Ended => None,
        }
    }
}

/// The error of a call that met the end of the client.
fn error_of(state: SessionState, fate: Fate) -> Error {
    match state {
        // A change that was under way may have been made all the same.
        SessionState::AuthFailed if fate == Fate::Unknown => Error::ConnectionLost { fate },
        SessionState::AuthFailed => Error::AuthFailed,
        SessionState::Lost => Error::SessionLost { fate },
        SessionState::Connecting
        | SessionState::Connected
        | SessionState::ReadOnly
        | SessionState::Suspended
        | SessionState::Overdue
        | SessionState::Closed => Error::Closed { fate },
    }
}
