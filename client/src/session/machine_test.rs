//! The session in virtual time, against packets made by hand.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, ErrorCode, EventType, OpCode, Reader, ReplyHeader,
    Request as WireRequest, RequestHeader, SessionId, WatcherEvent, Xid, Zxid, begin_frame,
    end_frame, next_frame,
};

use crate::error::{Error, Fate};

use super::machine::{Effect, Session, Time};
use super::request::{Arm, Request};
use super::settings::{Credential, Settings};
use super::status::SessionState;
use super::watches::{Notice, Table, WatcherId};

const TIMEOUT: Duration = Duration::from_secs(9);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A session, its clock, and what it wants.
struct Rig {
    session: Session<u32, char>,
    now: Time,
    effects: VecDeque<Effect<u32, char>>,
    /// What it sent and nobody has looked at.
    output: BytesMut,
}

/// A request as the server sees it.
type Sent = (i32, OpCode, String);

impl Rig {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(1);
        settings.timeout = TIMEOUT;
        change(&mut settings);
        let session = Session::new(settings);
        let mut rig =
            Self { session, now: secs(0), effects: VecDeque::new(), output: BytesMut::new() };
        rig.session.start(rig.now);
        rig.settle();
        rig
    }

    /// A session that is connected.
    fn open() -> Self {
        Self::opened(|_| {})
    }

    fn opened(change: impl FnOnce(&mut Settings)) -> Self {
        let mut rig = Self::new(change);
        rig.connect(Zxid(0), SessionId(0));
        rig.welcome();
        rig.effects.clear();
        rig
    }

    fn settle(&mut self) {
        self.session.take_effects(&mut self.effects);
        self.session.take_output(self.now, &mut self.output);
    }

    /// Opens the connection asked for and looks at the handshake.
    fn connect(&mut self, seen: Zxid, session: SessionId) {
        assert!(self.effects.contains(&Effect::Dial(0)), "{:?}", self.effects);
        // What the old connection did not take is gone with it.
        self.output.clear();
        self.session.connected(self.now);
        self.settle();
        let frame = next_frame(&mut self.output, 1000).expect("a frame").expect("whole");
        let request: ConnectRequest<'_> = Reader::new(&frame).record().expect("a handshake");
        assert_eq!((request.last_zxid_seen, request.session_id), (seen, session));
        assert_eq!(self.output.len(), 0, "nothing is sent before the server has answered");
    }

    /// Answers the handshake.
    fn welcome(&mut self) {
        self.greet(9000, SessionId(77));
    }

    fn greet(&mut self, timeout_ms: i32, session_id: SessionId) {
        let password = &[7; 16];
        let read_only = Some(false);
        let response =
            ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only };
        self.packet(&response);
    }

    fn packet(&mut self, record: &impl Encode) {
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        record.encode(&mut input);
        end_frame(&mut input, frame);
        self.session.receive(self.now, &mut input);
        self.settle();
    }

    fn reply(&mut self, xid: i32, zxid: i64, err: i32) {
        self.packet(&ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err });
    }

    fn event(&mut self, kind: EventType, path: &str) {
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        ReplyHeader { xid: Xid::NOTIFICATION, zxid: Zxid(-1), err: 0 }.encode(&mut input);
        WatcherEvent::new(kind, path).encode(&mut input);
        end_frame(&mut input, frame);
        self.session.receive(self.now, &mut input);
        self.settle();
    }

    fn submit(&mut self, op: OpCode, token: u32) -> Result<(), Error> {
        let request = Request { op, body: body(op, "/a"), token: Some(token), arm: None };
        let outcome = self.session.submit(request).map(drop);
        self.settle();
        outcome
    }

    /// Queues a request without letting the driver send it.
    fn submit_unsent(&mut self, op: OpCode, token: u32) {
        let request = Request { op, body: body(op, "/a"), token: Some(token), arm: None };
        self.session.submit(request).map(drop).expect("accepted");
    }

    fn watch(&mut self, op: OpCode, path: &str, table: Table, sink: char) {
        let id = WatcherId(u64::from(u32::from(sink)));
        let arm = Some(Arm { id, path: path.to_owned(), table, sink });
        let request = Request { op, body: body(op, path), token: Some(0), arm };
        self.session.submit(request).map(drop).expect("accepted");
        self.settle();
    }

    fn unwatch(&mut self, sink: char) {
        self.session.unwatch(WatcherId(u64::from(u32::from(sink))));
        self.settle();
    }

    /// The requests sent since the last look.
    fn sent(&mut self) -> Vec<Sent> {
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

    fn numbers(&mut self) -> Vec<(i32, OpCode)> {
        self.sent().into_iter().map(|(xid, op, _)| (xid, op)).collect()
    }

    fn lose_connection(&mut self) {
        self.session.disconnected(self.now);
        self.settle();
    }

    fn reconnect(&mut self, seen: i64) {
        self.pass(secs(3));
        self.connect(Zxid(seen), SessionId(77));
        self.welcome();
    }

    /// Lets time pass, telling it to the session when it asks for that.
    fn pass(&mut self, period: Duration) {
        let end = self.now + period;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.tick(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The outcomes of calls since the last look: the token and the error, if any.
    fn outcomes(&mut self) -> Vec<(u32, Option<Error>)> {
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
            Effect::Notify(..) | Effect::Status(_) | Effect::Dial(_) | Effect::Hangup => true,
        });
        outcomes
    }

    /// What watches were told since the last look.
    fn notices(&mut self) -> Vec<String> {
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
            Effect::Complete(..) | Effect::Status(_) | Effect::Dial(_) | Effect::Hangup => true,
        });
        notices
    }

    fn state(&self) -> SessionState {
        self.session.status().state
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest goes as one that is asked with a path"
)]
fn body(op: OpCode, path: &str) -> Bytes {
    let mut body = BytesMut::new();
    match op {
        OpCode::Delete => {
            jute_proto::DeleteRequest { path: path.into(), version: -1 }.encode(&mut body)
        }
        OpCode::AddWatch => {
            jute_proto::AddWatchRequest { path: path.into(), mode: 0 }.encode(&mut body)
        }
        _ => jute_proto::ExistsRequest { path: path.into(), watch: true }.encode(&mut body),
    }
    body.freeze()
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

#[test]
fn requests_go_out_in_the_order_of_the_calls_and_are_answered_in_it() {
    // What was called before there was a connection goes first, with ascending numbers.
    let mut rig = Rig::new(|_| {});
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.submit(OpCode::Exists, 2).expect("accepted");
    rig.connect(Zxid(0), SessionId(0));
    assert_eq!(rig.sent(), []);
    rig.welcome();
    rig.submit(OpCode::Delete, 3).expect("accepted");
    assert_eq!(rig.numbers(), [(1, OpCode::Delete), (2, OpCode::Exists), (3, OpCode::Delete)]);
    rig.reply(1, 5, 0);
    rig.reply(2, 5, i32::from(ErrorCode::NoNode));
    rig.reply(3, 6, 0);
    let no_node = Some(Error::Server(ErrorCode::NoNode));
    assert_eq!(rig.outcomes(), [(1, None), (2, no_node), (3, None)]);
    assert_eq!(rig.session.save().last_zxid, Zxid(6));
}

#[test]
fn an_interruption_says_what_is_known_and_repeats_what_can_be_repeated() {
    // A change under way has an unknown fate; reads behind all changes are asked again; what was
    // not sent yet goes out on the next connection.
    let mut rig = Rig::open();
    rig.submit(OpCode::Exists, 1).expect("accepted");
    rig.submit(OpCode::Delete, 2).expect("accepted");
    rig.submit(OpCode::Exists, 3).expect("accepted");
    rig.submit_unsent(OpCode::Delete, 4);
    rig.lose_connection();
    assert_eq!(rig.state(), SessionState::Suspended);
    let lost = |fate| Some(Error::ConnectionLost { fate });
    assert_eq!(rig.outcomes(), [(1, lost(Fate::NotApplied)), (2, lost(Fate::Unknown))]);
    rig.submit(OpCode::Delete, 5).expect("accepted");
    rig.reconnect(0);
    assert_eq!(rig.state(), SessionState::Connected);
    let numbers: Vec<OpCode> = rig.numbers().into_iter().map(|(_, op)| op).collect();
    assert_eq!(numbers, [OpCode::Exists, OpCode::Delete, OpCode::Delete]);
}

#[test]
fn a_lost_session_fails_everything_and_is_followed_by_another() {
    // Calls and watches end with a typed error, the generation grows, and the next handshake asks
    // for a new session.
    let mut rig = Rig::open();
    rig.watch(OpCode::Exists, "/w", Table::Exist, 'w');
    rig.reply(1, 9, 0);
    rig.lose_connection();
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.outcomes();
    rig.pass(secs(1));
    rig.connect(Zxid(9), SessionId(77));
    rig.effects.clear();
    rig.greet(0, SessionId(0));
    let over = Error::SessionLost { fate: Fate::NotApplied };
    assert_eq!(rig.outcomes(), [(1, Some(over.clone()))]);
    assert_eq!(rig.notices(), [format!("w end: {over}")]);
    assert_eq!((rig.state(), rig.session.status().generation), (SessionState::Connecting, 1));
    rig.pass(secs(1));
    rig.connect(Zxid(9), SessionId(0));
    rig.welcome();
    assert_eq!(rig.state(), SessionState::Connected);
    assert_eq!(rig.sent(), [], "watches of the lost session are not set again");
}

#[test]
fn a_single_session_ends_the_client_when_it_is_lost() {
    // Asked for, nothing follows the session: further calls fail.
    let mut rig = Rig::opened(|settings| settings.renew = false);
    rig.lose_connection();
    rig.pass(secs(1));
    rig.connect(Zxid(0), SessionId(77));
    rig.greet(0, SessionId(0));
    assert_eq!(rig.state(), SessionState::Lost);
    assert!(rig.session.has_ended());
    let refused = rig.submit(OpCode::Exists, 1);
    assert_eq!(refused, Err(Error::SessionLost { fate: Fate::NotApplied }));
}

#[test]
fn a_quiet_connection_is_pinged_and_a_silent_one_given_up() {
    // A ping each third of the timeout, and the end after two thirds without a word.
    let mut rig = Rig::open();
    rig.pass(TIMEOUT / 3);
    assert_eq!(rig.numbers(), [(-2, OpCode::Ping)]);
    rig.reply(-2, 1, 0);
    rig.pass(TIMEOUT * 2 / 3 - Duration::from_millis(1));
    assert_eq!(rig.state(), SessionState::Connected);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.state(), SessionState::Suspended);
    assert!(rig.effects.contains(&Effect::Hangup));
}

