//! What servers ask of each other for Raft.
//!
//! Each message is written in postcard: fields in order, variants by their number. Servers of several builds talk to
//! each other while an ensemble is upgraded. The bytes are those of openraft's own types, which earlier builds sent.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::wire_bytes::WireBytes;
use crate::storage::{LogPosition, RowBlock, RowsSoFar, Vote};

/// A request.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Append(AppendRequest),
    Vote(VoteRequest),
    PreVote(VoteRequest),
    TransferLeader(TransferLeaderRequest),
    /// Begins to send a checkpoint, or continues. Answered by [`Response::Continue`], or by
    /// [`Response::Snapshot`] when there is nothing to send.
    BeginSnapshot {
        #[serde(with = "wire_vote")]
        vote: Vote,
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
pub(crate) enum Response {
    Append(AppendResponse),
    Vote(VoteResponse),
    TransferLeader(TransferLeaderResponse),
    Snapshot(SnapshotResponse),
    /// The rows were taken.
    Taken,
    /// The other server cannot go on.
    Failed(String),
    /// The rows that the other server has of a checkpoint.
    Continue(RowsSoFar),
    /// It takes long. The real response follows.
    Working,
}

/// Raft's AppendEntries; a heartbeat, where it has no entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppendRequest {
    /// The vote of the leader.
    #[serde(with = "wire_vote")]
    pub(crate) vote: Vote,
    /// The entry in front of the first one.
    pub(crate) prev: Option<LogPosition>,
    pub(crate) entries: Vec<Entry>,
    /// The newest entry that the leader knows to be committed.
    pub(crate) committed: Option<LogPosition>,
}

impl AppendRequest {
    /// The last entry that the other server has after this request.
    pub(crate) fn last(&self) -> Option<LogPosition> {
        self.entries.last().map(|entry| entry.position).or(self.prev)
    }
}

/// An entry of the log on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) position: LogPosition,
    pub(crate) payload: EntryPayload,
}

/// What an entry holds.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryPayload {
    /// The first entry of a leader.
    Blank,
    /// A batch of commands; without any, it renews the lease.
    Commands(WireBytes),
    /// A configuration of the ensemble.
    Membership(Membership),
}

impl EntryPayload {
    /// How many bytes of commands it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Commands(commands) => commands.0.len(),
            Self::Blank | Self::Membership(_) => 0,
        }
    }
}

/// A configuration of the ensemble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// The voters by id: two sets while they change.
    pub(crate) voters: Vec<BTreeSet<u64>>,
    /// The address of each member, by id.
    pub(crate) servers: BTreeMap<u64, String>,
}

/// The answer to an append.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendResponse {
    /// The other server has all entries on disk.
    Success,
    /// It has them up to this one.
    PartialSuccess(Option<LogPosition>),
    /// It lacks the entry in front of them, or has another one there.
    Conflict,
    /// It knows a later vote than the leader's.
    HigherVote(#[serde(with = "wire_vote")] Vote),
}

/// Raft's RequestVote, or a pre-vote: would you vote for me?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteRequest {
    #[serde(with = "wire_vote")]
    pub(crate) vote: Vote,
    /// The newest entry of the candidate.
    pub(crate) last: Option<LogPosition>,
    /// Whether the leader itself hands over to the candidate: then its lease counts for nothing.
    pub(crate) is_handed_over: bool,
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteResponse {
    /// The vote of the answering server from then on.
    #[serde(with = "wire_vote")]
    pub(crate) vote: Vote,
    pub(crate) is_granted: bool,
    /// The newest entry of the answering server.
    pub(crate) last: Option<LogPosition>,
}

/// A leader tells all others whom it hands over to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransferLeaderRequest {
    /// The vote of the leader.
    #[serde(with = "wire_vote")]
    pub(crate) from: Vote,
    /// The id of the member that is to lead.
    pub(crate) to: u64,
    /// The newest entry of the leader: its heir must have it.
    pub(crate) last: Option<LogPosition>,
}

/// The answer to it.
pub(crate) type TransferLeaderResponse = Result<(), TransferLeaderError>;

/// Why a server does not take part in a transfer. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TransferLeaderError {
    /// It follows another leader.
    VoteChanged {
        #[serde(with = "wire_vote")]
        expected: Vote,
        #[serde(with = "wire_vote")]
        actual: Vote,
    },
    /// It lacks entries of the leader.
    LogNotFlushed { expected: Option<LogPosition>, actual: Option<LogPosition> },
}

/// Which state a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotMeta {
    /// The newest entry in it.
    pub(crate) last: Option<LogPosition>,
    /// The entry that set the configuration.
    pub(crate) membership_set_by: Option<LogPosition>,
    /// The configuration of that moment.
    pub(crate) membership: Membership,
    /// A text that is empty. Versions of openraft named the transfer here.
    #[serde(with = "empty_text")]
    pub(crate) reserved: (),
}

/// The answer to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotResponse {
    /// The vote of the answering server.
    #[serde(with = "wire_vote")]
    pub(crate) vote: Vote,
}

/// Rows on their way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WireBlock {
    /// How many rows come before them.
    pub(super) first: u64,
    rows: u32,
    /// The CRC-32 of the bytes.
    pub(super) check: u32,
    bytes: WireBytes,
}

impl WireBlock {
    pub(super) fn new(first: u64, block: RowBlock) -> Self {
        let (rows, check) = (block.rows(), block.check());
        Self { first, rows, check, bytes: WireBytes(block.into_bytes().into()) }
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

/// A vote as it travels: the server is optional on the wire, and always there.
mod wire_vote {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Vote;

    #[derive(Serialize, Deserialize)]
    struct WireVote {
        term: u64,
        server: Option<u64>,
        committed: bool,
    }

    pub(super) fn serialize<S: Serializer>(vote: &Vote, serializer: S) -> Result<S::Ok, S::Error> {
        let Vote { term, server, committed } = *vote;
        WireVote { term, server: Some(server), committed }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vote, D::Error> {
        let WireVote { term, server, committed } = WireVote::deserialize(deserializer)?;
        let server = server.ok_or_else(|| D::Error::custom("a vote for nobody"))?;
        Ok(Vote { term, server, committed })
    }
}

/// A text that is written empty, and not looked at.
mod empty_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(_: &(), serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        String::deserialize(deserializer).map(drop)
    }
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;

#[cfg(test)]
#[path = "message_builds_test.rs"]
mod builds_tests;
