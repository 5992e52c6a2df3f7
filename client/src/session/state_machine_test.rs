//! The session in virtual time: calls, connections, and the end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Encode, ErrorCode, OpCode, ReplyHeader, SessionId, Xid, Zxid, begin_frame, end_frame,
};

use crate::error::{Error, Fate};
use crate::random::SplitMix64;

use super::harness_test::{Harness, TIMEOUT, secs};
use super::request::Request;
use super::settings::Credential;
use super::state_machine::Effect;
use super::status::SessionState;
use super::watches::WatchKind;

#[test]
fn requests_go_out_in_the_order_of_the_calls_and_are_answered_in_it() {
    // What was called before there was a connection goes first, with ascending numbers.
    let mut harness = Harness::new(|_| {});
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.submit(OpCode::Exists, 2).expect("accepted");
    harness.connect(Zxid(0), SessionId(0));
    assert_eq!(harness.sent(), []);
    harness.welcome();
    harness.submit(OpCode::Delete, 3).expect("accepted");
    assert_eq!(harness.numbers(), [(1, OpCode::Delete), (2, OpCode::Exists), (3, OpCode::Delete)]);
    harness.reply(1, 5, 0);
    harness.reply(2, 5, i32::from(ErrorCode::NoNode));
    harness.reply(3, 6, 0);
    let no_node = Some(Error::Server(ErrorCode::NoNode));
    assert_eq!(harness.outcomes(), [(1, None), (2, no_node), (3, None)]);
    assert_eq!(harness.session.save().last_zxid, Zxid(6));
}

#[test]
fn an_interruption_says_what_is_known_and_repeats_what_can_be_repeated() {
    // A change under way has an unknown fate; reads behind all changes are asked again; what was
    // not sent yet goes out on the next connection.
    let mut harness = Harness::open();
    harness.submit(OpCode::Exists, 1).expect("accepted");
    harness.submit(OpCode::Delete, 2).expect("accepted");
    harness.submit(OpCode::Exists, 3).expect("accepted");
    harness.submit_unsent(OpCode::Delete, 4);
    harness.lose_connection();
    assert_eq!(harness.state(), SessionState::Suspended);
    let lost = |fate| Some(Error::ConnectionLost { fate });
    assert_eq!(harness.outcomes(), [(1, lost(Fate::NotApplied)), (2, lost(Fate::Unknown))]);
    harness.submit(OpCode::Delete, 5).expect("accepted");
    harness.reconnect(0);
    assert_eq!(harness.state(), SessionState::Connected);
    let numbers: Vec<OpCode> = harness.numbers().into_iter().map(|(_, op)| op).collect();
    assert_eq!(numbers, [OpCode::Exists, OpCode::Delete, OpCode::Delete]);
}

#[test]
fn a_lost_session_fails_everything_and_is_followed_by_another() {
    // Calls and watches end with a typed error, the generation grows, and the next handshake asks
    // for a new session.
    let mut harness = Harness::open();
    harness.watch(OpCode::Exists, "/w", WatchKind::Exist, 'w');
    harness.reply(1, 9, 0);
    harness.lose_connection();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.outcomes();
    harness.pass(secs(1));
    harness.connect(Zxid(9), SessionId(77));
    harness.effects.clear();
    harness.greet(0, SessionId(0));
    let over = Error::SessionLost { fate: Fate::NotApplied };
    assert_eq!(harness.outcomes(), [(1, Some(over.clone()))]);
    assert_eq!(harness.notices(), [format!("w end: {over}")]);
    assert_eq!(
        (harness.state(), harness.session.status().generation),
        (SessionState::Connecting, 1)
    );
    harness.pass(secs(1));
    harness.connect(Zxid(9), SessionId(0));
    harness.welcome();
    assert_eq!(harness.state(), SessionState::Connected);
    assert_eq!(harness.sent(), [], "watches of the lost session are not set again");
}

