//! The accepting side: hears what peers ask and lets openraft answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openraft::Raft;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::state_machine::{Machine, SnapshotRows, StateMachine};
use super::super::typ::{RaftVote, Snapshot, SnapshotMeta, TypeConfig};
use super::frame::{Membership, receive, send, welcome};
use super::message::{Request, Response};
use crate::storage::{Row, StorageError};

/// How long a greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// The socket that peers connect to.
#[derive(Debug)]
pub(in crate::consensus) struct PeerListener {
    listener: TcpListener,
    own: Membership,
}

impl PeerListener {
    /// Listens for peers.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::consensus) async fn bind(addr: SocketAddr, own: Membership) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(addr).await?, own })
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
                    let connection = Connection { raft: raft.clone(), receiving: None };
                    let (own, stop) = (self.own, stop.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            () = connection.serve(stream, from, own) => {}
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
    async fn serve(mut self, mut stream: TcpStream, from: SocketAddr, own: Membership) {
        let greeting = timeout(GREETING_TIMEOUT, welcome(&mut stream, &own)).await;
        let peer = match greeting {
            Ok(Ok(peer)) => peer,
            Ok(Err(error)) => return tracing::warn!("refused a connection from {from}: {error}"),
            Err(_) => return tracing::warn!("{from} did not greet in time"),
        };
        // Latency matters more than the number of packets; not worth failing for.
        let _ = stream.set_nodelay(true);
        loop {
            let request: Request = match receive(&mut stream).await {
                Ok(request) => request,
                Err(error) => return tracing::debug!("server {peer} at {from} left: {error}"),
            };
            let response = self.answer(request).await.unwrap_or_else(Response::Failed);
            if let Err(error) = send(&mut stream, &response).await {
                return tracing::debug!("server {peer} at {from} left: {error}");
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
