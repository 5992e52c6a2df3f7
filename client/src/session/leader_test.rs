//! The search for the leader in virtual time.

use bytes::BytesMut;
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, ErrorCode, Extensions, LeaderHint, OpCode, Reader,
    SessionId, Zxid, next_frame,
};

use crate::error::Error;

use super::machine::Effect;
use super::rig_test::{Rig, TIMEOUT};
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
fn version(rig: &mut Rig) -> i32 {
    rig.output.clear();
    rig.session.connected(rig.now);
    rig.settle();
    let frame = next_frame(&mut rig.output, 1000).expect("a frame").expect("whole");
    let request: ConnectRequest<'_> = Reader::new(&frame).record().expect("a handshake");
    assert_eq!(request.last_zxid_seen, Zxid(0));
    request.protocol_version
}

/// As [`version`]: what that stands for.
fn wanted(rig: &mut Rig) -> Option<Extensions> {
    Extensions::of_protocol_version(version(rig))
}

#[test]
fn a_client_may_ask_for_nothing_beyond_zookeeper() {
    // For servers that refuse clients with extensions, whatever else is set.
    let mut rig = Rig::new(|settings| {
        settings.prefer_leader = true;
        settings.linearizable_reads = true;
        settings.exactly_once = true;
        settings.extensions = false;
    });
    assert_eq!(version(&mut rig), 0);
}

#[test]
fn a_server_that_does_not_lead_sends_on_to_the_one_that_does() {
    // The session is opened where the hint says, and no session is taken for lost meanwhile.
    let mut rig = Rig::new(|settings| settings.prefer_leader = true);
    let only = Extensions::PAGES.with(Extensions::TELL_LEADER).with(Extensions::LEADER_ONLY);
    assert_eq!(wanted(&mut rig), Some(only));
    rig.effects.clear();
    rig.packet(&Answer(0, 0, only, LeaderHint::At("there:7".into())));
    rig.pass(TIMEOUT / 30);
    assert!(rig.effects.contains(&Effect::DialAt("there:7".to_owned())), "{:?}", rig.effects);
    assert_eq!(wanted(&mut rig), Some(only));
    rig.packet(&Answer(9000, 5, only, LeaderHint::Here));
    let status = rig.session.status();
    assert_eq!((status.state, status.at_leader), (SessionState::Connected, true));
    assert_eq!((status.generation, status.linearizable), (0, false));
    // On the way back after a lost connection the session is kept, too.
    rig.lose_connection();
    rig.pass(TIMEOUT / 30);
    assert_eq!(wanted(&mut rig), Some(only));
    rig.packet(&Answer(0, 0, only, LeaderHint::Election));
    assert_eq!(rig.session.status().generation, 0);
    rig.pass(TIMEOUT / 30);
    assert_eq!(wanted(&mut rig), Some(only));
    rig.packet(&Answer(9000, 5, only, LeaderHint::Here));
    assert_eq!(rig.state(), SessionState::Connected);
}

#[test]
fn without_a_leader_any_server_will_do_after_a_while() {
    // A third of the session's time is given to the search. An attempt ends with it; this is the next.
    let mut rig = Rig::new(|settings| settings.prefer_leader = true);
    rig.pass(TIMEOUT / 3);
    rig.pass(TIMEOUT / 9);
    let told = Extensions::PAGES.with(Extensions::TELL_LEADER);
    assert_eq!(wanted(&mut rig), Some(told));
    rig.packet(&Answer(9000, 5, Extensions::TELL_LEADER, LeaderHint::Election));
    let status = rig.session.status();
    assert_eq!((status.state, status.at_leader), (SessionState::Connected, false));
}

#[test]
fn plain_servers_give_plain_sessions() {
    // Apache ZooKeeper answers what it always answers; nothing was granted.
    let mut rig = Rig::new(|settings| {
        settings.prefer_leader = true;
        settings.linearizable_reads = true;
    });
    let asked = wanted(&mut rig).expect("extensions are asked for");
    assert!(asked.contains(Extensions::LINEARIZABLE_READS));
    rig.welcome();
    let status = rig.session.status();
    assert_eq!((status.linearizable, status.at_leader), (false, false));
    assert_eq!(status.state, SessionState::Connected);
    // What needs no wish of the caller is asked for anyway.
    assert_eq!(wanted(&mut Rig::new(|_| {})), Some(Extensions::PAGES));
}

#[test]
fn a_read_only_server_is_left_for_one_that_takes_writes() {
    // The others are asked ever more rarely; the session of the read-only server is not kept, and it
    // is not a session lost.
    let mut rig = Rig::new(|settings| settings.read_only = true);
    rig.session.connected(rig.now);
    rig.settle();
    let response = |read_only, session| ConnectResponse {
        protocol_version: 0,
        timeout_ms: 9000,
        session_id: SessionId(session),
        password: &[7; 16],
        read_only: Some(read_only),
    };
    rig.packet(&response(true, 1));
    assert_eq!(rig.state(), SessionState::ReadOnly);
    let probes = |rig: &mut Rig| {
        let before = rig.effects.len();
        rig.effects.retain(|effect| *effect != Effect::Probe(0));
        before - rig.effects.len()
    };
    for expected in [2, 1, 0, 1] {
        for _ in 0..4 {
            rig.pass(TIMEOUT / 9);
            rig.reply(-2, 0, 0);
        }
        assert_eq!(probes(&mut rig), expected, "at {:?}", rig.now);
    }
    rig.session.found_writable(rig.now, 0);
    rig.settle();
    rig.pass(TIMEOUT / 9);
    rig.connect(Zxid(0), SessionId(0));
    rig.packet(&response(false, 2));
    let status = rig.session.status();
    assert_eq!((status.state, status.session), (SessionState::Connected, SessionId(2)));
    assert_eq!(status.generation, 0);
    rig.pass(TIMEOUT / 3);
    assert_eq!(probes(&mut rig), 0);
}

#[test]
fn what_a_server_does_not_have_is_not_sent_to_it() {
    // An operation of an extension fails as the server would fail it, at once or when the connection
    // that it waited for turns out to be one without; what is under way beside it goes on.
    let mut rig = Rig::new(|_| {});
    assert_eq!(rig.submit(OpCode::ListPage, 1), Ok(()));
    assert_eq!(rig.submit(OpCode::Exists, 2), Ok(()));
    rig.connect(Zxid(0), SessionId(0));
    rig.welcome();
    let unknown = Error::Server(ErrorCode::Unimplemented);
    assert_eq!(rig.outcomes(), [(1, Some(unknown.clone()))]);
    assert_eq!(rig.submit(OpCode::GetSubtree, 3), Err(unknown));
    assert_eq!(rig.numbers(), [(1, OpCode::Exists)]);
    // A server that has it is asked, and asked again after a lost connection.
    rig.lose_connection();
    rig.pass(TIMEOUT / 3);
    rig.session.connected(rig.now);
    rig.settle();
    rig.output.clear();
    rig.packet(&Answer(9000, 77, Extensions::PAGES, LeaderHint::Here));
    assert_eq!(rig.numbers(), [(2, OpCode::Exists)]);
    assert_eq!(rig.submit(OpCode::ListPage, 4), Ok(()));
    rig.output.clear();
    rig.lose_connection();
    rig.pass(TIMEOUT / 3);
    rig.session.connected(rig.now);
    rig.settle();
    rig.output.clear();
    rig.packet(&Answer(9000, 77, Extensions::PAGES, LeaderHint::Here));
    assert_eq!(rig.numbers(), [(4, OpCode::Exists), (5, OpCode::ListPage)]);
}
