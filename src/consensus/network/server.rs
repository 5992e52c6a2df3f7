//! The accepting side: hears what peers ask and lets openraft answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openraft::Raft;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::state_machine::{Machine, SnapshotRows, StateMachine};
use super::super::typ::{RaftVote, Snapshot, SnapshotMeta, TypeConfig};
use super::frame::{receive, send};
use super::gate::{ForwardConn, Gate};
use super::hello::{Membership, Purpose};
use super::message::{Request, Response};
use super::stream::PeerStream;
use crate::storage::{Row, StorageError};

/// The socket that peers connect to.
#[derive(Debug)]
pub(in crate::consensus) struct PeerListener {
    listener: TcpListener,
    gate: Gate,
}

impl PeerListener {
    /// Listens for peers. Connections that forward requests go to `forwards`; whoever serves them
    /// also ends them. One that finds the queue full is dropped, its peer tries again.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::consensus) async fn bind(
        addr: SocketAddr,
        own: Membership,
        forwards: Option<mpsc::Sender<ForwardConn>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let gate = Gate::new(own, forwards);
        Ok(Self { listener, gate })
    }

    /// Serves peers until `stop`.
    pub(in crate::consensus) async fn run<M: StateMachine>(
        self,
        raft: Raft<TypeConfig, Machine<M>>,
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
                    let (gate, raft, stop) = (self.gate.clone(), raft.clone(), stop.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            () = serve(gate, raft, stream, from) => {}
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
    raft: Raft<TypeConfig, Machine<M>>,
    stream: TcpStream,
    addr: SocketAddr,
) {
    let Some((welcomed, stream)) = gate.admit(stream, addr).await else { return };
    let from = welcomed.from;
    match welcomed.purpose {
        Purpose::Raft => Connection { raft, receiving: None }.serve(stream, from).await,
        Purpose::Forward => gate.hand_over(ForwardConn { from, stream }),
    }
}

/// A snapshot on its way in.
struct Receiving {
    vote: RaftVote,
    meta: SnapshotMeta,
    rows: Vec<Row>,
}

/// One connection of a peer.
struct Connection<M: StateMachine> {
    raft: Raft<TypeConfig, Machine<M>>,
    receiving: Option<Receiving>,
}

impl<M: StateMachine> Connection<M> {
    async fn serve(mut self, mut stream: PeerStream, peer: u64) {
        loop {
            let request: Request = match receive(&mut stream).await {
                Ok(request) => request,
                Err(error) => return tracing::debug!("server {peer} left: {error}"),
            };
            let response = self.answer(request).await.unwrap_or_else(Response::Failed);
            if let Err(error) = send(&mut stream, &response).await {
                return tracing::debug!("server {peer} left: {error}");
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<Response, String> {
        Ok(match request {
            Request::Append(rpc) => {
                Response::Append(self.raft.append_entries(rpc).await.map_err(|e| e.to_string())?)
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
            Request::BeginSnapshot { vote, meta } => {
                self.receiving = Some(Receiving { vote, meta, rows: Vec::new() });
                Response::Taken
            }
            Request::Rows(rows) => {
                let receiving = self.receiving.as_mut().ok_or("rows of no snapshot")?;
                for row in rows {
                    receiving.rows.push(Row::try_from(row)?);
                }
                Response::Taken
            }
            Request::EndSnapshot => self.install().await?,
        })
    }

    async fn install(&mut self) -> Result<Response, String> {
        let Receiving { vote, meta, rows } = self.receiving.take().ok_or("no snapshot")?;
        let rows = rows.into_iter().map(Ok::<Row, StorageError>);
        let snapshot = Snapshot { meta, snapshot: SnapshotRows(Box::new(rows)) };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        installed.map(Response::Snapshot).map_err(|error| error.to_string())
    }
}
