//! Watches of a session in virtual time.

use bytes::Bytes;
use jute_proto::{ErrorCode, EventType, OpCode};

use super::rig_test::Rig;
use super::settings::Credential;
use super::status::SessionState;
use super::watches::Table;

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
