//! Who takes part, as openraft has it, and changing that.

use std::collections::{BTreeMap, BTreeSet};

use kernel::ensemble::MemberId;
use openraft::BasicNode;
use openraft::async_runtime::WatchReceiver as _;

use super::node::RaftNode;
use super::types::ChangeMembers;
use crate::consensus::members::{ChangeFailed, MemberProgress, Members};

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
