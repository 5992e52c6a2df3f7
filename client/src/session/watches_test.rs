//! Watches of a session in virtual time.

use bytes::Bytes;
use jute_proto::{ErrorCode, EventType, OpCode};

use super::harness_test::Harness;
use super::settings::Credential;
use super::status::SessionState;
use super::watches::WatchKind;

#[test]
fn watches_are_told_what_concerns_them() {
    // One-shot watches once, persistent ones always, recursive ones of everything below.
    let mut harness = Harness::open();
    harness.watch(OpCode::GetData, "/a", WatchKind::Data, 'd');
    harness.watch(OpCode::Exists, "/b", WatchKind::Exist, 'e');
    harness.watch(OpCode::GetChildren2, "/a", WatchKind::Child, 'c');
    harness.watch(OpCode::AddWatch, "/a", WatchKind::Persistent, 'p');
    harness.watch(OpCode::AddWatch, "/", WatchKind::Recursive, 'r');
    harness.reply(1, 1, 0);
    harness.reply(2, 1, i32::from(ErrorCode::NoNode));
    for xid in 3..=5 {
        harness.reply(xid, 1, 0);
    }
    harness.event(EventType::NodeDataChanged, "/a");
    assert_eq!(
        harness.notices(),
        ["d NodeDataChanged /a", "p NodeDataChanged /a", "r NodeDataChanged /a"]
    );
    harness.event(EventType::NodeChildrenChanged, "/a");
    assert_eq!(harness.notices(), ["c NodeChildrenChanged /a", "p NodeChildrenChanged /a"]);
    harness.event(EventType::NodeCreated, "/b");
    assert_eq!(harness.notices(), ["e NodeCreated /b", "r NodeCreated /b"]);
    harness.event(EventType::NodeDeleted, "/a/x");
    assert_eq!(harness.notices(), ["r NodeDeleted /a/x"]);
    harness.event(EventType::NodeDeleted, "/a");
    assert_eq!(harness.notices(), ["p NodeDeleted /a", "r NodeDeleted /a"]);
}

#[test]
fn a_watch_whose_call_failed_is_no_watch() {
    // Reading what is not there sets no data watch.
    let mut harness = Harness::open();
    harness.watch(OpCode::GetData, "/a", WatchKind::Data, 'd');
    harness.reply(1, 1, i32::from(ErrorCode::NoNode));
    harness.event(EventType::NodeCreated, "/a");
    assert_eq!(harness.notices(), Vec::<String>::new());
}

#[test]
fn watches_are_set_again_before_anything_else() {
    // The next connection is told the credentials, then the watches with the newest transaction
    // seen, then what waited.
    let credential = Credential { scheme: "digest".to_owned(), auth: Bytes::from_static(b"a:b") };
    let mut harness = Harness::opened(|settings| settings.credentials.push(credential));
    assert_eq!(harness.numbers(), [(-4, OpCode::Auth)]);
    harness.reply(-4, 0, 0);
    harness.watch(OpCode::GetData, "/d", WatchKind::Data, 'd');
    harness.watch(OpCode::Exists, "/e", WatchKind::Exist, 'e');
    harness.watch(OpCode::GetChildren2, "/c", WatchKind::Child, 'c');
    harness.reply(1, 5, 0);
    harness.reply(2, 5, i32::from(ErrorCode::NoNode));
    harness.reply(3, 6, 0);
    harness.sent();
    harness.lose_connection();
    harness.submit(OpCode::Exists, 9).expect("accepted");
    harness.reconnect(6);
    let sent = harness.sent();
    assert_eq!(sent[0], (-4, OpCode::Auth, "digest".to_owned()));
    let watches = r#"0x6 data["/d"] exist["/e"] child["/c"]"#.to_owned();
    assert_eq!(sent[1], (-8, OpCode::SetWatches, watches));
    assert_eq!((sent[2].1, sent.len()), (OpCode::Exists, 3));
    // What has changed in the meantime comes as an event.
    harness.event(EventType::NodeDeleted, "/d");
    assert_eq!(harness.notices(), ["d NodeDeleted /d"]);
}

#[test]
fn persistent_watches_are_told_of_a_gap_where_there_may_be_one() {
    // No gap where the server has seen nothing since; one gap where it has, before what comes next.
    let mut harness = Harness::open();
    harness.watch(OpCode::AddWatch, "/p", WatchKind::Persistent, 'p');
    harness.watch(OpCode::AddWatch, "/r", WatchKind::Recursive, 'r');
    harness.reply(1, 5, 0);
    harness.reply(2, 5, 0);
    harness.sent();
    harness.lose_connection();
    harness.reconnect(5);
    let watches = r#"0x5 data[] exist[] child[] persistent["/p"] recursive["/r"]"#.to_owned();
    assert_eq!(harness.sent(), [(-8, OpCode::SetWatches2, watches)]);
    harness.reply(-8, 5, 0);
    harness.event(EventType::NodeCreated, "/p");
    assert_eq!(harness.notices(), ["p NodeCreated /p"]);
    harness.lose_connection();
    harness.reconnect(5);
    harness.reply(-8, 6, 0);
    assert_eq!(harness.notices(), ["p gap", "r gap"]);
    harness.lose_connection();
    harness.reconnect(6);
    harness.event(EventType::NodeDeleted, "/p");
    harness.reply(-8, 7, 0);
    assert_eq!(harness.notices(), ["p gap", "r gap", "p NodeDeleted /p"]);
}

#[test]
fn many_watches_are_set_again_in_several_requests() {
    // A request with all of them could be longer than servers accept.
    let mut harness = Harness::open();
    let long = "x".repeat(50_000);
    for (xid, sink) in ('a'..='f').enumerate() {
        harness.watch(OpCode::GetData, &format!("/{sink}{long}"), WatchKind::Data, sink);
        harness.reply(i32::try_from(xid).expect("small") + 1, 5, 0);
    }
    harness.lose_connection();
    harness.reconnect(5);
    let ops: Vec<OpCode> = harness.sent().into_iter().map(|(_, op, _)| op).collect();
    assert_eq!(ops, [OpCode::SetWatches; 3]);
}

#[test]
fn a_watch_that_is_dropped_is_taken_back_when_nobody_else_needs_it() {
    // The server forgets it with the last, and answers that arrive late change nothing.
    let mut harness = Harness::open();
    harness.watch(OpCode::AddWatch, "/a", WatchKind::Persistent, 'p');
    harness.watch(OpCode::AddWatch, "/a", WatchKind::Persistent, 'q');
    harness.watch(OpCode::GetData, "/a", WatchKind::Data, 'd');
    for xid in 1..=3 {
        harness.reply(xid, 1, 0);
    }
    harness.sent();
    harness.unwatch('p');
    assert_eq!(harness.sent(), []);
    harness.unwatch('q');
    assert_eq!(harness.sent(), [(4, OpCode::RemoveWatches, "/a 4".to_owned())]);
    harness.unwatch('d');
    assert_eq!(harness.sent(), [(5, OpCode::RemoveWatches, "/a 3".to_owned())]);
    harness.reply(4, 1, 0);
    harness.reply(5, 1, i32::from(ErrorCode::NoWatcher));
    assert_eq!(harness.state(), SessionState::Connected);
}
