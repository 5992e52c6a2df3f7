//! The accepting side: hears what peers ask and lets Raft answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kernel::ensemble::MemberId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::leadership::contact::Contact;
use super::super::leadership::fast_failover::FastFailover;
use super::super::leadership::timings::WORKING_EVERY;
use super::address_book::AddressBook;
use super::authenticator::{Authenticator, ForwardConn};
use super::connection_limits::{ConnectionLimits, Owner};
use super::frame::Frames;
use super::frame::Room;
use super::frame::send;
use super::handshake::hello::{LocalIdentity, Purpose};
use super::message::{AppendRequest, Request, Response};
use super::peer_service::{BootstrapService, RaftService};
use super::security::Security;
use super::snapshot_receiver::{IncomingSnapshot, SnapshotReceiver};
use super::stream::PeerStream;
use super::terms::check_request;
use crate::env::net::{TcpListener, TcpStream};
use crate::env::task::unconstrained;
use crate::env::time::{Instant, sleep, sleep_until, timeout};
use crate::storage::Spool;

/// Appends of one connection that may wait to be flushed.
const APPENDS_MAX: usize = 64;

/// The socket that peers connect to.
#[derive(Debug)]
pub(crate) struct PeerListener {
    listener: TcpListener,
    shared: Shared,
}

/// What all connections of peers share. Clones are one.
#[derive(Clone, Debug)]
struct Shared {
    authenticator: Authenticator,
    snapshots: SnapshotReceiver,
    limits: ConnectionLimits,
    room: Room,
}

/// Who serves the connections of peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PeerServices {
    /// Answers what is asked of Raft.
    pub(crate) raft: Arc<dyn RaftService>,
    /// Answers servers that look for their ensemble.
    pub(crate) bootstrap: Arc<dyn BootstrapService>,
    /// Is told of each request of Raft.
    pub(crate) contact: Contact,
    /// Is told when a connection ends on which Raft was talked.
    pub(crate) failover: FastFailover,
}

