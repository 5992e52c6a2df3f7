//! What servers ask of each other.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::super::typ::{Blob, RaftVote, SnapshotMeta, TypeConfig};
use crate::storage::{RowBlock, RowsSoFar};

/// A request.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Begins to send a checkpoint, or continues. Answered by [`Response::Continue`], or by
    /// [`Response::Snapshot`] when there is nothing to send.
    BeginSnapshot {
        vote: RaftVote,
        meta: SnapshotMeta,
        /// Whether what came before is to be dropped.
        anew: bool,
    },
    /// Rows of that checkpoint. Any number may be on their way at once; each is answered by
    /// [`Response::Taken`].
    Rows(WireBlock),
    /// Those were all. Answered by [`Response::Snapshot`].
    EndSnapshot(RowsSoFar),
}

/// A response.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Response {
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    Snapshot(SnapshotResponse<TypeConfig>),
    /// The rows were taken.
    Taken,
    /// The other server cannot go on.
    Failed(String),
    /// The rows that the other server has of a checkpoint.
    Continue(RowsSoFar),
    /// It takes long. The real response follows.
    Working,
}

/// Rows on their way.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireBlock {
    /// How many rows come before them.
    pub(super) first: u64,
    rows: u32,
    /// The CRC-32 of the bytes.
    pub(super) check: u32,
    bytes: Blob,
}

impl WireBlock {
    pub(super) fn new(first: u64, block: RowBlock) -> Self {
        let (rows, check) = (block.rows(), block.check());
        Self { first, rows, check, bytes: Blob(block.into_bytes().into()) }
    }

    /// How many rows there are with them.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.rows)
    }
}

impl From<WireBlock> for RowBlock {
    fn from(block: WireBlock) -> Self {
        Self::from_parts(block.rows, block.bytes.0.into())
    }
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
