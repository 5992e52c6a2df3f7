//! A session in virtual time, given packets made by hand.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, EventType, OpCode, Reader, ReplyHeader,
    Request as WireRequest, RequestHeader, SessionId, WatcherEvent, Xid, Zxid, begin_frame,
    end_frame, next_frame,
};

use crate::error::Error;

use super::connection::Time;
use super::request::{Request, WatchRegistration};
use super::settings::Settings;
use super::state_machine::{Effect, Session};
use super::status::SessionState;
use super::watches::{Notice, WatchKind, WatcherId};

pub(super) const TIMEOUT: Duration = Duration::from_secs(9);

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A session, its clock, and what it wants.
pub(super) struct Harness {
    pub(super) session: Session<u32, char>,
    pub(super) now: Time,
    pub(super) effects: VecDeque<Effect<u32, char>>,
    /// What it sent and nobody has looked at.
    pub(super) output: BytesMut,
}

/// A request as the server sees it.
type Sent = (i32, OpCode, String);

impl Harness {
    pub(super) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(1);
        settings.timeout = TIMEOUT;
        settings.exactly_once = false;
        change(&mut settings);
        let session = Session::new(settings);
        let mut harness =
            Self { session, now: secs(0), effects: VecDeque::new(), output: BytesMut::new() };
        harness.session.start(harness.now);
        harness.settle();
        harness
    }

    /// A session that is connected.
    pub(super) fn open() -> Self {
        Self::opened(|_| {})
    }

    pub(super) fn opened(change: impl FnOnce(&mut Settings)) -> Self {
        let mut harness = Self::new(change);
        harness.connect(Zxid(0), SessionId(0));
        harness.welcome();
        harness.effects.clear();
        harness
    }

    pub(super) fn settle(&mut self) {
        self.session.take_effects(&mut self.effects);
        self.session.take_output(self.now, &mut self.output);
    }

    /// Opens the connection asked for and looks at the handshake.
    pub(super) fn connect(&mut self, seen: Zxid, session: SessionId) {
        assert!(self.effects.contains(&Effect::Dial(0)), "{:?}", self.effects);
        // What the old connection did not take is gone with it.
        self.output.clear();
        self.session.socket_opened(self.now);
        self.settle();
        let frame = next_frame(&mut self.output, 1000).expect("a frame").expect("whole");
        let request: ConnectRequest<'_> = Reader::new(&frame).record().expect("a handshake");
        assert_eq!((request.last_zxid_seen, request.session_id), (seen, session));
        assert_eq!(self.output.len(), 0, "nothing is sent before the server has answered");
    }

    /// Answers the handshake.
    pub(super) fn welcome(&mut self) {
        self.greet(9000, SessionId(77));
    }

    pub(super) fn greet(&mut self, timeout_ms: i32, session_id: SessionId) {
        let password = &[7; 16];
        let read_only = Some(false);
        let response =
            ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only };
        self.packet(&response);
    }

    pub(super) fn packet(&mut self, record: &impl Encode) {
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        record.encode(&mut input);
        end_frame(&mut input, frame);
        while self.session.receive(self.now, &mut input) {}
        self.settle();
    }

    pub(super) fn reply(&mut self, xid: i32, zxid: i64, err: i32) {
        self.packet(&ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err });
    }

    pub(super) fn event(&mut self, kind: EventType, path: &str) {
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        ReplyHeader { xid: Xid::NOTIFICATION, zxid: Zxid(-1), err: 0 }.encode(&mut input);
        WatcherEvent::new(kind, path).encode(&mut input);
        end_frame(&mut input, frame);
        while self.session.receive(self.now, &mut input) {}
        self.settle();
    }

    pub(super) fn submit(&mut self, op: OpCode, token: u32) -> Result<(), Error> {
        let request = Request { op, body: body(op, "/a"), token: Some(token), registration: None };
        let outcome = self.session.submit(request).map(drop);
        self.settle();
        outcome
    }

    /// Queues a request without letting the driver send it.
    pub(super) fn submit_unsent(&mut self, op: OpCode, token: u32) {
        let request = Request { op, body: body(op, "/a"), token: Some(token), registration: None };
        self.session.submit(request).map(drop).expect("accepted");
    }

    pub(super) fn watch(&mut self, op: OpCode, path: &str, kind: WatchKind, sink: char) {
        let id = WatcherId(u64::from(u32::from(sink)));
        let registration = Some(WatchRegistration { id, path: path.to_owned(), kind, sink });
        let request = Request { op, body: body(op, path), token: Some(0), registration };
        self.session.submit(request).map(drop).expect("accepted");
        self.settle();
    }

    pub(super) fn unwatch(&mut self, sink: char) {
        self.session.unwatch(WatcherId(u64::from(u32::from(sink))));
        self.settle();
    }

    /// The requests sent since the last look.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(frame) = next_frame(&mut self.output, 1 << 20).expect("a frame") {
            let mut reader = Reader::new(&frame);
            let header: RequestHeader = reader.record().expect("a header");
            let op = OpCode::try_from(header.op).expect("an operation");
            let request = WireRequest::decode(op, &mut reader).expect("a record");
            sent.push((header.xid.0, op, shown(&request)));
        }
        sent
    }

    pub(super) fn numbers(&mut self) -> Vec<(i32, OpCode)> {
        self.sent().into_iter().map(|(xid, op, _)| (xid, op)).collect()
    }

    pub(super) fn lose_connection(&mut self) {
        self.session.disconnected(self.now);
        self.settle();
    }

    pub(super) fn reconnect(&mut self, seen: i64) {
        self.pass(secs(3));
        self.connect(Zxid(seen), SessionId(77));
        self.welcome();
    }

    /// Lets time pass, telling it to the session when it asks for that.
    pub(super) fn pass(&mut self, period: Duration) {
        let end = self.now + period;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.tick(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The outcomes of calls since the last look: the token and the error, if any.
    pub(super) fn outcomes(&mut self) -> Vec<(u32, Option<Error>)> {
        let mut outcomes = Vec::new();
        self.effects.retain(|effect| match effect {
            Effect::Complete(token, outcome) => {
                let error = match outcome {
                    Ok(reply) if reply.err != 0 => Some(Error::from_code(reply.err)),
                    Ok(_) => None,
                    Err(error) => Some(error.clone()),
                };
                outcomes.push((*token, error));
                false
            }
            Effect::Notify(..)
            | Effect::Status(_)
            | Effect::Dial(_)
            | Effect::DialAt(_)
            | Effect::Probe(_)
            | Effect::Hangup => true,
        });
        outcomes
    }

    /// What watches were told since the last look.
    pub(super) fn notices(&mut self) -> Vec<String> {
        let mut notices = Vec::new();
        self.effects.retain(|effect| match effect {
            Effect::Notify(sink, notice) => {
                notices.push(match notice {
                    Notice::Event(event) => format!("{sink} {} {}", event.kind, event.path),
                    Notice::Gap => format!("{sink} gap"),
                    Notice::End(error) => format!("{sink} end: {error}"),
                });
                false
            }
            Effect::Complete(..)
            | Effect::Status(_)
            | Effect::Dial(_)
            | Effect::DialAt(_)
            | Effect::Probe(_)
            | Effect::Hangup => true,
        });
        notices
    }

    pub(super) fn state(&self) -> SessionState {
        self.session.status().state
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest goes as one that is asked with a path"
)]
fn body(op: OpCode, path: &str) -> Vec<u8> {
    let mut body = BytesMut::new();
    match op {
        OpCode::Delete => {
            jute_proto::DeleteRequest { path: path.into(), version: -1 }.encode(&mut body)
        }
        OpCode::ListPage | OpCode::GetSubtree => {
            let (path, after, limit) = (path.into(), None, 1);
            jute_proto::ListPageRequest { path, after, limit }.encode(&mut body);
        }
        OpCode::AddWatch => {
            jute_proto::AddWatchRequest { path: path.into(), mode: 0 }.encode(&mut body)
        }
        _ => jute_proto::ExistsRequest { path: path.into(), watch: true }.encode(&mut body),
    }
    body.into()
}

/// What matters of a request.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is known by its operation")]
fn shown(request: &WireRequest<'_>) -> String {
    match request {
        WireRequest::SetWatches(set) => format!(
            "{} data{:?} exist{:?} child{:?}",
            set.relative_zxid, set.data_watches, set.exist_watches, set.child_watches
        ),
        WireRequest::SetWatches2(set) => format!(
            "{} data{:?} exist{:?} child{:?} persistent{:?} recursive{:?}",
            set.relative_zxid,
            set.data_watches,
            set.exist_watches,
            set.child_watches,
            set.persistent_watches,
            set.persistent_recursive_watches
        ),
        WireRequest::RemoveWatches(remove) => format!("{} {}", remove.path, remove.watcher_type),
        WireRequest::Auth(auth) => auth.scheme.to_string(),
        _ => String::new(),
    }
}