impl PeerListener {
    /// Listens for peers. Connections that forward requests go to `forwards`; the task that serves them
    /// also ends them. One that finds the queue full is dropped, its peer tries again.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn bind(
        addr: SocketAddr,
        own: LocalIdentity,
        place: (Security, AddressBook),
        forwards: mpsc::Sender<ForwardConn>,
        spool: Spool,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let authenticator = Authenticator::new(own, place, Some(forwards));
        let (snapshots, limits, room) =
            (SnapshotReceiver::new(spool), ConnectionLimits::default(), Room::default());
        Ok(Self { listener, shared: Shared { authenticator, snapshots, limits, room } })
    }

    /// Serves peers until `stop`.
    pub(crate) async fn run(self, services: PeerServices, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, from)) => {
                    let (shared, services) = (self.shared.clone(), services.clone());
                    let stop = stop.clone();
                    connections.spawn(async move {
                        tokio::select! {
                            () = shared.serve(services, stream, from) => {}
                            () = stop.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection of a peer: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

impl Shared {
    /// Serves one connection to its end.
    async fn serve(self, services: PeerServices, stream: TcpStream, addr: SocketAddr) {
        let Self { authenticator, snapshots, limits, room } = self;
        let unidentified = limits.acquire(Owner::Unidentified);
        let authenticated = tokio::select! {
            authenticated = authenticator.authenticate(stream, addr) => authenticated,
            () = unidentified.evicted() => None,
        };
        drop(unidentified);
        let Some((welcomed, stream)) = authenticated else { return };
        let from = welcomed.from;
        let server = MemberId::number_of(from);
        let owner = match welcomed.purpose {
            Purpose::Bootstrap => Owner::Bootstrapping,
            Purpose::Raft | Purpose::Forward | Purpose::Lead => Owner::Server(server),
        };
        let permit = limits.acquire(owner);
        match welcomed.purpose {
            Purpose::Raft => tokio::select! {
                error = Connection { services, snapshots, room, receiving: None }.serve(stream, from) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        authenticator.log_rejection(addr, &error);
                    }
                }
                () = permit.evicted() => {}
            },
            Purpose::Bootstrap => tokio::select! {
                () = services.bootstrap.answer(stream, from) => {}
                () = permit.evicted() => {}
            },
            purpose @ (Purpose::Forward | Purpose::Lead) => {
                authenticator.hand_over(ForwardConn { from, purpose, stream, permit, room });
            }
        }
    }
}

/// One connection of a peer on which Raft is talked.
struct Connection {
    services: PeerServices,
    snapshots: SnapshotReceiver,
    room: Room,
    /// The checkpoint that comes in on it.
    receiving: Option<IncomingSnapshot>,
}

/// An append that is not flushed yet.
type Pending = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What happened next on a connection.
enum Event {
    Request(io::Result<Request>),
    Answer(Response),
    WorkingDue,
}

impl Connection {
    /// Serves the peer until it leaves, or says what cannot be; returns why it ended.
    async fn serve(mut self, mut stream: PeerStream, peer: u64) -> io::Error {
        let Err(error) = self.try_serve(&mut stream, peer).await;
        tracing::debug!("server {} left: {error}", MemberId::from_raft_id(peer));
        self.services.failover.connection_closed(peer);
        error
    }

    /// Refuses what no honest server says.
    fn check(&self, request: &Request, peer: u64) -> io::Result<()> {
        check_request(request, peer, self.services.raft.term())
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Takes up to [`APPENDS_MAX`] appends at once; anything else alone, after those before it.
    async fn try_serve(&mut self, stream: &mut PeerStream, peer: u64) -> io::Result<Infallible> {
        let mut frames = Frames::new(self.room.clone());
        let (mut appends, mut other) = (VecDeque::<Pending>::new(), None);
        let mut last_sent = Instant::now();
        loop {
            if appends.is_empty()
                && let Some(request) = other.take()
            {
                self.answer(stream, request).await?;
            }
            let has_room = other.is_none() && appends.len() < APPENDS_MAX;
            let event = tokio::select! {
                biased;
                answer = first(&mut appends) => Event::Answer(answer),
                request = frames.next(stream), if has_room => Event::Request(request),
                () = sleep_until(last_sent + WORKING_EVERY), if !appends.is_empty() => {
                    Event::WorkingDue
                }
            };
            if let Event::Request(Ok(request)) = &event {
                self.check(request, peer)?;
                self.services.contact.requesting().note(peer);
            }
            match event {
                Event::Request(Ok(Request::Append(rpc))) => {
                    if appends.is_empty() {
                        last_sent = Instant::now();
                    }
                    appends.push_back(self.append(rpc).await);
                }
                Event::Request(request) => other = Some(request?),
                Event::Answer(response) => {
                    appends.pop_front();
                    send(stream, &response).await?;
                    last_sent = Instant::now();
                }
                Event::WorkingDue => {
                    send(stream, &Response::Working).await?;
                    last_sent = Instant::now();
                }
            }
        }
    }

    /// Begins an append; it has its place behind those before it when this returns.
    async fn append(&self, request: AppendRequest) -> Pending {
        begin(self.services.raft.append(request)).await
    }

    /// Answers a request; says meanwhile that it is still there.
    async fn answer(&mut self, stream: &mut PeerStream, request: Request) -> io::Result<()> {
        let mut work = pin!(self.perform(request));
        loop {
            match timeout(WORKING_EVERY, &mut work).await {
                Ok(done) => return send(stream, &done.unwrap_or_else(Response::Failed)).await,
                Err(_) => send(stream, &Response::Working).await?,
            }
        }
    }

    async fn perform(&mut self, request: Request) -> Result<Response, String> {
        Ok(match request {
            Request::Append(rpc) => self.append(rpc).await.await,
            Request::Vote(rpc) => Response::Vote(self.services.raft.vote(rpc).await?),
            Request::PreVote(rpc) => Response::Vote(self.services.raft.pre_vote(rpc).await?),
            Request::TransferLeader(rpc) => {
                Response::TransferLeader(self.services.raft.transfer_leader(rpc).await?)
            }
            Request::BeginSnapshot { vote, meta, anew } => {
                let (response, receiving) =
                    self.snapshots.begin(&*self.services.raft, (vote, meta), anew).await?;
                self.receiving = receiving;
                response
            }
            Request::Rows(block) => {
                let receiving = self.receiving.as_ref().ok_or(NO_SNAPSHOT)?;
                self.snapshots.take(receiving, block).await?
            }
            Request::EndSnapshot(total) => {
                let receiving = self.receiving.take().ok_or(NO_SNAPSHOT)?;
                self.snapshots.install(&*self.services.raft, receiving, total).await?
            }
        })
    }
}

/// Begins something: what it sends to a channel with room has its place there when this returns. Raft's has room
/// for far more than all peers may send at once.
async fn begin(work: impl Future<Output = Response> + Send + 'static) -> Pending {
    // A task that has used up its turn is sent away by the next channel, and gets no place. What it begins later would
    // come first then, and an append in front of the one that it follows is a conflict.
    let mut work: Pending = Box::pin(unconstrained(work));
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(response) => Box::pin(ready(response)),
        Poll::Pending => work,
    }
}

/// The answer of the first append; never, where there is none.
async fn first(appends: &mut VecDeque<Pending>) -> Response {
    match appends.front_mut() {
        Some(append) => append.await,
        None => pending().await,
    }
}

/// Why rows are not taken that no [`Request::BeginSnapshot`] came before.
const NO_SNAPSHOT: &str = "these are rows of no checkpoint";

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::*;
    use crate::consensus::transport::message::AppendResponse;

    #[tokio::test]
    async fn what_is_begun_first_comes_first() {
        // Also in a task that has used up its turn each one has its place behind the one before, though only the answer
        // to the first is waited for.
        let (sender, mut received) = mpsc::channel(8);
        let mut begun = VecDeque::new();
        for number in 0..5 {
            poll_fn(|cx| {
                while has_budget_remaining() {
                    let _ = pin!(consume_budget()).poll(cx);
                }
                Poll::Ready(())
            })
            .await;
            let sender = sender.clone();
            let (answer, answered) = oneshot::channel();
            begun.push_back(
                begin(async move {
                    sender.send((number, answer)).await.unwrap();
                    answered.await.unwrap()
                })
                .await,
            );
        }
        for number in 0..5 {
            let (first, answer) = received.try_recv().unwrap();
            assert_eq!(first, number);
            answer.send(Response::Append(AppendResponse::Success)).unwrap();
            let answered = begun.pop_front().unwrap().await;
            assert!(matches!(answered, Response::Append(AppendResponse::Success)));
        }
    }
}
