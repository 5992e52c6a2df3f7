//! The changes under a prefix.

use bytes::Bytes;

use crate::client::Client;
use crate::error::Error;
use crate::recipes::{CacheEvent, CacheEvents, TreeCache};
use crate::runtime::{JoinHandle, spawn};

use super::keys::{is_key, is_lease};

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The key has a value: it was there when the watch began, or was put.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: Bytes,
    },
    /// The key was deleted.
    Deleted {
        /// The key.
        key: String,
    },
    /// A lease has ended: it was not refreshed, its holder is gone, or it was given up.
    LeaseExpired {
        /// The name of the lease.
        key: String,
    },
    /// The reader was too far behind: events are missing here, and what is watched has to be read
    /// again.
    Missed,
}

/// All that happens to the keys under a prefix, see [`Store::watch`](super::Store::watch).
///
/// It goes on through lost connections and sessions: what happened in between is told then, less
/// what cancelled itself out. Dropping it ends the watch.
#[derive(Debug)]
pub struct StoreWatch {
    cache: TreeCache,
    events: CacheEvents,
}

impl StoreWatch {
    pub(super) fn start(client: &Client, path: &str) -> Self {
        let (cache, events) = TreeCache::start_listening(client, path);
        Self { cache, events }
    }

    /// Waits until the watch is set: all that happens from then on is told.
    ///
    /// # Errors
    ///
    /// A refusal of the server, and the end of the client.
    pub async fn ready(&self) -> Result<(), Error> {
        self.cache.ready().await
    }

    /// The next event, or `None` when the client has ended. Nothing is lost when the future is
    /// dropped before it is ready.
    pub async fn next(&mut self) -> Option<StoreEvent> {
        loop {
            if let Some(event) = told(self.events.recv().await?) {
                return Some(event);
            }
        }
    }

    /// Calls `callback` for each event.
    pub(super) fn call(
        mut self,
        mut callback: impl FnMut(StoreEvent) + Send + 'static,
    ) -> WatchGuard {
        WatchGuard(spawn(async move {
            while let Some(event) = self.next().await {
                callback(event);
            }
        }))
    }
}

/// A watch with a callback; dropping it ends the watch.
#[derive(Debug)]
#[must_use = "a watch ends when its guard is dropped"]
pub struct WatchGuard(JoinHandle<()>);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn told(event: CacheEvent) -> Option<StoreEvent> {
    match event {
        CacheEvent::Added { path, data, stat } => {
            is_key(&data, &stat).then_some(StoreEvent::Put { key: path, value: data })
        }
        CacheEvent::Changed { path, data, stat } if is_key(&data, &stat) => {
            Some(StoreEvent::Put { key: path, value: data })
        }
        CacheEvent::Changed { path, .. } => Some(StoreEvent::Deleted { key: path }),
        CacheEvent::Removed { path, stat, .. } if is_lease(&stat) => {
            Some(StoreEvent::LeaseExpired { key: path })
        }
        CacheEvent::Removed { path, data, stat } => {
            is_key(&data, &stat).then_some(StoreEvent::Deleted { key: path })
        }
        CacheEvent::Synchronised => None,
        CacheEvent::Missed => Some(StoreEvent::Missed),
    }
}