#[test]
fn nothing_waits_longer_than_the_session_can_last() {
    // After the timeout without a connection calls fail, until there is a connection again.
    let mut rig = Rig::open();
    rig.lose_connection();
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.pass(TIMEOUT);
    assert_eq!(rig.state(), SessionState::Overdue);
    assert_eq!(rig.outcomes(), [(1, Some(Error::Unreachable))]);
    assert_eq!(rig.submit(OpCode::Exists, 2), Err(Error::Unreachable));
    // The attempts go on, each with a limit of its own.
    rig.pass(secs(60));
    rig.session.disconnected(rig.now);
    rig.settle();
    rig.reconnect(0);
    assert_eq!(rig.state(), SessionState::Connected);
    assert_eq!(rig.session.status().generation, 0);
    rig.submit(OpCode::Exists, 3).expect("accepted");
}

#[test]
fn watches_are_told_what_concerns_them() {
    // One-shot watches once, persistent ones always, recursive ones of everything below.
    let mut rig = Rig::open();
    rig.watch(OpCode::GetData, "/a", Table::Data, 'd');
    rig.watch(OpCode::Exists, "/b", Table::Exist, 'e');
    rig.watch(OpCode::GetChildren2, "/a", Table::Child, 'c');
    rig.watch(OpCode::AddWatch, "/a", Table::Persistent, 'p');
    rig.watch(OpCode::AddWatch, "/", Table::Recursive, 'r');
    rig.reply(1, 1, 0);
    rig.reply(2, 1, i32::from(ErrorCode::NoNode));
    for xid in 3..=5 {
        rig.reply(xid, 1, 0);
    }
    rig.event(EventType::NodeDataChanged, "/a");
    assert_eq!(
        rig.notices(),
        ["d NodeDataChanged /a", "p NodeDataChanged /a", "r NodeDataChanged /a"]
    );
    rig.event(EventType::NodeChildrenChanged, "/a");
    assert_eq!(rig.notices(), ["c NodeChildrenChanged /a", "p NodeChildrenChanged /a"]);
    rig.event(EventType::NodeCreated, "/b");
    assert_eq!(rig.notices(), ["e NodeCreated /b", "r NodeCreated /b"]);
    rig.event(EventType::NodeDeleted, "/a/x");
    assert_eq!(rig.notices(), ["r NodeDeleted /a/x"]);
    rig.event(EventType::NodeDeleted, "/a");
    assert_eq!(rig.notices(), ["p NodeDeleted /a", "r NodeDeleted /a"]);
}

