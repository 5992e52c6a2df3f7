//! The connecting side: one connection to one peer for one purpose.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::super::raft::state_machine::SnapshotRows;
use super::super::raft::types::{RaftVote, Snapshot, TypeConfig};
use super::acknowledged::Acknowledged;
use super::append::Appends;
use super::dialer::Dialer;
use super::heartbeat::Heartbeats;
use super::hello::Purpose;
use super::link::{Leadership, Link};
use super::message::{Request, Response};
use super::snapshot_transfer::{Transfer, TransferError};
use crate::telemetry::RateLimitedLog;

/// Waits before a peer that could not be reached is tried again; the last one is repeated.
const BACKOFF_MS: [u64; 3] = [20, 50, 100];

/// A connection is given up that owes this many answers.
const OWED_MAX: usize = 256;

pub(crate) type RpcError = RPCError<TypeConfig>;

/// Connections that nobody uses at the moment, one for each peer at most.
type Idle = Arc<Mutex<BTreeMap<u64, Spare>>>;

type Dialling = AbortOnDropHandle<io::Result<Link>>;

/// What is left of a [`Peer`]. Each vote has one of its own, with little time: what that began, the
/// next one finishes.
#[derive(Debug)]
enum Spare {
    Link(Link),
    Dialling(Dialling),
}

/// Makes connections to peers.
#[derive(Debug)]
pub(crate) struct Peers {
    dialer: Dialer,
    leadership: Leadership,
    idle: Idle,
    acknowledged: Acknowledged,
    rate_limited_log: Arc<Mutex<RateLimitedLog<u64>>>,
}

impl Peers {
    /// The peers of a server.
    pub(crate) fn new(dialer: Dialer, leadership: Leadership) -> Self {
        let (idle, acknowledged) = (Idle::default(), Acknowledged::default());
        Self { dialer, leadership, idle, acknowledged, rate_limited_log: Arc::default() }
    }

    fn peer(&self, target: u64, node: &BasicNode, heartbeats: Option<Heartbeats>) -> Peer {
        Peer {
            dialer: self.dialer.clone(),
            leadership: self.leadership.clone(),
            idle: Arc::clone(&self.idle),
            acknowledged: self.acknowledged.clone(),
            rate_limited_log: Arc::clone(&self.rate_limited_log),
            target,
            address: node.addr.clone(),
            link: None,
            dialling: None,
            heartbeats,
            anew: false,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        self.peer(target, node, None)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        let heartbeats = Heartbeats::start(self.peer(target, node, None));
        self.peer(target, node, Some(heartbeats))
    }
}

/// The connection to one peer, made when it is first needed and again after it failed.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(super) dialer: Dialer,
    pub(super) leadership: Leadership,
    idle: Idle,
    pub(super) acknowledged: Acknowledged,
    rate_limited_log: Arc<Mutex<RateLimitedLog<u64>>>,
    pub(super) target: u64,
    /// Where the replicated configuration says that it is.
    address: String,
    pub(super) link: Option<Link>,
    /// Goes on when whoever asked for it gives up: a vote waits less than a handshake may take.
    dialling: Option<Dialling>,
    /// Who sends appends, where they are heartbeats.
    heartbeats: Option<Heartbeats>,
    /// Whether the next checkpoint is sent from its beginning, whatever the peer has of it.
    anew: bool,
}

impl Peer {
    /// The connection, made if there is none. Cancel-safe.
    pub(super) async fn link(&mut self) -> io::Result<&mut Link> {
        if !self.has_usable_link() {
            self.take_spare().await;
        }
        if self.link.is_none() {
            let dialled = self.dialling.get_or_insert_with(|| {
                let (dialer, address) = (self.dialer.clone(), self.address.clone());
                let (target, leadership) = (self.target, self.leadership.clone());
                AbortOnDropHandle::new(tokio::spawn(async move {
                    let stream = dialer.dial(target, &address, Purpose::Raft).await?;
                    Ok(Link::new(stream, target, leadership))
                }))
            });
            let link = dialled.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            self.dialling = None;
            self.link = Some(link?);
        }
        self.link.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Whether there is a connection that can be used; one that cannot is given up.
    pub(super) fn has_usable_link(&mut self) -> bool {
        let is_usable = |link: &Link| link.is_whole() && link.owed() < OWED_MAX;
        self.link = self.link.take().filter(is_usable);
        self.link.is_some()
    }

    /// Takes what another one left, if that is of any use: a connection that stands, or one that is
    /// being made. Cancel-safe.
    async fn take_spare(&mut self) {
        let spare = self.idle.lock().remove(&self.target);
        let link = match spare {
            Some(Spare::Link(link)) => Some(link),
            Some(Spare::Dialling(dialling)) if dialling.is_finished() => {
                dialling.await.ok().and_then(Result::ok)
            }
            Some(Spare::Dialling(dialling)) => {
                self.dialling.get_or_insert(dialling);
                None
            }
            None => None,
        };
        let stands = |link: &mut Link| link.closed().now_or_never().is_none();
        self.link = link.and_then(|mut link| stands(&mut link).then_some(link));
    }

    /// Sends a request and waits for its response.
    async fn call(&mut self, request: &Request, limit: Duration) -> Result<Response, RpcError> {
        match timeout(limit, self.exchange(request)).await {
            Ok(Ok(Response::Failed(reason))) => Err(self.unreachable(&reason)),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                self.link = None;
                Err(self.unreachable(&error))
            }
            Err(_) => Err(self.unreachable(&"it did not answer in time")),
        }
    }