#[test]
fn a_single_session_ends_the_client_when_it_is_lost() {
    // Asked for, nothing follows the session: further calls fail.
    let mut harness = Harness::opened(|settings| settings.renew = false);
    harness.lose_connection();
    harness.pass(secs(1));
    harness.connect(Zxid(0), SessionId(77));
    harness.greet(0, SessionId(0));
    assert_eq!(harness.state(), SessionState::Lost);
    assert!(harness.session.has_ended());
    let refused = harness.submit(OpCode::Exists, 1);
    assert_eq!(refused, Err(Error::SessionLost { fate: Fate::NotApplied }));
}

#[test]
fn a_quiet_connection_is_pinged_and_a_silent_one_given_up() {
    // A ping each third of the timeout, and the end after two thirds without a word.
    let mut harness = Harness::open();
    harness.pass(TIMEOUT / 3);
    assert_eq!(harness.numbers(), [(-2, OpCode::Ping)]);
    harness.reply(-2, 1, 0);
    harness.pass(TIMEOUT * 2 / 3 - Duration::from_millis(1));
    assert_eq!(harness.state(), SessionState::Connected);
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.state(), SessionState::Suspended);
    assert!(harness.effects.contains(&Effect::Hangup));
}

#[test]
fn nothing_waits_longer_than_the_session_can_last() {
    // After the timeout without a connection calls fail, until there is a connection again.
    let mut harness = Harness::open();
    harness.lose_connection();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.pass(TIMEOUT);
    assert_eq!(harness.state(), SessionState::Overdue);
    assert_eq!(harness.outcomes(), [(1, Some(Error::Unreachable))]);
    assert_eq!(harness.submit(OpCode::Exists, 2), Err(Error::Unreachable));
    // The attempts go on, each with a limit of its own.
    harness.pass(secs(60));
    harness.session.disconnected(harness.now);
    harness.settle();
    harness.reconnect(0);
    assert_eq!(harness.state(), SessionState::Connected);
    assert_eq!(harness.session.status().generation, 0);
    harness.submit(OpCode::Exists, 3).expect("accepted");
}

#[test]
fn a_server_that_does_not_answer_does_not_cost_the_session() {
    // One that takes the connection and says nothing is given up while there is time for another
    // attempt, even where it is the only one.
    let mut harness = Harness::open();
    harness.lose_connection();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.pass(secs(1));
    harness.connect(Zxid(0), SessionId(77));
    harness.effects.clear();
    harness.pass(TIMEOUT / 2);
    assert_eq!(harness.state(), SessionState::Suspended);
    harness.connect(Zxid(0), SessionId(77));
    harness.welcome();
    assert_eq!(harness.numbers(), [(1, OpCode::Delete)]);
}

#[test]
fn limits_refuse_what_is_too_much() {
    // Requests beyond the limits are refused and not sent; answers make room again.
    let mut harness = Harness::opened(|settings| {
        settings.outstanding_max = 2;
        settings.request_max = 100;
    });
    harness.submit(OpCode::Exists, 1).expect("accepted");
    harness.submit(OpCode::Exists, 2).expect("accepted");
    assert_eq!(harness.submit(OpCode::Exists, 3), Err(Error::Busy));
    harness.reply(1, 1, 0);
    harness.submit(OpCode::Exists, 4).expect("accepted");
    harness.reply(2, 1, 0);
    let body = vec![0; 93];
    let request = Request { op: OpCode::SetData, body, token: Some(5), registration: None };
    assert_eq!(harness.session.submit(request), Err(Error::TooLarge { len: 101, max: 100 }));
    let mut harness = Harness::opened(|settings| settings.outstanding_bytes_max = 50);
    harness.submit(OpCode::Exists, 1).expect("accepted");
    harness.submit(OpCode::Exists, 2).expect("accepted");
    assert_eq!(harness.submit(OpCode::Exists, 3), Err(Error::Busy));
}

#[test]
fn closing_ends_the_session_after_what_was_called_before() {
    // The last request is closeSession; its answer ends the client.
    let mut harness = Harness::open();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.session.close(harness.now);
    harness.settle();
    assert_eq!(harness.numbers(), [(1, OpCode::Delete), (2, OpCode::CloseSession)]);
    let refused = harness.submit(OpCode::Exists, 2);
    assert_eq!(refused, Err(Error::Closed { fate: Fate::NotApplied }));
    harness.reply(1, 1, 0);
    harness.reply(2, 2, 0);
    assert_eq!(harness.outcomes(), [(1, None)]);
    assert_eq!(harness.state(), SessionState::Closed);
    assert!(harness.session.has_ended());
}

