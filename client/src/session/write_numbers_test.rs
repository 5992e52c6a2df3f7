//! Writes that are sent again, in virtual time, with a server made by hand.

use bytes::BytesMut;
use jute_proto::{
    ConnectResponse, Encode, Extensions, OpCode, Reader, ReplyHeader, RequestHeader, SessionId,
    WriteNumber, Xid, Zxid, next_frame, once,
};

use crate::error::{Error, Fate};

use super::harness_test::{Harness, TIMEOUT, secs};
use super::settings::Settings;
use super::status::SessionState;

/// The answer of a server that keeps replies: the highest number that was applied.
struct Granted(u64);

impl Encode for Granted {
    fn encode(&self, out: &mut BytesMut) {
        ConnectResponse {
            protocol_version: Extensions::EXACTLY_ONCE.protocol_version(),
            timeout_ms: 9000,
            session_id: SessionId(77),
            password: &[7; 16],
            read_only: Some(false),
        }
        .encode(out);
        (self.0 as i64).encode(out);
    }
}

/// Opens the connection that the session wants, to a server that keeps replies.
fn welcome(harness: &mut Harness, applied: u64) {
    harness.output.clear();
    harness.session.socket_opened(harness.now);
    harness.settle();
    harness.output.clear();
    harness.packet(&Granted(applied));
}

fn open_with(change: impl FnOnce(&mut Settings)) -> Harness {
    let mut harness = Harness::new(|settings| {
        settings.exactly_once = true;
        change(settings);
    });
    welcome(&mut harness, 0);
    harness.effects.clear();
    harness
}

fn open() -> Harness {
    open_with(|_| {})
}

/// Loses the connection and opens the next.
fn reconnect(harness: &mut Harness, applied: u64) {
    harness.lose_connection();
    harness.pass(secs(3));
    welcome(harness, applied);
}

/// A request: xid, operation, and the number with what is acknowledged.
type Sent = (i32, OpCode, Option<(u64, u64)>);

/// The requests sent since the last look.
fn sent(harness: &mut Harness) -> Vec<Sent> {
    let mut sent = Vec::new();
    while let Some(frame) = next_frame(&mut harness.output, 1 << 20).expect("a frame") {
        let mut reader = Reader::new(&frame);
        let header: RequestHeader = reader.record().expect("a header");
        let op = OpCode::try_from(header.op).expect("an operation");
        let number = op.facts().exactly_once.then(|| {
            let WriteNumber { number, answered } = reader.record().expect("a number");
            (number, answered)
        });
        sent.push((header.xid.0, op, number));
    }
    sent
}

/// The numbers of the writes sent since the last look, and what the first acknowledges.
fn numbers(harness: &mut Harness) -> (Vec<u64>, u64) {
    let numbers: Vec<_> = sent(harness).into_iter().filter_map(|(_, _, number)| number).collect();
    let answered = numbers.first().map_or(0, |(_, answered)| *answered);
    (numbers.into_iter().map(|(number, _)| number).collect(), answered)
}

const WRITE: OpCode = OpCode::Delete;
const READ: OpCode = OpCode::Exists;

fn lost(fate: Fate) -> Option<Error> {
    Some(Error::ConnectionLost { fate })
}

#[test]
fn a_write_is_sent_again_with_its_number() {
    // Whatever was sent and not answered goes again first, in order, with the same numbers; nobody
    // is told of the interruption, and what was answered is acknowledged.
    let mut harness = open();
    assert!(harness.session.status().exactly_once);
    for token in 1..=3 {
        harness.submit(WRITE, token).expect("accepted");
    }
    let (first, base) = numbers(&mut harness);
    assert_eq!(first, [base + 1, base + 2, base + 3]);
    harness.reply(1, 5, 0);
    assert_eq!(harness.outcomes(), [(1, None)]);
    harness.submit_unsent(WRITE, 4);
    harness.lose_connection();
    harness.submit(WRITE, 5).expect("accepted");
    assert_eq!(harness.outcomes(), []);
    harness.pass(secs(3));
    welcome(&mut harness, base + 2);
    assert_eq!(numbers(&mut harness), ((base + 2..=base + 5).collect(), base + 1));
    for (xid, token) in (5..=8).zip(2..) {
        harness.reply(xid, 6, 0);
        assert_eq!(harness.outcomes(), [(token, None)]);
    }
    harness.submit(WRITE, 6).expect("accepted");
    assert_eq!(numbers(&mut harness), (vec![base + 6], base + 5));
}

#[test]
fn a_read_that_could_show_a_later_change_is_not_repeated() {
    // A read in front of a write that was applied ends with an error; in front of one that was not,
    // and behind, it is asked again.
    let mut harness = open();
    for (op, token) in [(READ, 1), (WRITE, 2), (READ, 3), (WRITE, 4)] {
        harness.submit(op, token).expect("accepted");
    }
    let (of_writes, _) = numbers(&mut harness);
    reconnect(&mut harness, of_writes[0]);
    assert_eq!(harness.outcomes(), [(1, lost(Fate::NotApplied))]);
    let ops: Vec<OpCode> = sent(&mut harness).into_iter().map(|(_, op, _)| op).collect();
    assert_eq!(ops, [WRITE, READ, WRITE]);
}

