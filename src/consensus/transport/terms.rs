//! Terms that nobody can have come by honestly, and senders that speak for others.
//!
//! A vote that was written down cannot be taken back, and the term is the epoch of zxids, which have 32 bits: a
//! single message with a term far ahead would end elections for good. Terms grow by one with each election, so
//! such a message is refused before Raft sees it.

use kernel::ensemble::MemberId;

use super::message::{AppendResponse, Request, Response};
use crate::storage::{LogPosition, Vote};

/// So far may a term be ahead: twelve days of an election each second.
const AHEAD_MAX: u64 = 1 << 20;

/// No term is higher: a zxid is a signed number, and has the term in its upper half.
const TERM_MAX: u64 = 1 << 31;

/// Why a request of member `from` is not to be heard, by a server that has voted in term `own`.
pub(super) fn check_request(request: &Request, from: u64, own: u64) -> Result<(), String> {
    match request {
        Request::Append(rpc) => {
            check_sender(rpc.vote, from, own)?;
            let entries = rpc.entries.iter().map(|entry| entry.position);
            let known = [rpc.prev, rpc.committed].into_iter().flatten();
            check_positions(entries.chain(known), rpc.vote)
        }
        Request::Vote(rpc) | Request::PreVote(rpc) => {
            check_sender(rpc.vote, from, own)?;
            check_positions(rpc.last, rpc.vote)
        }
        Request::TransferLeader(rpc) => {
            check_sender(rpc.from, from, own)?;
            check_positions(rpc.last, rpc.from)
        }
        Request::BeginSnapshot { vote, meta, .. } => {
            check_sender(*vote, from, own)?;
            check_positions(meta.last.into_iter().chain(meta.membership_set_by), *vote)
        }
        Request::Rows(_) | Request::EndSnapshot(_) => Ok(()),
    }
}

/// The term that a request speaks for.
pub(super) fn term_of(request: &Request) -> Option<u64> {
    let vote = match request {
        Request::Append(rpc) => rpc.vote,
        Request::Vote(rpc) | Request::PreVote(rpc) => rpc.vote,
        Request::TransferLeader(rpc) => rpc.from,
        Request::BeginSnapshot { vote, .. } => *vote,
        Request::Rows(_) | Request::EndSnapshot(_) => return None,
    };
    Some(vote.term)
}

/// Why a response is not to be heard, by a server that asked in term `own`.
pub(super) fn check_response(response: &Response, own: u64) -> Result<(), String> {
    match response {
        Response::Append(AppendResponse::HigherVote(vote)) => check_vote(*vote, own),
        Response::Append(
            AppendResponse::Success | AppendResponse::PartialSuccess(_) | AppendResponse::Conflict,
        ) => Ok(()),
        Response::Vote(response) => check_vote(response.vote, own),
        Response::Snapshot(response) => check_vote(response.vote, own),
        Response::TransferLeader(_)
        | Response::Taken
        | Response::Failed(_)
        | Response::Continue(_)
        | Response::Working => Ok(()),
    }
}

/// Nobody asks for another, or leads in another's name.
fn check_sender(vote: Vote, from: u64, own: u64) -> Result<(), String> {
    let named = vote.server;
    if named != from {
        let (named, from) = (MemberId::from_raft_id(named), MemberId::from_raft_id(from));
        return Err(format!("server {from} speaks for server {named}"));
    }
    check_vote(vote, own)
}

fn check_vote(vote: Vote, own: u64) -> Result<(), String> {
    let term = vote.term;
    // A server that has voted never does not know how far the others are.
    if term > TERM_MAX || (own > 0 && term > own.saturating_add(AHEAD_MAX)) {
        return Err(format!("term {term} is too far ahead of {own}"));
    }
    Ok(())
}

/// No entry is of a later term than the server that has it.
fn check_positions(
    positions: impl IntoIterator<Item = LogPosition>,
    vote: Vote,
) -> Result<(), String> {
    let term = vote.term;
    match positions.into_iter().find(|position| position.term > term) {
        Some(LogPosition { term: of, .. }) => {
            Err(format!("an entry of term {of} came in term {term}"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::transport::message::{
        AppendRequest, SnapshotMeta, SnapshotResponse, TransferLeaderRequest, VoteRequest,
        VoteResponse,
    };

    const FROM: u64 = 3;
    const OWN: u64 = 7;

    /// Each kind of request with a vote, of one whose last entry is of the term `last`.
    fn requests(term: u64, server: u64, last: u64) -> Vec<Request> {
        let vote = Vote { term, server, committed: false };
        let last = Some(LogPosition { term: last, index: 9 });
        let append = AppendRequest { vote, prev: last, committed: None, entries: Vec::new() };
        let ask = VoteRequest { vote, last, is_handed_over: false };
        let meta = SnapshotMeta { last, ..SnapshotMeta::default() };
        vec![
            Request::Append(append),
            Request::Vote(ask),
            Request::PreVote(ask),
            Request::TransferLeader(TransferLeaderRequest { from: vote, to: 1, last }),
            Request::BeginSnapshot { vote, meta, anew: false },
        ]
    }

    #[test]
    fn no_message_carries_a_term_far_ahead() {
        // Whatever the kind of a message, Raft sees none whose term, sender or entries cannot be.
        let limit = OWN + AHEAD_MAX;
        for (term, node, last, own, welcome) in [
            (OWN, FROM, OWN, OWN, true),
            (1, FROM, 1, OWN, true),
            (limit, FROM, OWN, OWN, true),
            (limit + 1, FROM, OWN, OWN, false),
            (u64::MAX, FROM, OWN, OWN, false),
            (TERM_MAX, FROM, OWN, 0, true),
            (TERM_MAX + 1, FROM, OWN, 0, false),
            (TERM_MAX + 1, FROM, OWN, TERM_MAX, false),
            (OWN, FROM, OWN + 1, OWN, false),
            (OWN, FROM + 1, OWN, OWN, false),
        ] {
            for request in requests(term, node, last) {
                let judged = check_request(&request, FROM, own);
                assert_eq!(judged.is_ok(), welcome, "{request:?} at {own}: {judged:?}");
            }
        }
    }

    #[test]
    fn no_answer_carries_a_term_far_ahead() {
        // Nor does an answer, which Raft takes for a reason to step down, and writes down.
        for (term, welcome) in [(OWN + 5, true), (OWN + AHEAD_MAX + 1, false), (u64::MAX, false)] {
            let vote = Vote { term, server: 9, committed: false };
            let responses = [
                Response::Append(AppendResponse::HigherVote(vote)),
                Response::Vote(VoteResponse { vote, last: None, is_granted: false }),
                Response::Snapshot(SnapshotResponse { vote }),
            ];
            for response in responses {
                assert_eq!(check_response(&response, OWN).is_ok(), welcome, "{response:?}");
            }
        }
        assert!(check_response(&Response::Working, OWN).is_ok());
    }
}
