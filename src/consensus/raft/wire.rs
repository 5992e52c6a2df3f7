//! Between openraft's types and the messages of [`transport`](crate::consensus::transport).
//!
//! The messages have types of their own, so that no build of openraft decides about bytes between servers. What an
//! entry holds is moved, never copied.

use std::collections::BTreeMap;

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, EntryPayload};

use super::types::{
    Commands, Entry, Membership, SnapshotMeta, StoredMembership, TypeConfig, log_id, position,
    raft_vote, vote,
};
use crate::consensus::transport::message;
use crate::consensus::transport::{Appended, WireBytes};

/// An append on its way to a peer.
pub(super) fn append_to_wire(request: AppendEntriesRequest<TypeConfig>) -> message::AppendRequest {
    message::AppendRequest {
        vote: vote(&request.vote),
        prev: request.prev_log_id.as_ref().map(position),
        entries: request.entries.into_iter().map(entry_to_wire).collect(),
        committed: request.leader_commit.as_ref().map(position),
    }
}

/// An append that came from a peer.
///
/// # Errors
/// An entry is a configuration that makes no sense.
pub(super) fn append_from_wire(
    request: message::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, String> {
    Ok(AppendEntriesRequest {
        vote: raft_vote(request.vote),
        prev_log_id: request.prev.map(log_id),
        entries: request.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?,
        leader_commit: request.committed.map(log_id),
    })
}

fn entry_to_wire(entry: Entry) -> message::Entry {
    let payload = match entry.payload {
        EntryPayload::Blank => message::EntryPayload::Blank,
        EntryPayload::Normal(Commands(bytes)) => message::EntryPayload::Commands(WireBytes(bytes)),
        EntryPayload::Membership(members) => {
            message::EntryPayload::Membership(membership_to_wire(&members))
        }
    };
    message::Entry { position: position(&entry.log_id), payload }
}

fn entry_from_wire(entry: message::Entry) -> Result<Entry, String> {
    let payload = match entry.payload {
        message::EntryPayload::Blank => EntryPayload::Blank,
        message::EntryPayload::Commands(WireBytes(bytes)) => EntryPayload::Normal(Commands(bytes)),
        message::EntryPayload::Membership(members) => {
            EntryPayload::Membership(membership_from_wire(members)?)
        }
    };
    Ok(Entry { log_id: log_id(entry.position), payload })
}

fn membership_to_wire(membership: &Membership) -> message::Membership {
    message::Membership {
        voters: membership.get_joint_config().clone(),
        servers: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
    }
}

fn membership_from_wire(membership: message::Membership) -> Result<Membership, String> {
    let servers = membership.servers.into_iter();
    let servers: BTreeMap<u64, BasicNode> =
        servers.map(|(id, address)| (id, BasicNode::new(address))).collect();
    Membership::new(membership.voters, servers)
        .map_err(|error| format!("a configuration of the ensemble makes no sense: {error}"))
}

/// What became of an append, as openraft wants to hear it.
pub(super) fn appended_from_wire(appended: Appended) -> StreamAppendResult<TypeConfig> {
    match appended {
        Appended::UpTo(last) => Ok(last.map(log_id)),
        Appended::Conflict(prev) => Err(StreamAppendError::Conflict(log_id(prev))),
        Appended::HigherVote(later) => Err(StreamAppendError::HigherVote(raft_vote(later))),
    }
}

/// The answer to an append.
pub(super) fn append_response_to_wire(
    response: &AppendEntriesResponse<TypeConfig>,
) -> message::AppendResponse {
    match response {
        AppendEntriesResponse::Success => message::AppendResponse::Success,
        AppendEntriesResponse::PartialSuccess(last) => {
            message::AppendResponse::PartialSuccess(last.as_ref().map(position))
        }
        AppendEntriesResponse::Conflict => message::AppendResponse::Conflict,
        AppendEntriesResponse::HigherVote(later) => {
            message::AppendResponse::HigherVote(vote(later))
        }
    }
}

/// A candidate's request.
pub(super) fn vote_to_wire(request: &VoteRequest<TypeConfig>) -> message::VoteRequest {
    message::VoteRequest {
        vote: vote(&request.vote),
        last: request.last_log_id.as_ref().map(position),
        is_handed_over: request.leadership_transfer,
    }
}

/// The request of a candidate elsewhere.
pub(super) fn vote_from_wire(request: message::VoteRequest) -> VoteRequest<TypeConfig> {
    VoteRequest {
        vote: raft_vote(request.vote),
        last_log_id: request.last.map(log_id),
        leadership_transfer: request.is_handed_over,
    }
}

/// This server's answer to a candidate.
pub(super) fn vote_response_to_wire(response: &VoteResponse<TypeConfig>) -> message::VoteResponse {
    message::VoteResponse {
        vote: vote(&response.vote),
        is_granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(position),
    }
}

/// The answer of another server to this candidate.
pub(super) fn vote_response_from_wire(response: message::VoteResponse) -> VoteResponse<TypeConfig> {
    VoteResponse {
        vote: raft_vote(response.vote),
        vote_granted: response.is_granted,
        last_log_id: response.last.map(log_id),
    }
}

/// What a leader tells of whom it hands over to.
pub(super) fn transfer_to_wire(
    request: &TransferLeaderRequest<TypeConfig>,
) -> message::TransferLeaderRequest {
    message::TransferLeaderRequest {
        from: vote(request.from_leader()),
        to: *request.to_node_id(),
        last: request.last_log_id().map(position),
    }
}

/// What another leader tells of whom it hands over to.
pub(super) fn transfer_from_wire(
    request: message::TransferLeaderRequest,
) -> TransferLeaderRequest<TypeConfig> {
    TransferLeaderRequest::new(raft_vote(request.from), request.to, request.last.map(log_id))
}

/// The answer to it.
pub(super) fn transfer_response_to_wire(
    response: TransferLeaderResponse<TypeConfig>,
) -> message::TransferLeaderResponse {
    response.map_err(|error| match error {
        TransferLeaderError::VoteChanged { expected, actual } => {
            message::TransferLeaderError::VoteChanged {
                expected: vote(&expected),
                actual: vote(&actual),
            }
        }
        TransferLeaderError::LogNotFlushed { expected, actual } => {
            message::TransferLeaderError::LogNotFlushed {
                expected: expected.as_ref().map(position),
                actual: actual.as_ref().map(position),
            }
        }
    })
}

/// The answer that another server gave to it.
pub(super) fn transfer_response_from_wire(
    response: message::TransferLeaderResponse,
) -> TransferLeaderResponse<TypeConfig> {
    response.map_err(|error| match error {
        message::TransferLeaderError::VoteChanged { expected, actual } => {
            TransferLeaderError::VoteChanged {
                expected: raft_vote(expected),
                actual: raft_vote(actual),
            }
        }
        message::TransferLeaderError::LogNotFlushed { expected, actual } => {
            TransferLeaderError::LogNotFlushed {
                expected: expected.map(log_id),
                actual: actual.map(log_id),
            }
        }
    })
}

/// What a checkpoint holds that is sent.
pub(super) fn snapshot_to_wire(meta: &SnapshotMeta) -> message::SnapshotMeta {
    message::SnapshotMeta {
        last: meta.last_log_id.as_ref().map(position),
        membership_set_by: meta.last_membership.log_id().as_ref().map(position),
        membership: membership_to_wire(meta.last_membership.membership()),
        reserved: (),
    }
}

/// What a checkpoint holds that came.
///
/// # Errors
/// Its configuration makes no sense.
pub(super) fn snapshot_from_wire(meta: message::SnapshotMeta) -> Result<SnapshotMeta, String> {
    let membership = membership_from_wire(meta.membership)?;
    let last_membership = StoredMembership::new(meta.membership_set_by.map(log_id), membership);
    Ok(SnapshotMeta { last_log_id: meta.last.map(log_id), last_membership })
}

/// The answer to a checkpoint.
pub(super) fn snapshot_response_to_wire(
    response: &SnapshotResponse<TypeConfig>,
) -> message::SnapshotResponse {
    message::SnapshotResponse { vote: vote(&response.vote) }
}

/// The answer of another server to a checkpoint.
pub(super) fn snapshot_response_from_wire(
    response: message::SnapshotResponse,
) -> SnapshotResponse<TypeConfig> {
    SnapshotResponse::new(raft_vote(response.vote))
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
