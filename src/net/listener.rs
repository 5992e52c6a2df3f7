//! Accepts clients, within the limits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_task;
use super::secure::{AcceptedStream, Secure};
use super::service::ClientService;
use crate::config::ClientsConfig;
use crate::env::net::{TcpListener, TcpStream};
use crate::env::time::sleep;
use crate::telemetry::RateLimitedLog;
use crate::tls::TlsError;

/// Connections that wait to be accepted, where the configuration does not say.
const BACKLOG: u32 = 1024;

/// Why clients cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// Keys or certificates of TLS with clients cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A client port cannot be listened on.
    #[error("cannot listen on {addr}: {source} (another server may be running there)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    port: ClientPort,
}

/// How clients are admitted at a socket.
#[derive(Clone, Debug)]
struct ClientPort {
    tls_mode: TlsMode,
    /// What was logged of addresses: a client that is refused tries again and again.
    rate_limited_log: Arc<Mutex<RateLimitedLog<IpAddr>>>,
}

impl ClientPort {
    /// Writes a line to the log, unless the same was said of this address lately.
    fn log_rejection(&self, of: IpAddr, what: &str) {
        if self.rate_limited_log.lock().should_log(of, what) {
            tracing::warn!("{what} (said once a minute at most)");
        }
    }
}

/// Who is served.
#[derive(Clone, Debug)]
enum TlsMode {
    /// Clients without TLS.
    Off,
    /// Those with it.
    Required(Arc<Secure>),
    /// Both.
    Optional(Arc<Secure>),
}

impl Listener {
    /// Listens where the configuration says, for clients without TLS first.
    ///
    /// # Errors
    /// [`ListenerError::Listen`] where that is not possible, [`ListenerError::Tls`] where keys or
    /// certificates cannot be used.
    pub fn bind(config: &ClientsConfig) -> Result<Vec<Self>, ListenerError> {
        let mut listeners = Vec::new();
        let secure = config.secure.as_ref();
        let tls = secure.map(|secure| Secure::load(&secure.tls).map(Arc::new)).transpose()?;
        if config.plain {
            let mixed = secure.is_some_and(|secure| secure.at_client_port);
            let tls_mode = tls.clone().filter(|_| mixed).map_or(TlsMode::Off, TlsMode::Optional);
            listeners.push(Self::listen(config, config.addr, tls_mode)?);
        }
        if let Some(addr) = secure.and_then(|secure| secure.addr)
            && let Some(tls) = tls
        {
            listeners.push(Self::listen(config, addr, TlsMode::Required(tls))?);
        }
        Ok(listeners)
    }

    fn listen(
        config: &ClientsConfig,
        addr: SocketAddr,
        tls_mode: TlsMode,
    ) -> Result<Self, ListenerError> {
        let listen = || -> io::Result<Self> {
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
            Ok(Self {
                listener,
                addr,
                port: ClientPort { tls_mode, rate_limited_log: Arc::default() },
            })
        };
        listen().map_err(|source| ListenerError::Listen { addr, source })
    }

    /// Whether it is for clients with TLS alone.
    pub fn is_secure(&self) -> bool {
        matches!(self.port.tls_mode, TlsMode::Required(_))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until the server stops.
    pub async fn run(
        self,
        service: Arc<ClientService>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => admit(&service, &stop, &tasks, (stream, peer), &self.port),
                Err(error) => {
                    // Out of file descriptors, mostly: others may be closed meanwhile.
                    self.port.log_rejection(
                        self.addr.ip(),
                        &format!("cannot accept a connection: {error}"),
                    );
                    sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn admit(
    service: &Arc<ClientService>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    (stream, peer): (TcpStream, SocketAddr),
    port: &ClientPort,
) {
    let config = &service.view.config().clients;
    if !service.descriptors.leave_enough(&stream) {
        service.core().stats.conns.connections_rejected.increment();
        let listener = stream.local_addr().map_or(peer.ip(), |addr| addr.ip());
        return port.log_rejection(
            listener,
            "too many connections for the limit of open files (`ulimit -n`): new ones are refused",
        );
    }
    if !service.core().connections.admit(peer.ip(), config.max_per_ip, config.max_total) {
        service.core().stats.conns.connections_rejected.increment();
        port.log_rejection(peer.ip(), &format!("too many connections from {}: refused", peer.ip()));
        return;
    }
    // Neither option is worth refusing a client for.
    let _ = stream.set_nodelay(true);
    if config.tcp_keep_alive {
        let _ = SockRef::from(&stream).set_keepalive(true);
    }
    let (service, stop, port) = (Arc::clone(service), stop.clone(), port.clone());
    tasks.spawn(async move {
        if let Some(accepted) = handshake(&service, &stop, (stream, peer), &port).await {
            client_task::run(&service, accepted, peer, &stop).await;
        }
        service.core().connections.release(peer.ip());
    });
}

/// Shakes hands where that is to be done; a client that does it wrong is named in the log.
async fn handshake(
    service: &ClientService,
    stop: &CancellationToken,
    (stream, peer): (TcpStream, SocketAddr),
    port: &ClientPort,
) -> Option<AcceptedStream> {
    let (tls, also_plain) = match &port.tls_mode {
        TlsMode::Off => return Some(AcceptedStream::plain(stream)),
        TlsMode::Required(tls) => (tls, false),
        TlsMode::Optional(tls) => (tls, true),
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream, peer, also_plain) => accepted,
        () = stop.cancelled() => return None,
    };
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!("{peer} left during the TLS handshake");
            None
        }
        Err(error) => {
            service.core().stats.conns.connections_rejected.increment();
            let ip = peer.ip();
            port.log_rejection(ip, &format!("refused a connection from {ip}: {error}"));
            None
        }
    }
}
