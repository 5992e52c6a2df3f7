//! What servers ask of each other.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::super::typ::{RaftVote, SnapshotMeta, TypeConfig};
use crate::storage::{Row, Table};

/// A request. Variants are numbered on the wire: new ones go to the end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Begins a snapshot; any number of [`Request::Rows`] and one [`Request::EndSnapshot`] follow.
    BeginSnapshot {
        vote: RaftVote,
        meta: SnapshotMeta,
    },
    Rows(Vec<WireRow>),
    EndSnapshot,
}

/// A response.
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
}

/// A row on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WireRow {
    table: u8,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl WireRow {
    pub(super) fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len) + 16
    }
}

impl From<Row> for WireRow {
    fn from(row: Row) -> Self {
        let table = match row.table {
            Table::Meta => 0,
            Table::Sessions => 1,
            Table::Nodes => 2,
        };
        Self { table, key: row.key.into(), value: row.value.map(Into::into) }
    }
}

impl TryFrom<WireRow> for Row {
    type Error = String;

    fn try_from(row: WireRow) -> Result<Self, String> {
        let table = match row.table {
            0 => Table::Meta,
            1 => Table::Sessions,
            2 => Table::Nodes,
            other => return Err(format!("a snapshot has rows of an unknown table {other}")),
        };
        Ok(Self { table, key: row.key.into(), value: row.value.map(Into::into) })
    }
}
