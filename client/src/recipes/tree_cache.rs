//! A mirror of a subtree.

use std::sync::Arc;

use bytes::Bytes;
use jute_proto::Stat;
use parking_lot::RwLock;
use tokio::sync::{broadcast, oneshot, watch};

use crate::client::Client;
use crate::error::{Error, Fate};
use crate::path::child;
use crate::runtime::spawn;

use super::read_subtree::Nodes;
use super::tree_cache_task::{State, TreeCacheTask};

/// How many events are kept for a listener that is behind.
const EVENTS_MAX: usize = 1024;

/// A mirror of a znode and all below it, kept up to date by a recursive watch in a task of its own.
///
/// Reading from it costs no request. It is behind the server by the time that an event and the read
/// that follows it take; each znode's state is one that it really had, and states do not go
/// backwards.
///
/// **When the connection is lost** the mirror stays as it was, and is compared with the server when
/// there is a connection again; what happened in between is told as events, less what cancelled
/// itself out. **When the session is lost** the same happens in the next session.
///
/// It needs ZooKeeper 3.6 or newer.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::TreeCache;
///
/// let cache = TreeCache::start(&client, "/config");
/// cache.ready().await?;
/// let mut events = cache.events();
/// println!("{:?}", cache.get("/config/limits"));
/// while let Some(event) = events.recv().await {
///     println!("{event:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TreeCache {
    nodes: Arc<RwLock<Nodes>>,
    state: watch::Receiver<State>,
    events: broadcast::WeakSender<CacheEvent>,
    /// Ends the task when it is dropped.
    _stop: oneshot::Sender<()>,
}

/// A change that a [`TreeCache`] tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheEvent {
    /// A znode is there.
    Added {
        /// Its path.
        path: String,
        /// Its data.
        data: Bytes,
        /// Its metadata.
        stat: Stat,
    },
    /// A znode's data was set.
    Changed {
        /// Its path.
        path: String,
        /// Its data.
        data: Bytes,
        /// Its metadata.
        stat: Stat,
    },
    /// A znode is gone.
    Removed {
        /// Its path.
        path: String,
        /// Its last data, as far as this mirror knows.
        data: Bytes,
        /// Its last metadata, as far as this mirror knows.
        stat: Stat,
    },
    /// The mirror has been compared with the server as a whole: at first, and after each gap.
    Synchronised,
    /// The listener was too far behind: events are missing here.
    Missed,
}

/// The events of a [`TreeCache`] from the moment on at which this was made.
#[derive(Debug)]
pub struct CacheEvents(Option<broadcast::Receiver<CacheEvent>>);

impl CacheEvents {
    /// The next event, or `None` when the mirror has ended.
    pub async fn recv(&mut self) -> Option<CacheEvent> {
        match self.0.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(CacheEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl TreeCache {
    /// Begins to mirror the znode `path`, which need not exist, in a task of the runtime.
    #[must_use]
    pub fn start(client: &Client, path: &str) -> Self {
        Self::start_listening(client, path).0
    }

    /// As [`start`](Self::start), with the events from the very beginning: each znode that is there
    /// is told as added, then [`CacheEvent::Synchronised`].
    #[must_use]
    pub fn start_listening(client: &Client, path: &str) -> (Self, CacheEvents) {
        let nodes = Arc::new(RwLock::new(Nodes::new()));
        let (state, seen) = watch::channel(State::Loading);
        let (events, first) = broadcast::channel(EVENTS_MAX);
        let (stop, stopped) = oneshot::channel();
        let weak = events.downgrade();
        let task =
            TreeCacheTask::new(client.clone(), path.to_owned(), Arc::clone(&nodes), state, events);
        spawn(task.run(stopped));
        (Self { nodes, state: seen, events: weak, _stop: stop }, CacheEvents(Some(first)))
    }

    /// Waits until the mirror is complete for the first time.
    ///
    /// # Errors
    ///
    /// A refusal of the server, and the end of the client: nothing is mirrored any longer then.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        match state.wait_for(|state| *state != State::Loading).await.as_deref() {
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(State::Ready | State::Loading) => Ok(()),
            Err(_) => Err(Error::Closed { fate: Fate::NotApplied }),
        }
    }

    /// The data and metadata of a znode. The counts of its children are those of the last time
    /// that the znode itself was read; [`children`](Self::children) has the present ones.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(Bytes, Stat)> {
        self.nodes.read().get(path).cloned()
    }

    /// The names of the children of a znode, in order.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        let below = child(path, "");
        let nodes = self.nodes.read();
        nodes
            .range::<str, _>((
                std::ops::Bound::Excluded(below.as_str()),
                std::ops::Bound::Unbounded,
            ))
            .map_while(|(path, _)| path.strip_prefix(&below))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// All znodes of the mirror in the order of their paths: path, data and metadata.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Bytes, Stat)> {
        let nodes = self.nodes.read();
        nodes.iter().map(|(path, (data, stat))| (path.clone(), data.clone(), *stat)).collect()
    }

    /// The events from this moment on.
    #[must_use]
    pub fn events(&self) -> CacheEvents {
        CacheEvents(self.events.upgrade().map(|events| events.subscribe()))
    }
}