#[test]
fn a_watch_whose_call_failed_is_no_watch() {
    // Reading what is not there sets no data watch.
    let mut rig = Rig::open();
    rig.watch(OpCode::GetData, "/a", Table::Data, 'd');
    rig.reply(1, 1, i32::from(ErrorCode::NoNode));
    rig.event(EventType::NodeCreated, "/a");
    assert_eq!(rig.notices(), Vec::<String>::new());
}

#[test]
fn watches_are_set_again_before_anything_else() {
    // The next connection is told the credentials, then the watches with the newest transaction
    // seen, then what waited.
    let credential = Credential { scheme: "digest".to_owned(), auth: Bytes::from_static(b"a:b") };
    let mut rig = Rig::opened(|settings| settings.credentials.push(credential));
    assert_eq!(rig.numbers(), [(-4, OpCode::Auth)]);
    rig.reply(-4, 0, 0);
    rig.watch(OpCode::GetData, "/d", Table::Data, 'd');
    rig.watch(OpCode::Exists, "/e", Table::Exist, 'e');
    rig.watch(OpCode::GetChildren2, "/c", Table::Child, 'c');
    rig.reply(1, 5, 0);
    rig.reply(2, 5, i32::from(ErrorCode::NoNode));
    rig.reply(3, 6, 0);
    rig.sent();
    rig.lose_connection();
    rig.submit(OpCode::Exists, 9).expect("accepted");
    rig.reconnect(6);
    let sent = rig.sent();
    assert_eq!(sent[0], (-4, OpCode::Auth, "digest".to_owned()));
    let watches = r#"0x6 data["/d"] exist["/e"] child["/c"]"#.to_owned();
    assert_eq!(sent[1], (-8, OpCode::SetWatches, watches));
    assert_eq!((sent[2].1, sent.len()), (OpCode::Exists, 3));
    // What has changed in the meantime comes as an event.
    rig.event(EventType::NodeDeleted, "/d");
    assert_eq!(rig.notices(), ["d NodeDeleted /d"]);
}