#[test]
fn a_server_without_replies_leaves_the_fate_unknown() {
    // What was sent with a number fails as with plain ZooKeeper; what was not sent goes out
    // without. Numbers of before are acknowledged to the next server that keeps replies.
    let mut harness = open();
    for (op, token) in [(READ, 1), (WRITE, 2), (READ, 3)] {
        harness.submit(op, token).expect("accepted");
    }
    let (_, base) = numbers(&mut harness);
    harness.submit_unsent(WRITE, 4);
    harness.lose_connection();
    assert_eq!(harness.outcomes(), []);
    harness.reconnect(0);
    assert!(!harness.session.status().exactly_once);
    assert_eq!(harness.outcomes(), [(1, lost(Fate::NotApplied)), (2, lost(Fate::Unknown))]);
    let ops: Vec<OpCode> = harness.numbers().into_iter().map(|(_, op)| op).collect();
    assert_eq!(ops, [READ, WRITE]);
    reconnect(&mut harness, base + 1);
    assert_eq!(harness.outcomes(), [(3, lost(Fate::NotApplied)), (4, lost(Fate::Unknown))]);
    harness.submit(WRITE, 5).expect("accepted");
    assert_eq!(numbers(&mut harness), (vec![base + 3], base + 2));
}

#[test]
fn a_session_that_others_wrote_in_leaves_the_fate_unknown() {
    // A number that this client never gave was given by another that had the session, whose replies
    // are not to be taken for this one's. Later numbers are beyond all of those.
    let mut harness = open();
    harness.submit(WRITE, 1).expect("accepted");
    let (_, base) = numbers(&mut harness);
    let of_others = base + 1000;
    reconnect(&mut harness, of_others);
    assert_eq!(harness.outcomes(), [(1, lost(Fate::Unknown))]);
    harness.submit(WRITE, 2).expect("accepted");
    let (next, answered) = numbers(&mut harness);
    assert_eq!(next, [answered + 1]);
    assert!(answered > of_others);
}

#[test]
fn clients_begin_at_numbers_of_their_own() {
    // Two clients that have a session by turns do not give the same numbers.
    let base = |seed| {
        let mut harness = open_with(|settings| settings.seed = seed);
        harness.submit(WRITE, 1).expect("accepted");
        numbers(&mut harness).1
    };
    let bases: std::collections::BTreeSet<u64> = (0..1000).map(base).collect();
    assert_eq!(bases.len(), 1000);
    assert!(bases.iter().all(|base| *base <= 1 << 33));
}

#[test]
fn no_more_writes_are_under_way_than_replies_are_kept() {
    // What is more waits, and so does what was called behind it; each answer makes room.
    let mut harness = open();
    let count = once::WRITES_MAX as u32;
    for token in 1..=count + 2 {
        harness.submit(WRITE, token).expect("accepted");
    }
    harness.submit(READ, 0).expect("accepted");
    assert_eq!(sent(&mut harness).len(), once::WRITES_MAX);
    harness.reply(1, 1, 0);
    assert_eq!(sent(&mut harness).len(), 1);
    harness.reply(2, 2, 0);
    let last: Vec<OpCode> = sent(&mut harness).into_iter().map(|(_, op, _)| op).collect();
    assert_eq!(last, [WRITE, READ]);
}

#[test]
fn closing_waits_for_what_waits_for_room() {
    // The session is closed behind all that was called before.
    let mut harness = open();
    for token in 0..=once::WRITES_MAX as u32 {
        harness.submit(WRITE, token).expect("accepted");
    }
    harness.session.close(harness.now);
    harness.settle();
    assert_eq!(sent(&mut harness).len(), once::WRITES_MAX);
    harness.reply(1, 1, 0);
    let last: Vec<OpCode> = sent(&mut harness).into_iter().map(|(_, op, _)| op).collect();
    assert_eq!(last, [WRITE, OpCode::CloseSession]);
}

#[test]
fn what_waits_to_be_sent_again_ends_with_the_session() {
    // When the session is probably over, and when it is known to be, the fate of what was sent is
    // unknown; what was not sent was not applied.
    let both = |harness: &mut Harness| {
        harness.submit(WRITE, 1).expect("accepted");
        harness.lose_connection();
        harness.submit(WRITE, 2).expect("accepted");
    };
    let mut harness = open();
    both(&mut harness);
    harness.pass(TIMEOUT);
    assert_eq!(harness.state(), SessionState::Overdue);
    assert_eq!(harness.outcomes(), [(1, lost(Fate::Unknown)), (2, Some(Error::Unreachable))]);

    let mut harness = open();
    both(&mut harness);
    harness.pass(secs(1));
    harness.session.socket_opened(harness.now);
    harness.greet(0, SessionId(0));
    let over = |fate| Some(Error::SessionLost { fate });
    assert_eq!(harness.outcomes(), [(1, over(Fate::Unknown)), (2, over(Fate::NotApplied))]);
}

#[test]
fn what_cannot_be_numbered_is_not_repeated() {
    // A reconfig fails as ever, with the reads in front of it; numbered writes around it go on.
    let mut harness = open();
    for (op, token) in [(WRITE, 1), (READ, 2), (OpCode::Reconfig, 3), (READ, 4), (WRITE, 5)] {
        harness.submit(op, token).expect("accepted");
    }
    harness.lose_connection();
    assert_eq!(harness.outcomes(), [(2, lost(Fate::NotApplied)), (3, lost(Fate::Unknown))]);
    harness.pass(secs(3));
    welcome(&mut harness, 0);
    harness.output.clear();
    let xid = |xid| ReplyHeader { xid: Xid(xid), zxid: Zxid(1), err: 0 };
    for again in 6..=8 {
        harness.packet(&xid(again));
    }
    assert_eq!(harness.outcomes(), [(1, None), (4, None), (5, None)]);
}
