//! The accepting side: hears what peers ask and lets openraft answer.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::formation::Formation;
use super::super::state_machine::{Machine, StateMachine};
use super::super::typ::TypeConfig;
use super::dialer::AddressBook;
use super::frame::{receive, send};
use super::gate::{ForwardConn, Gate};
use super::hello::{Own, Purpose};
use super::inbox::{Inbox, Receiving};
use super::message::{Request, Response};
use super::security::Security;
use super::stream::PeerStream;
use crate::storage::Spool;

/// A request that takes longer is answered by [`Response::Working`] meanwhile, this often.
const WORKING_INTERVAL: Duration = Duration::from_secs(5);

/// The socket that peers connect to.
#[derive(Debug)]
pub(in crate::consensus) struct PeerListener {
    listener: TcpListener,
    gate: Gate,
    inbox: Inbox,
}

impl PeerListener {
    /// Listens for peers. Connections that forward requests go to `forwards`; whoever serves them
    /// also ends them. One that finds the queue full is dropped, its peer tries again.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::consensus) async fn bind(
        addr: SocketAddr,
        own: Own,
        place: (Security, AddressBook),
        forwards: Option<mpsc::Sender<ForwardConn>>,
        spool: Spool,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let gate = Gate::new(own, place, forwards);
        Ok(Self { listener, gate, inbox: Inbox::new(spool) })
    }

    /// Serves peers until `stop`.
    pub(in crate::consensus) async fn run<M: StateMachine>(
        self,
        raft: Raft<TypeConfig, Machine<M>>,
        formation: Arc<Formation>,
        stop: CancellationToken,
    ) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, from)) => {
                    let (gate, stop) = (self.gate.clone(), stop.clone());
                    let inbox = self.inbox.clone();
                    let formation = Arc::clone(&formation);
                    let connection =
                        Connection { raft: raft.clone(), inbox, formation, receiving: None };
                    connections.spawn(async move {
                        tokio::select! {
                            () = serve(gate, connection, stream, from) => {}
                            () = stop.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection of a peer: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

/// Serves one connection to its end.
async fn serve<M: StateMachine>(
    gate: Gate,
    connection: Connection<M>,
    stream: TcpStream,
    addr: SocketAddr,
) {
    let Some((welcomed, stream)) = gate.admit(stream, addr).await else { return };
    let from = welcomed.from;
    match welcomed.purpose {
        Purpose::Raft => connection.serve(stream, from).await,
        Purpose::Formation => connection.formation.answer(stream).await,
        Purpose::Forward => gate.hand_over(ForwardConn { from, stream }),
    }
}

/// One connection of a peer.
struct Connection<M: StateMachine> {
    raft: Raft<TypeConfig, Machine<M>>,
    inbox: Inbox,
    formation: Arc<Formation>,
    receiving: Option<Receiving>,
}

impl<M: StateMachine> Connection<M> {
    async fn serve(mut self, mut stream: PeerStream, peer: u64) {
        loop {
            let request: Request = match receive(&mut stream).await {
                Ok(request) => request,
                Err(error) => return tracing::debug!("server {peer} left: {error}"),
            };
            if let Err(error) = self.answer(&mut stream, request).await {
                return tracing::debug!("server {peer} left: {error}");
            }
        }
    }

    /// Answers a request; says meanwhile that it is still there.
    async fn answer(&mut self, stream: &mut PeerStream, request: Request) -> io::Result<()> {
        let mut work = pin!(self.perform(request));
        loop {
            match timeout(WORKING_INTERVAL, &mut work).await {
                Ok(done) => return send(stream, &done.unwrap_or_else(Response::Failed)).await,
                Err(_) => send(stream, &Response::Working).await?,
            }
        }
    }

    async fn perform(&mut self, request: Request) -> Result<Response, String> {
        Ok(match request {
            Request::Append(rpc) => {
                let committed = rpc.leader_commit.as_ref().map_or(0, |at| at.index);
                let response = self.raft.append_entries(rpc).await.map_err(|e| e.to_string())?;
                if response.is_success() && self.formation.is_joining() {
                    let last = self.raft.metrics().borrow_watched().last_log_index;
                    self.formation.caught_up_to(last, committed);
                }
                Response::Append(response)
            }
            Request::Vote(_) | Request::PreVote(_) if self.formation.is_joining() => {
                return Err("it has to catch up before it votes".to_owned());
            }
            Request::Vote(rpc) => {
                Response::Vote(self.raft.vote(rpc).await.map_err(|e| e.to_string())?)
            }
            Request::PreVote(rpc) => {
                Response::Vote(self.raft.pre_vote(rpc).await.map_err(|e| e.to_string())?)
            }
            Request::TransferLeader(rpc) => Response::TransferLeader(
                self.raft.handle_transfer_leader(rpc).await.map_err(|e| e.to_string())?,
            ),
            Request::BeginSnapshot { vote, meta, anew } => {
                let (response, receiving) =
                    self.inbox.begin(&self.raft, (vote, meta), anew).await?;
                self.receiving = receiving;
                response
            }
            Request::Rows(block) => {
                let receiving = self.receiving.as_ref().ok_or(NO_SNAPSHOT)?;
                self.inbox.take(receiving, block).await?
            }
            Request::EndSnapshot(total) => {
                let receiving = self.receiving.take().ok_or(NO_SNAPSHOT)?;
                self.inbox.install(&self.raft, receiving, total).await?
            }
        })
    }
}

/// Why rows are not taken that no [`Request::BeginSnapshot`] came before.
const NO_SNAPSHOT: &str = "these are rows of no checkpoint";
