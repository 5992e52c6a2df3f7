//! Bytes of messages between servers, as two earlier builds sent them; with openraft's own types at that time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;
use crate::golden::{BUILD_5DE72FB, BUILD_8AECE55, assert_message};
use crate::storage::{LogPosition, Row, Table, Vote};

fn vote() -> Vote {
    Vote { term: 7, server: 0x5f2a_c01d_0000_0002, committed: true }
}

fn candidate() -> Vote {
    Vote { term: 8, server: 1, committed: false }
}

fn place(index: u64) -> LogPosition {
    LogPosition { term: 6, index }
}

fn membership() -> Membership {
    let voters = vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 300])];
    let servers = [1, 2, 300].map(|id| (id, format!("host{id}:2888")));
    Membership { voters, servers: BTreeMap::from(servers) }
}

/// An append with an entry of each kind.
fn append() -> AppendRequest {
    let entry = |index, payload| Entry { position: place(index), payload };
    let commands = WireBytes(Bytes::from_static(b"a batch"));
    let entries = vec![
        entry(301, EntryPayload::Blank),
        entry(302, EntryPayload::Commands(commands)),
        entry(303, EntryPayload::Membership(membership())),
    ];
    AppendRequest { vote: vote(), prev: Some(place(300)), entries, committed: Some(place(299)) }
}

fn block() -> WireBlock {
    let mut block = RowBlock::default();
    for (table, value) in
        [(Table::Meta, Some("v")), (Table::Sessions, None), (Table::Nodes, Some(""))]
    {
        let value = value.map(|value| Bytes::from_static(value.as_bytes()));
        block.push(&Row { table, key: Bytes::from_static(b"/key"), value }).unwrap();
    }
    WireBlock::new(300, block)
}

const SO_FAR: RowsSoFar = RowsSoFar { rows: 303, check: 0x89ab_cdef };

fn requests() -> Vec<Request> {
    let last = Some(place(300));
    let asked = VoteRequest { vote: candidate(), last, is_handed_over: false };
    let transfer = TransferLeaderRequest { from: vote(), to: 300, last };
    let meta = SnapshotMeta {
        last,
        membership_set_by: Some(place(9)),
        membership: membership(),
        reserved: (),
    };
    vec![
        Request::Append(append()),
        Request::Vote(VoteRequest { is_handed_over: true, ..asked }),
        Request::PreVote(asked),
        Request::TransferLeader(transfer),
        Request::BeginSnapshot { vote: vote(), meta, anew: true },
        Request::Rows(block()),
        Request::EndSnapshot(SO_FAR),
    ]
}

fn responses() -> Vec<Response> {
    vec![
        Response::Append(AppendResponse::HigherVote(vote())),
        Response::Vote(VoteResponse { vote: vote(), is_granted: true, last: Some(place(300)) }),
        Response::TransferLeader(Ok(())),
        Response::Snapshot(SnapshotResponse { vote: vote() }),
        Response::Taken,
        Response::Failed("no space".to_owned()),
        Response::Continue(SO_FAR),
        Response::Working,
    ]
}

/// The number of a request on the wire, and its name in the golden files. Both stay; a new one has the next number.
fn request_number(request: &Request) -> (u8, &'static str) {
    match request {
        Request::Append(_) => (0, "peer.Append"),
        Request::Vote(_) => (1, "peer.Vote"),
        Request::PreVote(_) => (2, "peer.PreVote"),
        Request::TransferLeader(_) => (3, "peer.TransferLeader"),
        Request::BeginSnapshot { .. } => (4, "peer.BeginSnapshot"),
        Request::Rows(_) => (5, "peer.Rows"),
        Request::EndSnapshot(_) => (6, "peer.EndSnapshot"),
    }
}

/// As [`request_number`].
fn response_number(response: &Response) -> (u8, &'static str) {
    match response {
        Response::Append(_) => (0, "peer.Appended"),
        Response::Vote(_) => (1, "peer.Voted"),
        Response::TransferLeader(_) => (2, "peer.Transferred"),
        Response::Snapshot(_) => (3, "peer.Snapshot"),
        Response::Taken => (4, "peer.Taken"),
        Response::Failed(_) => (5, "peer.Failed"),
        Response::Continue(_) => (6, "peer.Continue"),
        Response::Working => (7, "peer.Working"),
    }
}

#[test]
fn messages_keep_their_numbers() {
    // The wire knows a message by its place among the others: swapped, inserted or removed, it would be another.
    for (place, request) in (0..).zip(&requests()) {
        let bytes = postcard::to_stdvec(request).unwrap();
        assert_eq!((place, bytes[0]), (request_number(request).0, place), "{request:?}");
    }
    for (place, response) in (0..).zip(&responses()) {
        let bytes = postcard::to_stdvec(response).unwrap();
        assert_eq!((place, bytes[0]), (response_number(response).0, place), "{response:?}");
    }
}

#[test]
fn messages_of_earlier_builds_are_read() {
    // What an earlier build sends is understood, and it is sent the same.
    for file in [BUILD_8AECE55, BUILD_5DE72FB] {
        for request in requests() {
            assert_message(file, request_number(&request).1, &request);
        }
        for response in responses() {
            assert_message(file, response_number(&response).1, &response);
        }
        let answers = [
            ("peer.Appended.Success", AppendResponse::Success),
            ("peer.Appended.PartialSuccess", AppendResponse::PartialSuccess(Some(place(300)))),
            ("peer.Appended.Conflict", AppendResponse::Conflict),
        ];
        for (name, answer) in answers {
            assert_message(file, name, &Response::Append(answer));
        }
        let (expected, actual) = (vote(), candidate());
        let changed = TransferLeaderError::VoteChanged { expected, actual };
        let (expected, actual) = (Some(place(300)), None);
        let lacking = TransferLeaderError::LogNotFlushed { expected, actual };
        for (name, error) in
            [("peer.Transferred.VoteChanged", changed), ("peer.Transferred.LogNotFlushed", lacking)]
        {
            assert_message(file, name, &Response::TransferLeader(Err(error)));
        }
    }
}