    async fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        let link = self.link().await?;
        link.send(request).await?;
        loop {
            if let Some(response) = link.receive(1).await? {
                return Ok(response);
            }
        }
    }

    pub(super) fn unreachable(&self, why: &dyn std::fmt::Display) -> RpcError {
        let what = format!("server {} at {}: {why}", self.target, self.address);
        RPCError::Unreachable(Unreachable::from_string(what))
    }

    /// It has lost what it acknowledged; the log says so now and then.
    pub(super) fn forgetful(&self, reason: &str) -> RpcError {
        if self.rate_limited_log.lock().should_log(self.target, "it is forgetful") {
            tracing::error!("{reason}");
        }
        self.unreachable(&reason)
    }

    pub(super) fn confused(&self) -> RpcError {
        self.unreachable(&"it answers something else than it was asked")
    }
}

impl Drop for Peer {
    /// Leaves the connection, or what is to become one, to the next one.
    fn drop(&mut self) {
        let link = self.link.take().filter(|link| link.is_whole() && link.owed() == 0);
        let mut idle = self.idle.lock();
        match (link, self.dialling.take()) {
            (Some(link), _) => drop(idle.insert(self.target, Spare::Link(link))),
            (None, Some(dialling)) => {
                idle.entry(self.target).or_insert(Spare::Dialling(dialling));
            }
            (None, None) => {}
        }
    }
}

impl NetStreamAppend<TypeConfig> for Peer {
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
        let answers: BoxStream<'s, _> = match &self.heartbeats {
            Some(heartbeats) => Box::pin(heartbeats.answers(input)),
            None => Box::pin(Appends::new(self, input).into_stream()),
        };
        Box::pin(std::future::ready(Ok(answers)))
    }
}

impl NetVote<TypeConfig> for Peer {
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
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = SnapshotRows;

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
}

impl NetTransferLeader<TypeConfig> for Peer {
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

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MS.last().copied().into_iter().cycle();
        Some(Backoff::new(BACKOFF_MS.into_iter().chain(last).map(Duration::from_millis)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::address_book::AddressBook;
    use super::super::frame::receive;
    use super::super::frame::send;
    use super::super::gate::Gate;
    use super::super::hello::Membership;
    use super::super::security::Security;
    use super::*;
    use crate::storage::ClusterId;

    fn member(server: u64) -> Membership {
        Membership { cluster: ClusterId(7), server }
    }

    #[tokio::test]
    async fn what_a_vote_began_the_next_one_finishes() {
        // A vote has little time. A connection that takes longer to be made serves the next vote: else
        // servers that are far apart would dial for ever and never elect anybody.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = BasicNode::new(listener.local_addr().unwrap());
        let place = (Security::default(), AddressBook::naming([1]));
        let dialer = Dialer::new(member(1), AddressBook::default(), Security::default());
        let mut peers = Peers::new(dialer, Leadership::of(1));
        let ask = VoteRequest::new(RaftVote::new(5, 1), None);
        let soon = RPCOption::new(Duration::from_millis(30));
        let late = peers.new_client(2, &node).await.pre_vote(ask.clone(), soon).await;
        assert!(matches!(late, Err(RPCError::Unreachable(_))), "{late:?}");

        let gate = Gate::new(member(2), place, None);
        let (stream, from) = listener.accept().await.unwrap();
        let (_, mut stream) = gate.admit(stream, from).await.unwrap();
        let granted = VoteResponse::new(RaftVote::new(4, 2), None, true);
        let answering = async {
            let Request::PreVote(_) = receive(&mut stream).await.unwrap() else {
                panic!("no vote")
            };
            send(&mut stream, &Response::Vote(granted.clone())).await.unwrap();
        };
        let mut peer = peers.new_client(2, &node).await;
        let asking = peer.pre_vote(ask, RPCOption::new(Duration::from_secs(60)));
        let (answered, ()) = tokio::join!(asking, answering);
        assert_eq!(answered.unwrap(), granted);
    }
}
