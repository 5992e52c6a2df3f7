//! openraft's types with ours filled in.

use std::fmt;

use bytes::Bytes;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, RaftTypeConfig};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::storage::{LogPosition, Vote};

openraft::declare_raft_types!(
    /// What openraft is told about our types.
    pub(crate) TypeConfig:
        D = Batch,
        R = (),
        NodeId = u64,
        Node = BasicNode,
        Term = u64,
        // One leader a term, so that the term alone is the epoch of a zxid.
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

/// A batch of commands: the payload of an entry, opaque here.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Batch(pub(crate) Bytes);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// openraft wants its payloads serializable; they travel as plain bytes.
impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Blob::deserialize(deserializer).map(|blob| Self(blob.0))
    }
}

/// Bytes that travel as they are.
#[derive(Clone)]
pub(crate) struct Blob(pub(crate) Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }
}

pub(crate) type LeaderId = <TypeConfig as RaftTypeConfig>::LeaderId;
type TermId = <LeaderId as RaftLeaderId>::Committed;
pub(crate) type LogId = openraft::LogId<TermId>;
pub(crate) type RaftVote = <TypeConfig as RaftTypeConfig>::Vote;
pub(crate) type Entry = <TypeConfig as RaftTypeConfig>::Entry;
pub(crate) type Payload = <TypeConfig as RaftTypeConfig>::Payload;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<TermId, u64, BasicNode>;
pub(crate) type ChangeMembers = openraft::ChangeMembers<u64, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<TermId, u64, BasicNode>;
pub(crate) type Snapshot<D> = openraft::Snapshot<TermId, u64, BasicNode, D>;

/// openraft's name for a place in the log.
pub(crate) fn log_id(position: LogPosition) -> LogId {
    // Which server led a term is no part of a committed leader's name.
    LogId::new(LeaderId::new(position.term, 0).to_committed(), position.index)
}

/// openraft's form of a vote.
pub(crate) fn raft_vote(vote: Vote) -> RaftVote {
    let Vote { term, server, committed } = vote;
    RaftVote { leader_id: LeaderId { term, voted_for: server }, committed }
}

/// Our form of a vote.
pub(crate) fn vote(vote: &RaftVote) -> Vote {
    let LeaderId { term, voted_for } = vote.leader_id;
    Vote { term, server: voted_for, committed: vote.committed }
}

/// Our name for a place in the log.
pub(crate) fn position(log_id: &LogId) -> LogPosition {
    LogPosition { term: log_id.leader_id.term, index: log_id.index }
}
