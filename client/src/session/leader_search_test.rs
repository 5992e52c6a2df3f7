//! The search for the leader in virtual time.

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, ErrorCode, Extensions, LeaderHint, OpCode, Reader,
    SessionId, Zxid, next_frame,
};

use crate::error::Error;

use super::harness_test::{Harness, TIMEOUT};
use super::state_machine::Effect;
use super::status::SessionState;

/// The answer of a server that knows extensions.
struct Answer<'a>(i32, i64, Extensions, LeaderHint<'a>);

impl Encode for Answer<'_> {
    fn encode(&self, out: &mut BytesMut) {
        let Self(timeout_ms, session, granted, hint) = self;
        ConnectResponse {
            protocol_version: granted.protocol_version(),
            timeout_ms: *timeout_ms,
            session_id: SessionId(*session),
            password: &[7; 16],
            read_only: Some(false),
        }
        .encode(out);
        hint.encode(out);
    }
}

/// Opens the connection that the session wants, and returns the version that it asks for.
fn version(harness: &mut Harness) -> i32 {
    harness.output.clear();
    harness.session.socket_opened(harness.now);
    harness.settle();
    let frame = next_frame(&mut harness.output, 1000).expect("a frame").expect("whole");
    let request: ConnectRequest<'_> = Reader::new(&frame).record().expect("a handshake");
    assert_eq!(request.last_zxid_seen, Zxid(0));
    request.protocol_version
}

/// As [`version`]: what that stands for.
fn wanted(harness: &mut Harness) -> Option<Extensions> {
    Extensions::of_protocol_version(version(harness))
}

#[test]
fn a_client_may_ask_for_nothing_beyond_zookeeper() {
    // For servers that refuse clients with extensions, whatever else is set.
    let mut harness = Harness::new(|settings| {
        settings.prefer_leader = true;
        settings.linearizable_reads = true;
        settings.exactly_once = true;
        settings.extensions = false;
    });
    assert_eq!(version(&mut harness), 0);
}

#[test]
fn a_server_that_does_not_lead_sends_on_to_the_one_that_does() {
    // The session is opened where the hint says, and no session is taken for lost meanwhile.
    let mut harness = Harness::new(|settings| settings.prefer_leader = true);
    let only = Extensions::PAGES.with(Extensions::TELL_LEADER).with(Extensions::LEADER_ONLY);
    assert_eq!(wanted(&mut harness), Some(only));
    harness.effects.clear();
    harness.packet(&Answer(0, 0, only, LeaderHint::At("there:7".into())));
    harness.pass(TIMEOUT / 30);
    assert!(
        harness.effects.contains(&Effect::DialAt("there:7".to_owned())),
        "{:?}",
        harness.effects
    );
    assert_eq!(wanted(&mut harness), Some(only));
    harness.packet(&Answer(9000, 5, only, LeaderHint::Here));
    let status = harness.session.status();
    assert_eq!((status.state, status.at_leader), (SessionState::Connected, true));
    assert_eq!((status.generation, status.linearizable), (0, false));
    // On the way back after a lost connection the session is kept, too.
    harness.lose_connection();
    harness.pass(TIMEOUT / 30);
    assert_eq!(wanted(&mut harness), Some(only));
    harness.packet(&Answer(0, 0, only, LeaderHint::Election));
    assert_eq!(harness.session.status().generation, 0);
    harness.pass(TIMEOUT / 30);
    assert_eq!(wanted(&mut harness), Some(only));
    harness.packet(&Answer(9000, 5, only, LeaderHint::Here));
    assert_eq!(harness.state(), SessionState::Connected);
}

#[test]
fn without_a_leader_any_server_will_do_after_a_while() {
    // A third of the session's time is given to the search. An attempt ends with it; this is the
    // next.
    let mut harness = Harness::new(|settings| settings.prefer_leader = true);
    harness.pass(TIMEOUT / 3);
    harness.pass(TIMEOUT / 9);
    let told = Extensions::PAGES.with(Extensions::TELL_LEADER);
    assert_eq!(wanted(&mut harness), Some(told));
    harness.packet(&Answer(9000, 5, Extensions::TELL_LEADER, LeaderHint::Election));
    let status = harness.session.status();
    assert_eq!((status.state, status.at_leader), (SessionState::Connected, false));
}

