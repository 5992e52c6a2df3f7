use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;

use super::*;
use crate::storage::{Row, Table};

/// Each message as commit 6ea9933 sent it, which used the types of openraft 0.10.0-alpha.37 for that. Other servers of
/// an ensemble may run that build: a line is never changed, new messages get new lines.
const GOLDEN: &str = include_str!("message_golden.txt");

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term, index }
}

fn vote(term: u64, server: u64, committed: bool) -> Vote {
    Vote { term, server, committed }
}

fn membership() -> Membership {
    let voters = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 300])];
    let servers = [(1, "one:2888"), (2, "two:2888"), (300, "three:2888"), (9, "")];
    let servers = servers.map(|(id, address)| (id, address.to_owned()));
    Membership { voters, servers: BTreeMap::from(servers) }
}

fn append(entries: Vec<Entry>) -> Request {
    Request::Append(AppendRequest {
        vote: vote(300, 0x5f2a_c01d_0000_0003, true),
        prev: Some(at(299, 70_000)),
        entries,
        committed: Some(at(299, 69_999)),
    })
}

fn entries() -> Vec<Entry> {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Commands(WireBytes(Bytes::new())),
        EntryPayload::Commands(WireBytes(Bytes::from_static(b"commands"))),
        EntryPayload::Membership(membership()),
    ];
    let entry = |(index, payload)| Entry { position: at(300, index), payload };
    (70_001..).zip(payloads).map(entry).collect()
}

fn meta() -> SnapshotMeta {
    SnapshotMeta {
        last: Some(at(7, 128)),
        membership_set_by: Some(at(6, 3)),
        membership: membership(),
        reserved: (),
    }
}

fn block() -> WireBlock {
    let mut block = RowBlock::default();
    let value = Some(Bytes::from_static(b"value"));
    block.push(&Row { table: Table::Nodes, key: Bytes::from_static(b"/a"), value }).unwrap();
    WireBlock::new(200, block)
}

fn so_far() -> RowsSoFar {
    let mut block = RowBlock::default();
    block.push(&Row { table: Table::Sessions, key: Bytes::new(), value: None }).unwrap();
    RowsSoFar::default().and(&block)
}

fn requests() -> Vec<(&'static str, Request)> {
    let last = Some(at(7, 128));
    let ask = VoteRequest { vote: vote(8, 2, false), last, is_handed_over: false };
    let handed_over = VoteRequest { is_handed_over: true, ..ask };
    let nothing = VoteRequest { vote: vote(0, 0, false), last: None, is_handed_over: false };
    let last = Some(at(8, 130));
    let transfer = TransferLeaderRequest { from: vote(8, 1, true), to: 2, last };
    let begin = |meta, anew| Request::BeginSnapshot { vote: vote(8, 1, true), meta, anew };
    let heartbeat =
        AppendRequest { vote: vote(1, 1, true), prev: None, entries: Vec::new(), committed: None };
    vec![
        ("append", append(entries())),
        ("append nothing", append(Vec::new())),
        ("heartbeat", Request::Append(heartbeat)),
        ("vote", Request::Vote(ask)),
        ("vote for a leader that hands over", Request::Vote(handed_over)),
        ("vote of an empty server", Request::Vote(nothing)),
        ("pre-vote", Request::PreVote(ask)),
        ("transfer leader", Request::TransferLeader(transfer)),
        ("begin snapshot", begin(meta(), false)),
        ("begin snapshot anew", begin(SnapshotMeta::default(), true)),
        ("rows", Request::Rows(block())),
        ("end snapshot", Request::EndSnapshot(so_far())),
    ]
}

fn responses() -> Vec<(&'static str, Response)> {
    let append = Response::Append;
    let transfer = Response::TransferLeader;
    let granted = VoteResponse { vote: vote(8, 2, false), is_granted: true, last: None };
    let last = Some(at(9, 131));
    let refused = VoteResponse { vote: vote(9, 3, true), is_granted: false, last };
    let (expected, actual) = (vote(8, 1, true), vote(9, 3, false));
    let vote_changed = TransferLeaderError::VoteChanged { expected, actual };
    let (expected, actual) = (Some(at(8, 130)), None);
    let not_flushed = TransferLeaderError::LogNotFlushed { expected, actual };
    vec![
        ("success", append(AppendResponse::Success)),
        ("partial success", append(AppendResponse::PartialSuccess(Some(at(8, 130))))),
        ("partial success of nothing", append(AppendResponse::PartialSuccess(None))),
        ("conflict", append(AppendResponse::Conflict)),
        ("higher vote", append(AppendResponse::HigherVote(vote(9, 3, false)))),
        ("vote granted", Response::Vote(granted)),
        ("vote refused", Response::Vote(refused)),
        ("leader transferred", transfer(Ok(()))),
        ("vote changed", transfer(Err(vote_changed))),
        ("log not flushed", transfer(Err(not_flushed))),
        ("snapshot", Response::Snapshot(SnapshotResponse { vote: vote(8, 1, true) })),
        ("taken", Response::Taken),
        ("failed", Response::Failed("the server is stopping".to_owned())),
        ("continue", Response::Continue(so_far())),
        ("working", Response::Working),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The golden line of a message.
fn golden(kind: &str, name: &str) -> &'static str {
    let line = GOLDEN.lines().find_map(|line| {
        let (known, hex) = line.rsplit_once(' ')?;
        (known == format!("{kind} {name}:")).then_some(hex)
    });
    line.unwrap_or_else(|| panic!("no golden bytes of {kind} {name}"))
}

#[test]
fn the_bytes_of_messages_stay_as_they_are() {
    // Servers of both builds are in one ensemble while it is upgraded: each reads what the other one writes.
    let mut count = 0;
    for (name, request) in requests() {
        let written = postcard::to_stdvec(&request).unwrap();
        assert_eq!(hex(&written), golden("request", name), "request {name}");
        let read: Request = postcard::from_bytes(&bytes(golden("request", name))).unwrap();
        assert_eq!(format!("{read:?}"), format!("{request:?}"), "request {name}");
        assert_eq!(postcard::to_stdvec(&read).unwrap(), written, "request {name}");
        count += 1;
    }
    for (name, response) in responses() {
        let written = postcard::to_stdvec(&response).unwrap();
        assert_eq!(hex(&written), golden("response", name), "response {name}");
        let read: Response = postcard::from_bytes(&bytes(golden("response", name))).unwrap();
        assert_eq!(format!("{read:?}"), format!("{response:?}"), "response {name}");
        assert_eq!(postcard::to_stdvec(&read).unwrap(), written, "response {name}");
        count += 1;
    }
    assert_eq!(GOLDEN.lines().count(), count, "each golden line is of a message");
}
