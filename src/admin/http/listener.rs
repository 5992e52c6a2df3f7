//! Connections of browsers and scrapers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::env::net::{TcpListener, TcpStream};
use crate::env::time::{sleep, timeout};

/// Connections at the same time; one more is closed at once.
const CONNECTIONS_MAX: usize = 64;
/// A connection is closed after this time even if it is busy, so that clients that do not read
/// cannot take all places for good.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long a connection that is to be closed may take for the answer under way.
const LINGER: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A bound address.
#[derive(Debug)]
pub(super) struct HttpListener {
    listener: TcpListener,
    addr: SocketAddr,
}

impl HttpListener {
    pub(super) async fn bind(addr: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the server stops. A connection on which no request begins for `idle` is closed.
    pub(super) async fn run(
        self,
        router: Router,
        idle: Duration,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("{}: cannot accept a connection: {error}", self.addr);
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("{}: {CONNECTIONS_MAX} connections: {peer} is refused", self.addr);
                continue;
            };
            let router = router.clone().layer(Extension(Peer(peer)));
            let stop = stop.clone();
            tasks.spawn(async move {
                serve(stream, router, idle, &stop).await;
                drop(place);
            });
        }
    }
}

async fn serve(stream: TcpStream, router: Router, idle: Duration, stop: &CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A client that breaks off, or sends no HTTP, is its own affair.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(CONNECTION_AGE_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LINGER, connection).await;
}
