//! openraft's types with ours filled in.

use std::fmt;

use bytes::Bytes;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, RaftTypeConfig};

use crate::storage::{LogPosition, Vote};

openraft::declare_raft_types!(
    /// What openraft is told about our types.
    pub(crate) TypeConfig:
        D = Commands,
        R = (),
        NodeId = u64,
        Node = BasicNode,
        Term = u64,
        // One leader a term, so that the term alone is the epoch of a zxid.
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

/// The commands of an entry, opaque here.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Commands(pub(crate) Bytes);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
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