#[test]
fn persistent_watches_are_told_of_a_gap_where_there_may_be_one() {
    // No gap where the server has seen nothing since; one gap where it has, before what comes next.
    let mut rig = Rig::open();
    rig.watch(OpCode::AddWatch, "/p", Table::Persistent, 'p');
    rig.watch(OpCode::AddWatch, "/r", Table::Recursive, 'r');
    rig.reply(1, 5, 0);
    rig.reply(2, 5, 0);
    rig.sent();
    rig.lose_connection();
    rig.reconnect(5);
    let watches = r#"0x5 data[] exist[] child[] persistent["/p"] recursive["/r"]"#.to_owned();
    assert_eq!(rig.sent(), [(-8, OpCode::SetWatches2, watches)]);
    rig.reply(-8, 5, 0);
    rig.event(EventType::NodeCreated, "/p");
    assert_eq!(rig.notices(), ["p NodeCreated /p"]);
    rig.lose_connection();
    rig.reconnect(5);
    rig.reply(-8, 6, 0);
    assert_eq!(rig.notices(), ["p gap", "r gap"]);
    rig.lose_connection();
    rig.reconnect(6);
    rig.event(EventType::NodeDeleted, "/p");
    rig.reply(-8, 7, 0);
    assert_eq!(rig.notices(), ["p gap", "r gap", "p NodeDeleted /p"]);
}

