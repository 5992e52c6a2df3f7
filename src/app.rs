//! Starting and stopping the whole: the only place that knows the node, its client ports and its administration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::replica::Replica;
use kernel::replica::checkpoint::RestoreError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::NodeView;
use crate::admin::http::{Surfaces, SurfacesError};
use crate::config::{ClientsConfig, Config};
use crate::env::fs;
use crate::net::{ClientService, Descriptors, Listener, ListenerError};
use crate::node::{self, Node, NodeError};
use crate::storage::{DataDir, OpenOptions, StorageError};

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The checkpoint does not make a state.
    #[error("{path}: {reason}", path = .path.display())]
    Restore {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: RestoreError,
    },
    /// The node does not start, or stopped.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Clients cannot be listened for.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// Operators cannot be listened for.
    #[error(transparent)]
    Surfaces(#[from] SurfacesError),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    node: Node,
    clients: ClientsConfig,
    admin_addr: Option<SocketAddr>,
    prometheus_addr: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Opens the data directory, brings the state up to date, and serves clients.
    ///
    /// # Errors
    /// [`ServeError`] says what is in the way; the data directory is as it was.
    pub async fn start(mut config: Config) -> Result<Self, ServeError> {
        let dir = open_data_dir(&config)?;
        let replica = restore(&dir, &config.data.dir)?;
        let listeners = Listener::bind(&config.clients)?;
        let surfaces = Surfaces::bind(&config).await?;
        let (admin_addr, prometheus_addr) = (surfaces.admin_addr(), surfaces.prometheus_addr());
        // From here on the address in use counts, which has a port where the file says 0.
        use_addresses(&mut config.clients, &listeners);
        let clients = config.clients.clone();
        let descriptors = Descriptors::raise_limit();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let node = Node::start(&config, (&dir, replica), &stop, &tasks).await?;
        let view = Arc::new(NodeView::new(config, &node));
        surfaces.run(&view, &stop, &tasks);
        let service = Arc::new(ClientService::new(Arc::clone(node.ingress()), view, descriptors));
        for listener in listeners {
            tasks.spawn(listener.run(Arc::clone(&service), stop.clone(), tasks.clone()));
        }
        Ok(Self { node, clients, admin_addr, prometheus_addr, stop, tasks })
    }

    /// Where clients connect; those with TLS where no others are served.
    pub fn client_addr(&self) -> SocketAddr {
        self.clients.addr
    }

    /// Where clients with TLS connect, if they have a port of their own.
    pub fn secure_addr(&self) -> Option<SocketAddr> {
        self.clients.secure.as_ref().and_then(|secure| secure.addr)
    }

    /// Where the administration server listens, if it does.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Where Prometheus finds `/metrics`, if anywhere.
    pub fn prometheus_addr(&self) -> Option<SocketAddr> {
        self.prometheus_addr
    }

    /// What serves behind the ports.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Waits until the server stops by itself, which it does only where it cannot go on.
    pub async fn failed(&self) -> ServeError {
        self.node.failed().await.into()
    }

    /// Closes all connections and stops. Sessions stay; their clients find them after a restart, or at
    /// another server. A leader hands over the lead first, so that the others need not miss it.
    pub async fn stop(self) {
        self.node.hand_over().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.node.shutdown().await;
    }
}

/// Puts the addresses in use into the configuration.
fn use_addresses(clients: &mut ClientsConfig, listeners: &[Listener]) {
    for listener in listeners {
        let addr = listener.local_addr();
        if let Some(secure) = clients.secure.as_mut().filter(|_| listener.is_secure()) {
            secure.addr = Some(addr);
        }
        if !listener.is_secure() || !clients.plain {
            clients.addr = addr;
        }
    }
}

fn open_data_dir(config: &Config) -> Result<DataDir, StorageError> {
    let (data, server) = (&config.data, config.ensemble.number());
    if !data.create_dirs {
        for dir in [&data.dir, &data.log_dir] {
            let action = "find, while datadir.autocreate is false, the directory";
            fs::metadata(dir).map_err(StorageError::io(action, dir))?;
        }
    }
    let mut options = OpenOptions::new(server);
    // Earlier builds took server 0 for one without a number.
    options.formerly = (!config.ensemble.is_distributed() && server == 0).then_some(1);
    options.log_dir = Some(data.log_dir.clone());
    options.log.slow_flush = Duration::from_millis(data.slow_fsync_warning_ms);
    DataDir::open(&data.dir, &options)
}

/// Bytes of the log that make one node, about: more room is made than is needed where nodes are larger,
/// or where the log has other writes, and less where they are smaller.
const LOG_BYTES_PER_NODE: u64 = 192;
/// Room for more nodes than this is not made in advance: at five bytes each, 10 MB.
const NODES_IN_LOG_MAX: u64 = 2 << 20;

/// Builds the state of the checkpoint.
fn restore(dir: &DataDir, path: &Path) -> Result<Replica, ServeError> {
    let mut rows = dir.state().reader()?.rows_ahead()?;
    let restored = node::restore(&mut rows, nodes_in_log(dir))?;
    restored.map_err(|reason| ServeError::Restore { path: path.to_owned(), reason })
}

/// How many nodes the log may add to those of the checkpoint. A table that has room for them need not grow,
/// which would look at every node of it again.
fn nodes_in_log(dir: &DataDir) -> usize {
    let bytes = dir.log().bytes_after(dir.state().mark().position);
    usize::try_from((bytes / LOG_BYTES_PER_NODE).min(NODES_IN_LOG_MAX)).unwrap_or(0)
}
