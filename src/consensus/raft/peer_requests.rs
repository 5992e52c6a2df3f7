//! What peers ask this server, answered by openraft.

use futures_util::future::BoxFuture;
use openraft::async_runtime::WatchReceiver as _;

use super::node::RaftNode;
use super::types::{Snapshot, log_id, raft_vote, vote};
use super::wire;
use crate::consensus::transport::message::{
    AppendRequest, Response, SnapshotMeta, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use crate::consensus::transport::{RaftService, SnapshotRows};
use crate::storage::{LogPosition, Vote};

impl RaftService for RaftNode {
    fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().vote.leader_id.term
    }

    fn append(&self, request: AppendRequest) -> BoxFuture<'static, Response> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let request = match wire::append_from_wire(request) {
                Ok(request) => request,
                Err(reason) => return Response::Failed(reason),
            };
            match raft.append_entries(request).await {
                Ok(response) => Response::Append(wire::append_response_to_wire(response)),
                Err(error) => Response::Failed(error.to_string()),
            }
        })
    }

    fn vote(&self, request: VoteRequest) -> BoxFuture<'_, Result<VoteResponse, String>> {
        Box::pin(async move {
            let voted = self.raft.vote(wire::vote_from_wire(request)).await;
            voted.as_ref().map(wire::vote_response_to_wire).map_err(ToString::to_string)
        })
    }

    fn pre_vote(&self, request: VoteRequest) -> BoxFuture<'_, Result<VoteResponse, String>> {
        Box::pin(async move {
            let voted = self.raft.pre_vote(wire::vote_from_wire(request)).await;
            voted.as_ref().map(wire::vote_response_to_wire).map_err(ToString::to_string)
        })
    }

    fn transfer_leader(
        &self,
        request: TransferLeaderRequest,
    ) -> BoxFuture<'_, Result<TransferLeaderResponse, String>> {
        Box::pin(async move {
            let request = wire::transfer_from_wire(request);
            let taken = self.raft.handle_transfer_leader(request).await;
            taken.map(wire::transfer_response_to_wire).map_err(|error| error.to_string())
        })
    }

    fn wants_snapshot(
        &self,
        leader: Vote,
        last: Option<LogPosition>,
    ) -> Result<(), SnapshotResponse> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.vote > raft_vote(leader) || last.map(log_id) <= metrics.last_applied {
            return Err(SnapshotResponse { vote: vote(&metrics.vote) });
        }
        Ok(())
    }

    fn install_snapshot(
        &self,
        leader: Vote,
        meta: SnapshotMeta,
        rows: SnapshotRows,
    ) -> BoxFuture<'_, Result<SnapshotResponse, String>> {
        Box::pin(async move {
            let snapshot = Snapshot { meta: wire::snapshot_from_wire(meta)?, snapshot: rows };
            let installed = self.raft.install_full_snapshot(raft_vote(leader), snapshot).await;
            let installed = installed.as_ref().map(wire::snapshot_response_to_wire);
            installed.map_err(ToString::to_string)
        })
    }
}
