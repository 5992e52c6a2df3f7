//! openraft's network over [`transport`](crate::consensus::transport): translates, and does nothing else.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend};

use super::types::{RaftVote, Snapshot, TypeConfig, vote};
use super::wire;
use crate::consensus::transport::{Peer, Peers, SnapshotRows, Unreachable};

/// Waits before a peer that could not be reached is tried again; the last one is repeated.
const BACKOFF_MS: [u64; 3] = [20, 50, 100];

type RpcError = RPCError<TypeConfig>;

/// Makes connections to peers.
pub(super) struct RaftNetwork(pub(super) Peers);

impl RaftNetworkFactory<TypeConfig> for RaftNetwork {
    type Network = RaftPeer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> RaftPeer {
        RaftPeer(self.0.peer(target, &node.addr))
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> RaftPeer {
        RaftPeer(self.0.heartbeat_peer(target, &node.addr))
    }
}

/// The way to one peer.
pub(super) struct RaftPeer(Peer);

fn unreachable(error: Unreachable) -> openraft::errors::Unreachable<TypeConfig> {
    openraft::errors::Unreachable::from_string(error.0)
}

fn rpc_error(error: Unreachable) -> RpcError {
    RPCError::Unreachable(unreachable(error))
}

impl NetStreamAppend<TypeConfig> for RaftPeer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let answers = self.0.append(input.map(wire::append_to_wire)).map(|answer| match answer {
            Ok(appended) => Ok(wire::appended_from_wire(appended)),
            Err(error) => Err(rpc_error(error)),
        });
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(std::future::ready(Ok(answers)))
    }
}

impl NetVote<TypeConfig> for RaftPeer {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let answered = self.0.vote(wire::vote_to_wire(&rpc), option.hard_ttl()).await;
        answered.map(wire::vote_response_from_wire).map_err(rpc_error)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let answered = self.0.pre_vote(wire::vote_to_wire(&rpc), option.hard_ttl()).await;
        answered.map(wire::vote_response_from_wire).map_err(rpc_error)
    }
}

impl NetSnapshot<TypeConfig> for RaftPeer {
    type SnapshotData = SnapshotRows;

    async fn full_snapshot(
        &mut self,
        own: RaftVote,
        snapshot: Snapshot<SnapshotRows>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let meta = wire::snapshot_to_wire(&snapshot.meta);
        let sent = tokio::select! {
            sent = self.0.send_snapshot(vote(&own), meta, snapshot.snapshot) => sent,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        match sent {
            Ok(response) => Ok(wire::snapshot_response_from_wire(response)),
            Err(error) => Err(StreamingError::Unreachable(unreachable(error))),
        }
    }
}

impl NetTransferLeader<TypeConfig> for RaftPeer {
    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let request = wire::transfer_to_wire(&rpc);
        let answered = self.0.transfer_leader(request, option.hard_ttl()).await;
        answered.map(wire::transfer_response_from_wire).map_err(rpc_error)
    }
}

impl NetBackoff<TypeConfig> for RaftPeer {
    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MS.last().copied().into_iter().cycle();
        Some(Backoff::new(BACKOFF_MS.into_iter().chain(last).map(Duration::from_millis)))
    }
}