#[test]
fn many_watches_are_set_again_in_several_requests() {
    // A request with all of them could be longer than servers accept.
    let mut rig = Rig::open();
    let long = "x".repeat(50_000);
    for (xid, sink) in ('a'..='f').enumerate() {
        rig.watch(OpCode::GetData, &format!("/{sink}{long}"), Table::Data, sink);
        rig.reply(i32::try_from(xid).expect("small") + 1, 5, 0);
    }
    rig.lose_connection();
    rig.reconnect(5);
    let ops: Vec<OpCode> = rig.sent().into_iter().map(|(_, op, _)| op).collect();
    assert_eq!(ops, [OpCode::SetWatches; 3]);
}

#[test]
fn a_watch_that_is_dropped_is_taken_back_when_nobody_else_needs_it() {
    // The server forgets it with the last, and answers that arrive late change nothing.
    let mut rig = Rig::open();
    rig.watch(OpCode::AddWatch, "/a", Table::Persistent, 'p');
    rig.watch(OpCode::AddWatch, "/a", Table::Persistent, 'q');
    rig.watch(OpCode::GetData, "/a", Table::Data, 'd');
    for xid in 1..=3 {
        rig.reply(xid, 1, 0);
    }
    rig.sent();
    rig.unwatch('p');
    assert_eq!(rig.sent(), []);
    rig.unwatch('q');
    assert_eq!(rig.sent(), [(4, OpCode::RemoveWatches, "/a 4".to_owned())]);
    rig.unwatch('d');
    assert_eq!(rig.sent(), [(5, OpCode::RemoveWatches, "/a 3".to_owned())]);
    rig.reply(4, 1, 0);
    rig.reply(5, 1, i32::from(ErrorCode::NoWatcher));
    assert_eq!(rig.state(), SessionState::Connected);
}

#[test]
fn limits_refuse_what_is_too_much() {
    // Requests beyond the limits are refused and not sent; answers make room again.
    let mut rig = Rig::opened(|settings| {
        settings.outstanding_max = 2;
        settings.request_max = 100;
    });
    rig.submit(OpCode::Exists, 1).expect("accepted");
    rig.submit(OpCode::Exists, 2).expect("accepted");
    assert_eq!(rig.submit(OpCode::Exists, 3), Err(Error::Busy));
    rig.reply(1, 1, 0);
    rig.submit(OpCode::Exists, 4).expect("accepted");
    rig.reply(2, 1, 0);
    let body = Bytes::from(vec![0; 93]);
    let request = Request { op: OpCode::SetData, body, token: Some(5), arm: None };
    assert_eq!(rig.session.submit(request), Err(Error::TooLarge { len: 101, max: 100 }));
    let mut rig = Rig::opened(|settings| settings.outstanding_bytes_max = 50);
    rig.submit(OpCode::Exists, 1).expect("accepted");
    rig.submit(OpCode::Exists, 2).expect("accepted");
    assert_eq!(rig.submit(OpCode::Exists, 3), Err(Error::Busy));
}

