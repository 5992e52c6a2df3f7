//! From the configuration to listening servers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::HttpListener;
use super::router;
use crate::admin::NodeView;
use crate::config::{AdminConfig, Config};
use crate::env::fs;

/// Why operators cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum SurfacesError {
    /// A port cannot be listened on.
    #[error("cannot listen on {addr}: {source} (another server may be running there)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// The HTTP servers of a server, bound and not yet serving.
#[derive(Debug)]
pub struct Surfaces {
    admin: Option<HttpListener>,
    prometheus: Option<HttpListener>,
    idle: Duration,
    /// The text of the configuration file as it was at the start.
    initial_config: String,
}

impl Surfaces {
    /// Binds the addresses of the configuration. A taken address of the administration server is
    /// said in the log and no reason not to start, as in ZooKeeper, unless it was asked for by name.
    ///
    /// # Errors
    /// [`SurfacesError::Listen`] for an address that has to be there.
    pub async fn bind(config: &Config) -> Result<Self, SurfacesError> {
        let admin = bind_admin(&config.admin).await?;
        let prometheus = match config.metrics.prometheus_addr {
            None => None,
            Some(addr) => Some(
                HttpListener::bind(addr)
                    .await
                    .map_err(|source| SurfacesError::Listen { addr, source })?,
            ),
        };
        let text = config.source.as_ref().map(fs::read_to_string);
        Ok(Self {
            admin,
            prometheus,
            idle: Duration::from_millis(config.admin.idle_timeout_ms.max(1)),
            initial_config: text.and_then(Result::ok).unwrap_or_default(),
        })
    }

    /// Where the administration server listens.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(HttpListener::addr)
    }

    /// Where Prometheus finds `/metrics`.
    pub fn prometheus_addr(&self) -> Option<SocketAddr> {
        self.prometheus.as_ref().map(HttpListener::addr)
    }

    /// Serves until `stop`.
    pub fn run(self, view: &Arc<NodeView>, stop: &CancellationToken, tasks: &TaskTracker) {
        let Self { admin, prometheus, idle, initial_config } = self;
        if let Some(listener) = admin {
            tracing::debug!("administration at http://{}/", listener.addr());
            let router = router::admin(Arc::clone(view), initial_config);
            tasks.spawn(listener.run(router, idle, stop.clone(), tasks.clone()));
        }
        if let Some(listener) = prometheus {
            tracing::debug!("metrics at http://{}/metrics", listener.addr());
            let router = router::prometheus(Arc::clone(view));
            tasks.spawn(listener.run(router, idle, stop.clone(), tasks.clone()));
        }
    }
}

async fn bind_admin(config: &AdminConfig) -> Result<Option<HttpListener>, SurfacesError> {
    if !config.enabled {
        return Ok(None);
    }
    let addr = config.addr;
    match HttpListener::bind(addr).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if config.required => Err(SurfacesError::Listen { addr, source }),
        Err(error) => {
            tracing::warn!("no administration server: cannot listen on {addr}: {error}");
            Ok(None)
        }
    }
}
