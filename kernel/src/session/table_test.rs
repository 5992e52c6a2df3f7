use alloc::vec;

use jute_proto::{ErrorCode, Zxid};

use super::*;
use crate::ensemble::ServerId;

const SESSION: SessionId = SessionId(7);

fn conn(number: u64) -> ConnId {
    ConnId { server: ServerId(1), boot: 2, number }
}

fn table() -> SessionTable {
    let mut table = SessionTable::default();
    assert!(table.create(SESSION, 6000, conn(1)));
    table
}

#[test]
fn commands_are_granted_once_and_in_order() {
    // A command is granted once, its repetition is recognised, a later one does not overtake.
    let mut table = table();
    assert_eq!(table.claim(SESSION, conn(1), 2), Claim::Gap);
    assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Granted);
    assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Repeated);
    assert_eq!(table.claim(SESSION, conn(1), 2), Claim::Granted);
}

#[test]
fn a_replaced_connection_is_refused() {
    // After a session moved, late commands of the old connection are refused as moved.
    let mut table = table();
    assert_eq!(table.attach(SESSION, 4000, conn(2)), Attach::Given(conn(1)));
    assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Moved);
    assert_eq!(table.claim(SESSION, conn(2), 1), Claim::Granted);
}

#[test]
fn a_session_that_moved_on_does_not_come_back() {
    // A connection that asks for the session a second time, after others had it, is late; a new
    // connection of the same server, and one of the server's next process, are not.
    let mut table = table();
    let (here, there) = (conn(2), ConnId { server: ServerId(2), boot: 8, number: 1 });
    assert_eq!(table.attach(SESSION, 4000, here), Attach::Given(conn(1)));
    assert_eq!(table.attach(SESSION, 4000, there), Attach::Given(here));
    assert_eq!(table.attach(SESSION, 4000, here), Attach::Late);
    assert_eq!(table.attach(SESSION, 4000, conn(1)), Attach::Late);
    assert_eq!(table.get(SESSION).map(|record| record.owner), Some(there));
    assert_eq!(table.attach(SESSION, 4000, conn(3)), Attach::Given(there));
    let restarted = ConnId { server: ServerId(1), boot: 3, number: 1 };
    assert_eq!(table.attach(SESSION, 4000, restarted), Attach::Given(conn(3)));
    assert_eq!(table.attach(SessionId(8), 4000, conn(9)), Attach::Unknown);
}

#[test]
fn an_ended_session_is_unknown_and_reported_as_removed() {
    // A checkpoint after the end of a session removes its row.
    let mut table = table();
    assert_eq!(table.take_dirty().len(), 1);
    table.remove(SESSION);
    assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Unknown);
    assert_eq!(table.take_dirty(), vec![(SESSION, None)]);
    assert!(table.take_dirty().is_empty());
}

#[test]
fn the_digest_follows_from_the_records() {
    // Whatever came before: equal tables have equal digests, and each field of a record counts.
    let mut one = table();
    one.claim(SESSION, conn(1), 1);
    one.attach(SESSION, 4000, conn(2));
    one.claim(SESSION, conn(2), 1);
    one.create(SessionId(8), 1, conn(3));
    let mut digests = vec![one.digest()];
    one.remove(SessionId(8));
    let mut other = SessionTable::default();
    other.load(SESSION, one.get(SESSION).unwrap().clone());
    assert_eq!(one.digest(), other.digest());
    let changes: [fn(&mut SessionRecord); 4] = [
        |record| record.timeout_ms += 1,
        |record| record.owner.number += 1,
        |record| record.next_seq += 1,
        |record| record.newest.clear(),
    ];
    for change in changes {
        let mut record = one.get(SESSION).unwrap().clone();
        change(&mut record);
        other.load(SESSION, record);
        assert!(!digests.contains(&other.digest()));
        digests.push(other.digest());
    }
}

#[test]
fn kept_replies_are_bounded_over_all_sessions() {
    // When all sessions together keep as much as may be kept, none gets more; room that an answered or
    // ended session frees can be used.
    let mut table = SessionTable::default();
    let weight = CACHED_WEIGHT_MAX / 4;
    let write = |number, answered| WriteNumber { number, answered };
    let reply = CachedReply { zxid: Zxid(1), code: ErrorCode::Ok, body: [].into() };
    let keep = |table: &mut SessionTable, id, write: WriteNumber| {
        let may = table.has_room_for_reply(id, write, weight);
        if may {
            assert_eq!(table.check_duplicate(id, write, weight), Dedup::New);
            table.keep_reply(id, write.number, weight, reply.clone());
        }
        may
    };
    for id in 1..=5 {
        assert!(table.create(SessionId(id), 6000, conn(1)));
        assert_eq!(keep(&mut table, SessionId(id), write(1, 0)), id < 5);
    }
    assert!(table.has_room_for_reply(SessionId(1), write(1, 0), weight), "it was applied before");
    assert!(keep(&mut table, SessionId(1), write(2, 1)), "it takes its own place");
    table.remove(SessionId(2));
    assert!(keep(&mut table, SessionId(5), write(1, 0)));
    (1..=5).for_each(|id| drop(table.remove(SessionId(id))));
    assert_eq!((table.digest(), table.cached_weight), (0, 0));
}

#[test]
fn an_id_is_given_once() {
    // Creating a session under a live id changes nothing.
    let mut table = table();
    assert!(!table.create(SESSION, 1, conn(9)));
    assert_eq!(table.get(SESSION).map(|record| record.owner), Some(conn(1)));
}