#[test]
fn plain_servers_give_plain_sessions() {
    // Apache ZooKeeper answers what it always answers; nothing was granted.
    let mut harness = Harness::new(|settings| {
        settings.prefer_leader = true;
        settings.linearizable_reads = true;
    });
    let asked = wanted(&mut harness).expect("extensions are asked for");
    assert!(asked.contains(Extensions::LINEARIZABLE_READS));
    harness.welcome();
    let status = harness.session.status();
    assert_eq!((status.linearizable, status.at_leader), (false, false));
    assert_eq!(status.state, SessionState::Connected);
    // What needs no wish of the caller is asked for anyway.
    assert_eq!(wanted(&mut Harness::new(|_| {})), Some(Extensions::PAGES));
}

#[test]
fn a_read_only_server_is_left_for_one_that_takes_writes() {
    // The others are asked ever more rarely; the session of the read-only server is not kept, and
    // it is not a session lost.
    let mut harness = Harness::new(|settings| settings.read_only = true);
    harness.session.socket_opened(harness.now);
    harness.settle();
    let response = |read_only, session| ConnectResponse {
        protocol_version: 0,
        timeout_ms: 9000,
        session_id: SessionId(session),
        password: &[7; 16],
        read_only: Some(read_only),
    };
    harness.packet(&response(true, 1));
    assert_eq!(harness.state(), SessionState::ReadOnly);
    let probes = |harness: &mut Harness| {
        let before = harness.effects.len();
        harness.effects.retain(|effect| *effect != Effect::Probe(0));
        before - harness.effects.len()
    };
    for expected in [2, 1, 0, 1] {
        for _ in 0..4 {
            harness.pass(TIMEOUT / 9);
            harness.reply(-2, 0, 0);
        }
        assert_eq!(probes(&mut harness), expected, "at {:?}", harness.now);
    }
    harness.session.found_writable(harness.now, 0);
    harness.settle();
    harness.pass(TIMEOUT / 9);
    harness.connect(Zxid(0), SessionId(0));
    harness.packet(&response(false, 2));
    let status = harness.session.status();
    assert_eq!((status.state, status.session), (SessionState::Connected, SessionId(2)));
    assert_eq!(status.generation, 0);
    harness.pass(TIMEOUT / 3);
    assert_eq!(probes(&mut harness), 0);
}

#[test]
fn what_a_server_does_not_have_is_not_sent_to_it() {
    // An operation of an extension fails as the server would fail it, at once or when the
    // connection that it waited for turns out to be one without; what is under way beside it goes
    // on.
    let mut harness = Harness::new(|_| {});
    assert_eq!(harness.submit(OpCode::ListPage, 1), Ok(()));
    assert_eq!(harness.submit(OpCode::Exists, 2), Ok(()));
    harness.connect(Zxid(0), SessionId(0));
    harness.welcome();
    let unknown = Error::Server(ErrorCode::Unimplemented);
    assert_eq!(harness.outcomes(), [(1, Some(unknown.clone()))]);
    assert_eq!(harness.submit(OpCode::GetSubtree, 3), Err(unknown));
    assert_eq!(harness.numbers(), [(1, OpCode::Exists)]);
    // A server that has it is asked, and asked again after a lost connection.
    harness.lose_connection();
    harness.pass(TIMEOUT / 3);
    harness.session.socket_opened(harness.now);
    harness.settle();
    harness.output.clear();
    harness.packet(&Answer(9000, 77, Extensions::PAGES, LeaderHint::Here));
    assert_eq!(harness.numbers(), [(2, OpCode::Exists)]);
    assert_eq!(harness.submit(OpCode::ListPage, 4), Ok(()));
    harness.output.clear();
    harness.lose_connection();
    harness.pass(TIMEOUT / 3);
    harness.session.socket_opened(harness.now);
    harness.settle();
    harness.output.clear();
    harness.packet(&Answer(9000, 77, Extensions::PAGES, LeaderHint::Here));
    assert_eq!(harness.numbers(), [(4, OpCode::Exists), (5, OpCode::ListPage)]);
}
