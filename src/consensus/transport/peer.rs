//! The connecting side: one connection to one peer for one purpose.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, Stream};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::acknowledged::Acknowledged;
use super::append::{Answer, Appends};
use super::dialer::Dialer;
use super::handshake::hello::Purpose;
use super::heartbeat::Heartbeats;
use super::link::{LeadershipHandles, Link};
use super::message::{
    AppendRequest, Request, Response, SnapshotMeta, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use super::snapshot_sender::{SnapshotRows, Transfer, TransferError};
use crate::env::task;
use crate::env::time::timeout;
use crate::storage::Vote;
use crate::telemetry::RateLimitedLog;

/// A connection is given up that owes this many answers.
const OWED_MAX: usize = 256;

/// Why a peer gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable(pub(crate) String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Connections that nobody uses at the moment, one for each peer at most.
type Idle = Arc<Mutex<BTreeMap<u64, Spare>>>;

type Dialling = AbortOnDropHandle<io::Result<Link>>;

/// What is left of a [`Peer`]. Each vote has one of its own, with little time: what that began, the
/// next one finishes.
#[derive(Debug)]
enum Spare {
    Link(Box<Link>),
    Dialling(Dialling),
}

/// Makes connections to peers.
#[derive(Debug)]
pub(crate) struct Peers {
    dialer: Dialer,
    leadership: LeadershipHandles,
    idle: Idle,
    acknowledged: Acknowledged,
    rate_limited_log: Arc<Mutex<RateLimitedLog<u64>>>,
}

impl Peers {
    /// The peers of a server.
    pub(crate) fn new(dialer: Dialer, leadership: LeadershipHandles) -> Self {
        let (idle, acknowledged) = (Idle::default(), Acknowledged::default());
        Self { dialer, leadership, idle, acknowledged, rate_limited_log: Arc::default() }
    }

    /// The way to one peer. `address` is where the replicated configuration says that it is.
    pub(crate) fn peer(&self, target: u64, address: &str) -> Peer {
        Peer {
            dialer: self.dialer.clone(),
            leadership: self.leadership.clone(),
            idle: Arc::clone(&self.idle),
            acknowledged: self.acknowledged.clone(),
            rate_limited_log: Arc::clone(&self.rate_limited_log),
            target,
            address: address.to_owned(),
            link: None,
            dialling: None,
            heartbeats: None,
            anew: false,
        }
    }

    /// As [`Peers::peer`], for heartbeats: their answers are read also when nobody waits for them any more.
    pub(crate) fn heartbeat_peer(&self, target: u64, address: &str) -> Peer {
        let mut peer = self.peer(target, address);
        peer.heartbeats = Some(Heartbeats::start(self.peer(target, address)));
        peer
    }
}

/// The connection to one peer, made when it is first needed and again after it failed.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(super) dialer: Dialer,
    pub(super) leadership: LeadershipHandles,
    idle: Idle,
    pub(super) acknowledged: Acknowledged,
    rate_limited_log: Arc<Mutex<RateLimitedLog<u64>>>,
    pub(super) target: u64,
    /// Where the replicated configuration says that it is.
    address: String,
    pub(super) link: Option<Link>,
    /// Goes on when its caller gives up: a vote waits less than a handshake may take.
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
                AbortOnDropHandle::new(task::spawn(async move {
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
            Some(Spare::Link(link)) => Some(*link),
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

    /// Sends appends, many at once, and returns the answers in order. Ends after the first one that is no success.
    pub(crate) fn append<'s, S>(&'s mut self, requests: S) -> BoxStream<'s, Answer>
    where
        S: Stream<Item = AppendRequest> + Send + Unpin + 'static,
    {
        match &self.heartbeats {
            Some(heartbeats) => Box::pin(heartbeats.answers(requests)),
            None => Box::pin(Appends::new(self, requests).into_stream()),
        }
    }

    /// Asks for its vote.
    pub(crate) async fn vote(
        &mut self,
        request: VoteRequest,
        limit: Duration,
    ) -> Result<VoteResponse, Unreachable> {
        let Response::Vote(response) = self.call(&Request::Vote(request), limit).await? else {
            return Err(self.unexpected_answer());
        };
        Ok(response)
    }

    /// Asks whether it would vote for this server.
    pub(crate) async fn pre_vote(
        &mut self,
        request: VoteRequest,
        limit: Duration,
    ) -> Result<VoteResponse, Unreachable> {
        let Response::Vote(response) = self.call(&Request::PreVote(request), limit).await? else {
            return Err(self.unexpected_answer());
        };
        Ok(response)
    }

    /// Tells it whom this leader hands over to.
    pub(crate) async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest,
        limit: Duration,
    ) -> Result<TransferLeaderResponse, Unreachable> {
        let request = Request::TransferLeader(request);
        let Response::TransferLeader(response) = self.call(&request, limit).await? else {
            return Err(self.unexpected_answer());
        };
        Ok(response)
    }

    /// Sends a checkpoint, over as many connections as it takes. When it is given up half-way, the next one goes on
    /// where it stood.
    pub(crate) async fn send_snapshot(
        &mut self,
        vote: Vote,
        meta: SnapshotMeta,
        rows: SnapshotRows,
    ) -> Result<SnapshotResponse, Unreachable> {
        let anew = std::mem::take(&mut self.anew);
        let transfer = Transfer::new(vote, meta, rows, anew);
        let sent = transfer.run(&self.dialer, self.target, &self.address).await;
        sent.map_err(|error| {
            self.anew = matches!(error, TransferError::Anew(_));
            self.unreachable(&error)
        })
    }

    /// Sends a request and waits for its response.
    async fn call(&mut self, request: &Request, limit: Duration) -> Result<Response, Unreachable> {
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

    pub(super) fn unreachable(&self, why: &dyn std::fmt::Display) -> Unreachable {
        Unreachable(format!("server {} at {}: {why}", self.target, self.address))
    }

    /// It has lost what it acknowledged; the log says so now and then.
    pub(super) fn lost_entries(&self, reason: &str) -> Unreachable {
        if self.rate_limited_log.lock().should_log(self.target, "it is forgetful") {
            tracing::error!("{reason}");
        }
        self.unreachable(&reason)
    }

    pub(super) fn unexpected_answer(&self) -> Unreachable {
        self.unreachable(&"it answers something else than it was asked")
    }
}

impl Drop for Peer {
    /// Leaves the connection, or what is to become one, to the next one.
    fn drop(&mut self) {
        let link = self.link.take().filter(|link| link.is_whole() && link.owed() == 0);
        let mut idle = self.idle.lock();
        match (link, self.dialling.take()) {
            (Some(link), _) => drop(idle.insert(self.target, Spare::Link(Box::new(link)))),
            (None, Some(dialling)) => {
                idle.entry(self.target).or_insert(Spare::Dialling(dialling));
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::address_book::AddressBook;
    use super::super::authenticator::Authenticator;
    use super::super::frame::receive;
    use super::super::frame::send;
    use super::super::handshake::hello::PeerIdentity;
    use super::super::security::Security;
    use super::*;
    use crate::storage::ClusterId;

    fn member(server: u64) -> PeerIdentity {
        PeerIdentity { cluster: ClusterId(7), server }
    }

    #[tokio::test]
    async fn what_a_vote_began_the_next_one_finishes() {
        // A vote has little time. A connection that takes longer to be made serves the next vote: else
        // servers that are far apart would dial for ever and never elect anybody.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let place = (Security::default(), AddressBook::naming([1]));
        let dialer = Dialer::new(member(1), AddressBook::default(), Security::default());
        let peers = Peers::new(dialer, LeadershipHandles::of(1));
        let vote = |term, server| Vote { term, server, committed: false };
        let ask = VoteRequest { vote: vote(5, 1), last: None, is_handed_over: false };
        let soon = Duration::from_millis(30);
        let late = peers.peer(2, &address).pre_vote(ask, soon).await;
        assert!(late.is_err(), "{late:?}");

        let authenticator = Authenticator::new(member(2), place, None);
        let (stream, from) = listener.accept().await.unwrap();
        let (_, mut stream) = authenticator.authenticate(stream, from).await.unwrap();
        let granted = VoteResponse { vote: vote(4, 2), last: None, is_granted: true };
        let answering = async {
            let Request::PreVote(_) = receive(&mut stream).await.unwrap() else {
                panic!("no vote")
            };
            send(&mut stream, &Response::Vote(granted)).await.unwrap();
        };
        let mut peer = peers.peer(2, &address);
        let asking = peer.pre_vote(ask, Duration::from_secs(60));
        let (answered, ()) = tokio::join!(asking, answering);
        assert_eq!(answered.unwrap(), granted);
    }
}