#[test]
fn closing_does_not_wait_for_a_server_that_is_silent() {
    // After a few seconds the client ends, and says what is not known.
    let mut harness = Harness::open();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.session.close(harness.now);
    harness.settle();
    harness.pass(secs(5));
    assert!(harness.session.has_ended());
    assert_eq!(harness.outcomes(), [(1, Some(Error::Closed { fate: Fate::Unknown }))]);
}

#[test]
fn a_detached_session_is_left_alone() {
    // Closing says nothing to the server.
    let mut harness = Harness::opened(|settings| settings.detached = true);
    harness.session.close(harness.now);
    harness.settle();
    assert_eq!(harness.sent(), []);
    assert!(harness.session.has_ended());
}

#[test]
fn refused_credentials_end_the_client() {
    // There is no use in showing them again.
    let mut harness = Harness::open();
    let credential = Credential { scheme: "digest".to_owned(), auth: Bytes::from_static(b"x") };
    harness.session.add_credential(credential, 1).map(drop).expect("accepted");
    harness.settle();
    assert_eq!(harness.numbers(), [(-4, OpCode::Auth)]);
    harness.reply(-4, 0, i32::from(ErrorCode::AuthFailed));
    assert_eq!(harness.outcomes(), [(1, Some(Error::AuthFailed))]);
    assert_eq!(harness.state(), SessionState::AuthFailed);
    assert_eq!(harness.submit(OpCode::Exists, 2), Err(Error::AuthFailed));
}

#[test]
fn an_answer_out_of_order_ends_the_connection() {
    // Which answer belongs to which request is not guessed.
    let mut harness = Harness::open();
    harness.submit(OpCode::Delete, 1).expect("accepted");
    harness.reply(2, 1, 0);
    assert_eq!(harness.state(), SessionState::Suspended);
    assert_eq!(harness.outcomes(), [(1, Some(Error::ConnectionLost { fate: Fate::Unknown }))]);
}

#[test]
fn the_first_answers_of_a_long_burst_do_not_wait_for_the_last() {
    // A burst is taken in steps, and callers are answered after each.
    let mut harness = Harness::open();
    let mut burst = BytesMut::new();
    for number in 1..=100 {
        harness.submit(OpCode::Exists, number).expect("accepted");
        let xid = Xid(i32::try_from(number).expect("small"));
        let frame = begin_frame(&mut burst);
        ReplyHeader { xid, zxid: Zxid(1), err: 0 }.encode(&mut burst);
        end_frame(&mut burst, frame);
    }
    let mut steps = 0;
    let mut answered = 0;
    while answered < 100 {
        let more = harness.session.receive(harness.now, &mut burst);
        harness.settle();
        let outcomes = harness.outcomes().len();
        assert!(outcomes > 0 && outcomes < 50, "a step of {outcomes}");
        answered += outcomes;
        steps += 1;
        assert!(more || answered == 100, "the rest of the burst is forgotten");
    }
    assert!(burst.is_empty());
    assert!(steps > 2);
}

#[test]
fn noise_from_the_server_is_survived() {
    // Whatever bytes come, in whatever phase, the session goes on with another connection.
    let mut noise = SplitMix64::new(0x5eed);
    for round in 0..2000_usize {
        let mut harness = if round % 2 == 0 { Harness::open() } else { Harness::new(|_| {}) };
        if round % 2 == 1 {
            harness.connect(Zxid(0), SessionId(0));
        }
        harness.submit(OpCode::Exists, 1).expect("accepted");
        let mut input = BytesMut::new();
        let frame = begin_frame(&mut input);
        for _ in 0..round % 60 {
            let byte = u8::try_from(noise.below(256)).expect("eight bits");
            input.extend_from_slice(&[if byte > 128 { byte } else { byte % 2 }]);
        }
        end_frame(&mut input, frame);
        while harness.session.receive(harness.now, &mut input) {}
        harness.settle();
        assert!(!harness.session.has_ended());
    }
}
