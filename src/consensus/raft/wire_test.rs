use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::consensus::raft::types::{LogId, RaftVote};
use crate::consensus::transport::message::{Request, Response};
use crate::storage::LogPosition;

/// Each message as openraft's own types were written (`transport/message_test.rs`).
const GOLDEN: &str = include_str!("../transport/message_golden.txt");

fn at(term: u64, index: u64) -> LogId {
    log_id(LogPosition { term, index })
}

fn ballot(term: u64, server: u64, committed: bool) -> RaftVote {
    RaftVote { committed, ..RaftVote::new(term, server) }
}

fn membership() -> Membership {
    let voters = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 300])];
    let servers = [(1, "one:2888"), (2, "two:2888"), (300, "three:2888"), (9, "")];
    let servers = servers.map(|(id, address)| (id, BasicNode::new(address)));
    Membership::new(voters, BTreeMap::from(servers)).unwrap()
}

fn append() -> AppendEntriesRequest<TypeConfig> {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Commands(Bytes::new())),
        EntryPayload::Normal(Commands(Bytes::from_static(b"commands"))),
        EntryPayload::Membership(membership()),
    ];
    let entry = |(index, payload)| Entry { log_id: at(300, index), payload };
    AppendEntriesRequest {
        vote: ballot(300, 0x5f2a_c01d_0000_0003, true),
        prev_log_id: Some(at(299, 70_000)),
        entries: (70_001..).zip(payloads).map(entry).collect(),
        leader_commit: Some(at(299, 69_999)),
    }
}

fn assert_golden(name: &str, written: Result<Vec<u8>, postcard::Error>) {
    let hex: String = written.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name}: {hex}");
    assert!(GOLDEN.lines().any(|golden| golden == line), "not golden: {line}");
}

fn assert_request(name: &str, request: &Request) {
    assert_golden(&format!("request {name}"), postcard::to_stdvec(request));
}

fn assert_response(name: &str, response: &Response) {
    assert_golden(&format!("response {name}"), postcard::to_stdvec(response));
}

#[test]
fn requests_of_openraft_travel_as_they_did() {
    // Each is written as its own type was, and comes back as it went.
    let request = append_to_wire(append());
    let back = append_from_wire(request.clone()).unwrap();
    assert_eq!(format!("{back:?}"), format!("{:?}", append()));
    assert_request("append", &Request::Append(request));

    let ask = VoteRequest::new(ballot(8, 2, false), Some(at(7, 128)));
    let handed_over = VoteRequest { leadership_transfer: true, ..ask.clone() };
    for (name, ask) in [("vote", ask), ("vote for a leader that hands over", handed_over)] {
        assert_eq!(vote_from_wire(vote_to_wire(&ask)), ask);
        assert_request(name, &Request::Vote(vote_to_wire(&ask)));
    }
    let transfer = TransferLeaderRequest::new(ballot(8, 1, true), 2, Some(at(8, 130)));
    assert_eq!(transfer_from_wire(transfer_to_wire(&transfer)), transfer);
    assert_request("transfer leader", &Request::TransferLeader(transfer_to_wire(&transfer)));

    let last_membership = StoredMembership::new(Some(at(6, 3)), membership());
    let meta = SnapshotMeta { last_log_id: Some(at(7, 128)), last_membership };
    assert_eq!(snapshot_from_wire(snapshot_to_wire(&meta)).unwrap(), meta);
    let (own, meta) = (vote(&ballot(8, 1, true)), snapshot_to_wire(&meta));
    let begin = Request::BeginSnapshot { vote: own, meta, anew: false };
    assert_request("begin snapshot", &begin);
}

#[test]
fn responses_of_openraft_travel_as_they_did() {
    // Each is written as its own type was, and comes back as it went.
    for (name, response) in [
        ("success", AppendEntriesResponse::Success),
        ("partial success", AppendEntriesResponse::PartialSuccess(Some(at(8, 130)))),
        ("conflict", AppendEntriesResponse::Conflict),
        ("higher vote", AppendEntriesResponse::HigherVote(ballot(9, 3, false))),
    ] {
        assert_response(name, &Response::Append(append_response_to_wire(response)));
    }
    let granted = VoteResponse::new(ballot(8, 2, false), None, true);
    let refused = VoteResponse::new(ballot(9, 3, true), Some(at(9, 131)), false);
    for (name, response) in [("vote granted", granted), ("vote refused", refused)] {
        assert_eq!(vote_response_from_wire(vote_response_to_wire(&response)), response);
        assert_response(name, &Response::Vote(vote_response_to_wire(&response)));
    }
    let (expected, actual) = (ballot(8, 1, true), ballot(9, 3, false));
    let vote_changed = TransferLeaderError::VoteChanged { expected, actual };
    let (expected, actual) = (Some(at(8, 130)), None);
    let not_flushed = TransferLeaderError::LogNotFlushed { expected, actual };
    for (name, response) in [
        ("leader transferred", Ok(())),
        ("vote changed", Err(vote_changed)),
        ("log not flushed", Err(not_flushed)),
    ] {
        let sent = transfer_response_to_wire(response.clone());
        assert_eq!(transfer_response_from_wire(sent), response);
        assert_response(name, &Response::TransferLeader(sent));
    }
    let installed = SnapshotResponse::new(ballot(8, 1, true));
    let sent = snapshot_response_to_wire(&installed);
    assert_eq!(snapshot_response_from_wire(sent), installed);
    assert_response("snapshot", &Response::Snapshot(sent));
}

#[test]
fn what_became_of_an_append_reaches_openraft() {
    // Each of the three answers is told as it is.
    let last = LogPosition { term: 8, index: 130 };
    assert_eq!(appended_from_wire(Appended::UpTo(Some(last))), Ok(Some(at(8, 130))));
    let conflict = StreamAppendError::Conflict(at(8, 130));
    assert_eq!(appended_from_wire(Appended::Conflict(last)), Err(conflict));
    let later = ballot(9, 3, false);
    let refused = appended_from_wire(Appended::HigherVote(vote(&later)));
    assert_eq!(refused, Err(StreamAppendError::HigherVote(later)));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    // A voter without an address could not be written to the log.
    let nowhere = message::Membership { voters: vec![BTreeSet::from([1])], ..Default::default() };
    let meta = message::SnapshotMeta { membership: nowhere, ..Default::default() };
    assert!(snapshot_from_wire(meta).is_err());
}
