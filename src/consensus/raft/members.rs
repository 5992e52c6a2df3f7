//! Who takes part in the consensus, and changing that.
//!
//! The consensus knows voters, others that only receive entries, and where each is. Which of them
//! there should be is decided elsewhere; this is the means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::ensemble::MemberId;
use openraft::BasicNode;
use openraft::async_runtime::WatchReceiver as _;
use thiserror::Error;

use super::node::RaftNode;
use super::types::ChangeMembers;

/// A change of the members that was not, or not known to be, carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the members of the consensus cannot be changed now: {0}")]
pub struct ChangeFailed(pub(crate) String);

/// Who takes part, as the newest entry about it says, be it committed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who votes; while that changes, who is to.
    pub voters: BTreeSet<MemberId>,
    /// Whether a change is under way: then nothing else may be changed, except to finish it.
    pub changing: bool,
    /// Whether decisions need a majority of the old and one of the new voters.
    pub joint: bool,
    /// All of them with their addresses.
    pub servers: BTreeMap<MemberId, String>,
    /// The newest entry of this server's log.
    pub last_index: u64,
    /// What a leader knows of the others; empty elsewhere.
    pub progress: BTreeMap<MemberId, MemberProgress>,
}

/// A server that did not answer for this long is not in reach.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A server is up to date when it lacks no more entries than these.
const LAG_MAX: u64 = 500;

impl Members {
    /// The member that is the server of that number: the one that votes, where there are several lives.
    pub fn member_of(&self, number: u64) -> Option<MemberId> {
        let is_it = |member: &&MemberId| member.number == number;
        self.voters.iter().find(is_it).or_else(|| self.servers.keys().find(is_it)).copied()
    }

    /// Whether another server answered this one, the leader, lately.
    pub fn answers(&self, server: MemberId) -> bool {
        let silence = self.progress.get(&server).and_then(|progress| progress.silence);
        silence.is_some_and(|silence| silence < SILENCE_MAX)
    }

    /// Whether it answered lately and has nearly all that this one, the leader, has.
    pub fn is_synced(&self, server: MemberId) -> bool {
        let matched = self.progress.get(&server).and_then(|progress| progress.matched);
        self.answers(server) && matched.is_some_and(|matched| matched + LAG_MAX >= self.last_index)
    }
}

/// What a leader knows of another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberProgress {
    /// The newest entry that it is known to have; `None` before it has any.
    pub matched: Option<u64>,
    /// How long ago it last answered, if it did.
    pub silence: Option<Duration>,
}

impl RaftNode {
    /// Who takes part.
    pub(crate) fn members(&self) -> Members {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let effective = metrics.membership_config.membership();
        let sets = effective.get_joint_config();
        let mut progress: BTreeMap<MemberId, MemberProgress> = BTreeMap::new();
        let member = MemberId::from_raft_id;
        for (server, matched) in metrics.replication.iter().flatten() {
            progress.entry(member(*server)).or_default().matched =
                matched.as_ref().map(|id| id.index);
        }
        for (server, at) in metrics.heartbeat.iter().flatten() {
            let silence = at.as_ref().map(|at| openraft::Instant::elapsed(&**at));
            progress.entry(member(*server)).or_default().silence = silence;
        }
        progress.remove(&member(*self.raft.node_id()));
        Members {
            voters: sets.last().into_iter().flatten().copied().map(member).collect(),
            changing: sets.len() > 1
                || metrics.committed_membership_config.log_id()
                    != metrics.membership_config.log_id(),
            joint: sets.len() > 1,
            servers: effective.nodes().map(|(id, node)| (member(*id), node.addr.clone())).collect(),
            last_index: metrics.last_log_index.unwrap_or(0),
            progress,
        }
    }

    /// Lets servers take part without a vote; who takes part already gets this address.
    pub(crate) async fn set_servers(
        &self,
        servers: BTreeMap<MemberId, String>,
    ) -> Result<(), ChangeFailed> {
        let nodes =
            servers.into_iter().map(|(id, address)| (id.raft_id(), BasicNode::new(address)));
        self.change(ChangeMembers::SetNodes(nodes.collect())).await
    }

    /// Drops servers that have no vote.
    pub(crate) async fn drop_servers(
        &self,
        servers: BTreeSet<MemberId>,
    ) -> Result<(), ChangeFailed> {
        self.change(ChangeMembers::RemoveNodes(raft_ids(servers))).await
    }

    /// Makes these the voters: first old and new together, then the new alone.
    pub(crate) async fn set_voters(&self, voters: BTreeSet<MemberId>) -> Result<(), ChangeFailed> {
        self.change(ChangeMembers::ReplaceAllVoters(raft_ids(voters))).await
    }

    /// Removed voters go on as servers without a vote. Returns when the change is committed.
    async fn change(&self, change: ChangeMembers) -> Result<(), ChangeFailed> {
        let changed = self.raft.change_membership(change, true).await;
        changed.map(drop).map_err(|error| ChangeFailed(error.to_string()))
    }
}

fn raft_ids(members: BTreeSet<MemberId>) -> BTreeSet<u64> {
    members.into_iter().map(MemberId::raft_id).collect()
}