#[test]
fn closing_ends_the_session_after_what_was_called_before() {
    // The last request is closeSession; its answer ends the client.
    let mut rig = Rig::open();
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.session.close(rig.now);
    rig.settle();
    assert_eq!(rig.numbers(), [(1, OpCode::Delete), (2, OpCode::CloseSession)]);
    let refused = rig.submit(OpCode::Exists, 2);
    assert_eq!(refused, Err(Error::Closed { fate: Fate::NotApplied }));
    rig.reply(1, 1, 0);
    rig.reply(2, 2, 0);
    assert_eq!(rig.outcomes(), [(1, None)]);
    assert_eq!(rig.state(), SessionState::Closed);
    assert!(rig.session.has_ended());
}

#[test]
fn closing_does_not_wait_for_a_server_that_is_silent() {
    // After a few seconds the client ends, and says what is not known.
    let mut rig = Rig::open();
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.session.close(rig.now);
    rig.settle();
    rig.pass(secs(5));
    assert!(rig.session.has_ended());
    assert_eq!(rig.outcomes(), [(1, Some(Error::Closed { fate: Fate::Unknown }))]);
}

#[test]
fn a_detached_session_is_left_alone() {
    // Closing says nothing to the server.
    let mut rig = Rig::opened(|settings| settings.detached = true);
    rig.session.close(rig.now);
    rig.settle();
    assert_eq!(rig.sent(), []);
    assert!(rig.session.has_ended());
}

#[test]
fn refused_credentials_end_the_client() {
    // There is no use in showing them again.
    let mut rig = Rig::open();
    let credential = Credential { scheme: "digest".to_owned(), auth: Bytes::from_static(b"x") };
    rig.session.add_credential(credential, 1).map(drop).expect("accepted");
    rig.settle();
    assert_eq!(rig.numbers(), [(-4, OpCode::Auth)]);
    rig.reply(-4, 0, i32::from(ErrorCode::AuthFailed));
    assert_eq!(rig.outcomes(), [(1, Some(Error::AuthFailed))]);
    assert_eq!(rig.state(), SessionState::AuthFailed);
    assert_eq!(rig.submit(OpCode::Exists, 2), Err(Error::AuthFailed));
}

#[test]
fn an_answer_out_of_order_ends_the_connection() {
    // Which answer belongs to which request is not guessed.
    let mut rig = Rig::open();
    rig.submit(OpCode::Delete, 1).expect("accepted");
    rig.reply(2, 1, 0);
    assert_eq!(rig.state(), SessionState::Suspended);
    assert_eq!(rig.outcomes(), [(1, Some(Error::ConnectionLost { fate: Fate::Unknown }))]);
}

#[test]
fn noise_from_the_server_is_survived() {
    // Whatever bytes come, in whatever phase, the session goes on with another connection.
    let mut noise: u64 = 0x5eed;
    for round in 0..2000_usize {
        let mut rig = if round % 2 == 0 { Rig::open() } else { Rig::new(|_| {}) };
        if round % 2 == 1 {
            rig.connect(Zxid(0), SessionId(0));
        }
        rig.submit(OpCode::Exists, 1).expect("accepted");
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        for _ in 0..round % 60 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = u8::try_from(noise >> 56).expect("eight bits");
            input.extend_from_slice(&[if byte > 128 { byte } else { byte % 2 }]);
        }
        end_frame(&mut input, frame);
        rig.session.receive(rig.now, &mut input);
        rig.settle();
        assert!(!rig.session.has_ended());
    }
}
