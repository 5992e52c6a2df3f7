//! Accepts clients, within the limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_task;
use super::secure::{Secure, Welcome};
use crate::config::ClientsConfig;
use crate::node::{ServeError, Shared};
use crate::telemetry::RateLimitedLog;

/// Connections that wait to be accepted, where the configuration does not say.
const BACKLOG: u32 = 1024;

/// A socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    door: Door,
}

/// How clients are let in.
#[derive(Clone, Debug)]
struct Door {
    way: Way,
    /// What was said of addresses: a client that is refused tries again and again.
    rate_limited_log: Arc<Mutex<RateLimitedLog<IpAddr>>>,
}

impl Door {
    /// Writes a line to the log, unless the same was said of this address lately.
    fn log_rejection(&self, of: IpAddr, what: &str) {
        if self.rate_limited_log.lock().should_log(of, what) {
            tracing::warn!("{what} (said once a minute at most)");
        }
    }
}

/// Who is served.
#[derive(Clone, Debug)]
enum Way {
    /// Clients without TLS.
    Plain,
    /// Those with it.
    Secure(Arc<Secure>),
    /// Both.
    Mixed(Arc<Secure>),
}

impl Listener {
    /// Listens where the configuration says, for clients without TLS first.
    ///
    /// # Errors
    /// [`ServeError::Listen`] where that is not possible, [`ServeError::Tls`] where keys or
    /// certificates cannot be used.
    pub fn bind(config: &ClientsConfig) -> Result<Vec<Self>, ServeError> {
        let mut listeners = Vec::new();
        let secure = config.secure.as_ref();
        let tls = secure.map(|secure| Secure::load(&secure.tls).map(Arc::new)).transpose()?;
        if config.plain {
            let mixed = secure.is_some_and(|secure| secure.at_client_port);
            let way = tls.clone().filter(|_| mixed).map_or(Way::Plain, Way::Mixed);
            listeners.push(Self::listen(config, config.addr, way)?);
        }
        if let Some(addr) = secure.and_then(|secure| secure.addr)
            && let Some(tls) = tls
        {
            listeners.push(Self::listen(config, addr, Way::Secure(tls))?);
        }
        Ok(listeners)
    }

    fn listen(config: &ClientsConfig, addr: SocketAddr, way: Way) -> Result<Self, ServeError> {
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
            Ok(Self { listener, addr, door: Door { way, rate_limited_log: Arc::default() } })
        };
        listen().map_err(|source| ServeError::Listen { addr, source })
    }

    /// Whether it is for clients with TLS alone.
    pub fn is_secure(&self) -> bool {
        matches!(self.door.way, Way::Secure(_))
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
                Ok((stream, peer)) => admit(&shared, &stop, &tasks, (stream, peer), &self.door),
                Err(error) => {
                    // Out of file descriptors, mostly: others may be closed meanwhile.
                    self.door.log_rejection(
                        self.addr.ip(),
                        &format!("cannot accept a connection: {error}"),
                    );
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
    (stream, peer): (TcpStream, SocketAddr),
    door: &Door,
) {
    let config = &shared.config.clients;
    if !shared.descriptors.leave_enough(&stream) {
        shared.stats.conns.connections_rejected.increment();
        let listener = stream.local_addr().map_or(peer.ip(), |addr| addr.ip());
        return door.log_rejection(
            listener,
            "too many connections for the limit of open files (`ulimit -n`): new ones are refused",
        );
    }
    if !shared.connections.admit(peer.ip(), config.max_per_ip, config.max_total) {
        shared.stats.conns.connections_rejected.increment();
        door.log_rejection(peer.ip(), &format!("too many connections from {}: refused", peer.ip()));
        return;
    }
    // Neither option is worth refusing a client for.
    let _ = stream.set_nodelay(true);
    if config.tcp_keep_alive {
        let _ = SockRef::from(&stream).set_keepalive(true);
    }
    let (shared, stop, door) = (Arc::clone(shared), stop.clone(), door.clone());
    tasks.spawn(async move {
        if let Some(welcome) = greet(&shared, &stop, (stream, peer), &door).await {
            client_task::run(&shared, welcome, peer, &stop).await;
        }
        shared.connections.release(peer.ip());
    });
}

/// Shakes hands where that is to be done; a client that does it wrong is named in the log.
async fn greet(
    shared: &Shared,
    stop: &CancellationToken,
    (stream, peer): (TcpStream, SocketAddr),
    door: &Door,
) -> Option<Welcome> {
    let (tls, also_plain) = match &door.way {
        Way::Plain => return Some(Welcome::plain(stream)),
        Way::Secure(tls) => (tls, false),
        Way::Mixed(tls) => (tls, true),
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream, peer, also_plain) => accepted,
        () = stop.cancelled() => return None,
    };
    match accepted {
        Ok(welcome) => Some(welcome),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            tracing::debug!("{peer} left during the TLS handshake");
            None
        }
        Err(error) => {
            shared.stats.conns.connections_rejected.increment();
            let ip = peer.ip();
            door.log_rejection(ip, &format!("refused a connection from {ip}: {error}"));
            None
        }
    }
}
