//! The connecting side: one connection to one peer for one purpose.

use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, EntryPayload, OptionalSend};
use tokio::time::timeout;

use super::super::state_machine::SnapshotRows;
use super::super::typ::{Entry, RaftVote, Snapshot, TypeConfig};
use super::dialer::Dialer;
use super::frame::{FRAME_LEN_MAX, receive, send};
use super::hello::Purpose;
use super::message::{Request, Response};
use super::stream::PeerStream;
use super::transfer::{Transfer, TransferError};

/// An append is cut when its entries have this many bytes; the rest follows in the next.
const APPEND_BYTES_SOFT_MAX: usize = 4 << 20;

type RpcError = RPCError<TypeConfig>;

/// Makes connections to peers.
#[derive(Debug)]
pub(in crate::consensus) struct Peers {
    dialer: Dialer,
}

impl Peers {
    /// The peers of a server.
    pub(in crate::consensus) fn new(dialer: Dialer) -> Self {
        Self { dialer }
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        let (dialer, address) = (self.dialer.clone(), node.addr.clone());
        Peer { dialer, target, address, stream: None, anew: false }
    }
}

/// The connection to one peer, made when it is first needed and again after it failed.
#[derive(Debug)]
pub(in crate::consensus) struct Peer {
    dialer: Dialer,
    target: u64,
    /// Where the replicated configuration says that it is.
    address: String,
    stream: Option<PeerStream>,
    /// Whether the next checkpoint is sent from its beginning, whatever the peer has of it.
    anew: bool,
}

impl Peer {
    /// Sends a request and waits for its response. After a failure the connection is given up: a
    /// response that comes late must not be taken for that of the next request.
    async fn call(&mut self, request: &Request, limit: Duration) -> Result<Response, RpcError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect(limit).await?,
        };
        let exchange = async {
            send(&mut stream, request).await?;
            loop {
                let response: Response = receive(&mut stream).await?;
                if !matches!(response, Response::Working) {
                    return Ok::<Response, io::Error>(response);
                }
            }
        };
        match timeout(limit, exchange).await {
            Ok(Ok(Response::Failed(reason))) => Err(self.unreachable(&reason)),
            Ok(Ok(response)) => {
                self.stream = Some(stream);
                Ok(response)
            }
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&"it did not answer in time")),
        }
    }

    async fn connect(&self, limit: Duration) -> Result<PeerStream, RpcError> {
        let dial = self.dialer.dial(self.target, &self.address, Purpose::Raft);
        match timeout(limit, dial).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&"it cannot be connected in time")),
        }
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> RpcError {
        let what = format!("server {} at {}: {why}", self.target, self.address);
        RPCError::Unreachable(Unreachable::from_string(what))
    }

    fn confused(&self) -> RpcError {
        self.unreachable(&"it answers something else than it was asked")
    }
}

/// How many of the entries go into one request: at least one, and not many more bytes than
/// [`APPEND_BYTES_SOFT_MAX`].
fn fitting(entries: &[Entry]) -> usize {
    let len = |entry: &Entry| match &entry.payload {
        EntryPayload::Normal(batch) => batch.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    let mut bytes = 0;
    let full = entries.iter().position(|entry| {
        bytes += len(entry);
        bytes > APPEND_BYTES_SOFT_MAX
    });
    full.map_or(entries.len(), |at| at.max(1))
}

const _: () = assert!(APPEND_BYTES_SOFT_MAX < FRAME_LEN_MAX / 2);

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = SnapshotRows;

    async fn append_entries(
        &mut self,
        mut rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let fitting = fitting(&rpc.entries);
        let is_cut = fitting < rpc.entries.len();
        rpc.entries.truncate(fitting);
        let last = rpc.entries.last().map(RaftEntry::log_id);
        let request = Request::Append(rpc);
        let Response::Append(response) = self.call(&request, option.hard_ttl()).await? else {
            return Err(self.confused());
        };
        if is_cut && response.is_success() {
            return Ok(AppendEntriesResponse::PartialSuccess(last));
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let Response::Vote(response) = self.call(&Request::Vote(rpc), option.hard_ttl()).await?
        else {
            return Err(self.confused());
        };
        Ok(response)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let Response::Vote(response) = self.call(&Request::PreVote(rpc), option.hard_ttl()).await?
        else {
            return Err(self.confused());
        };
        Ok(response)
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: Snapshot<SnapshotRows>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let anew = std::mem::take(&mut self.anew);
        let transfer = Transfer::new(vote, snapshot.meta, snapshot.snapshot, anew);
        let sent = tokio::select! {
            sent = transfer.run(&self.dialer, self.target, &self.address) => sent,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        sent.map_err(|error| {
            self.anew = matches!(error, TransferError::Anew(_));
            let what = format!("server {} at {}: {error}", self.target, self.address);
            StreamingError::Unreachable(Unreachable::from_string(what))
        })
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let Response::TransferLeader(response) =
            self.call(&Request::TransferLeader(rpc), option.hard_ttl()).await?
        else {
            return Err(self.confused());
        };
        Ok(response)
    }
}
