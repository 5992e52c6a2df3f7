//! Accepts clients, within the limits.

use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_task;
use crate::config::ClientsConfig;
use crate::server::{ServeError, Shared};

/// Connections that wait to be accepted, where the configuration does not say.
const BACKLOG: u32 = 1024;

/// The socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Listener {
    /// Listens where the configuration says.
    ///
    /// # Errors
    /// [`ServeError::Listen`] where that is not possible.
    pub fn bind(config: &ClientsConfig) -> Result<Self, ServeError> {
        let addr = config.addr;
        let listen = || -> std::io::Result<Self> {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            if addr.is_ipv6() && addr.ip().is_unspecified() {
                socket.set_only_v6(false)?;
            }
            socket.bind(&addr.into())?;
            let backlog = config.listen_backlog.unwrap_or(BACKLOG);
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from_std(socket.into())?;
            let addr = listener.local_addr()?;
            Ok(Self { listener, addr })
        };
        listen().map_err(|source| ServeError::Listen { addr, source })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until the server stops.
    pub async fn run(self, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => admit(&shared, &stop, &tasks, stream, peer),
                Err(error) => {
                    // Out of file descriptors, mostly: others may be closed meanwhile.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn admit(
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let config = &shared.config.clients;
    if !shared.clients.admit(peer.ip(), config.max_per_ip, config.max_total) {
        shared.stats.connections_rejected.increment();
        tracing::warn!("too many connections from {}: one more refused", peer.ip());
        return;
    }
    // Neither option is worth refusing a client for.
    let _ = stream.set_nodelay(true);
    if config.tcp_keep_alive {
        let _ = SockRef::from(&stream).set_keepalive(true);
    }
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    tasks.spawn(async move {
        client_task::run(&shared, stream, peer, &stop).await;
        shared.clients.release(peer.ip());
    });
}
