//! The store: values under keys.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::client::{Client, Created};
use crate::error::Error;
use crate::path::parent;
use crate::recipes::PersistentNode;
use crate::recipes::read_subtree::read_subtree;
use crate::recipes::session_scope::SessionScope;
use crate::{CreateMode, ErrorCode};

use super::keys::{check_value, is_key, path_of};
use super::leases::Leases;
use super::watch::{StoreEvent, StoreWatch, WatchGuard};

/// A consistent store of keys and values: see the [module](super).
///
/// Clones are handles of the same store and cheap to make.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    leases: Arc<Leases>,
    linearizable: bool,
}

impl Store {
    /// Connects to one of `servers`, see [`Connector::connect`](crate::Connector::connect).
    ///
    /// # Errors
    ///
    /// Those of connecting.
    pub async fn connect(servers: &str) -> Result<Self, Error> {
        Client::connect(servers).await.map(|client| Self::new(&client))
    }

    /// The store of a client; its root is the client's.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let leases = Arc::new(Leases::default());
        Self { client: client.clone(), leases, linearizable: true }
    }

    /// A handle whose reads are answered by any server from what it has: faster, and perhaps a
    /// moment behind.
    #[must_use]
    pub fn allow_stale_reads(mut self) -> Self {
        self.linearizable = false;
        self
    }

    /// The client behind the store.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Puts a value under a key, in place of the one that is there. Keys on the way are made.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for an empty value; what the server refuses; an interruption, see
    /// [`Error::fate`].
    pub async fn put(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        check_value(value)?;
        let path = path_of(key);
        loop {
            match self.client.set(&path, value, None).await {
                Err(error) if error.is_no_node() => {}
                outcome => return outcome.map(drop),
            }
            match self.create(&path, value).await {
                Err(error) if error.is_node_exists() => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// The values of a key and of all keys below it, in the order of their keys.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn get(&self, prefix: &str) -> Result<Vec<Bytes>, Error> {
        Ok(self.entries(prefix).await?.into_iter().map(|(_, value)| value).collect())
    }

    /// A key and all keys below it with their values, in order. Leases without a value have an
    /// empty one.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn entries(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, Error> {
        let scope = self.caught_up().await?;
        let nodes = read_subtree(&scope, &path_of(prefix)).await?;
        let own = |path: &str| path != "/zookeeper" && !path.starts_with("/zookeeper/");
        Ok(nodes
            .into_iter()
            .filter(|(path, (data, stat))| own(path) && is_key(data, stat))
            .map(|(path, (data, _))| (path, data))
            .collect())
    }

    /// The value of one key, if it has one.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn value(&self, key: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.versioned(key).await?.and_then(|(value, _)| value))
    }

    /// Deletes a key. Returns whether it had a value. Keys below it stay.
    ///
    /// # Errors
    ///
    /// A refusal of the server; an interruption, see [`Error::fate`].
    pub async fn delete(&self, key: &str) -> Result<bool, Error> {
        let path = path_of(key);
        loop {
            let Some((Some(_), version)) = self.versioned(key).await? else { return Ok(false) };
            let outcome = match self.client.delete(&path, version).await {
                Err(error) if error.code() == Some(ErrorCode::NotEmpty) => {
                    self.client.set(&path, b"", version).await.map(drop)
                }
                outcome => outcome,
            };
            match outcome {
                Ok(()) => return Ok(true),
                // Changed in the meantime: look again.
                Err(error) if error.is_no_node() || error.is_bad_version() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a value under a key if the present value is `expected`, or, with `None`, if it has
    /// none. Returns whether that was so.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn compare_and_put(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<bool, Error> {
        check_value(value)?;
        let path = path_of(key);
        loop {
            let (present, version) = match self.versioned(key).await? {
                Some((present, version)) => (present, Some(version)),
                None => (None, None),
            };
            if present.as_deref() != expected {
                return Ok(false);
            }
            let outcome = match version {
                Some(version) => self.client.set(&path, value, version).await.map(drop),
                None => self.create(&path, value).await.map(drop),
            };
            match outcome {
                Ok(()) => return Ok(true),
                // Changed in the meantime: compare again.
                Err(error)
                    if error.is_no_node() || error.is_node_exists() || error.is_bad_version() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Registers a lease: a key that ends unless it is refreshed within each `ttl`, and at the
    /// latest when the servers have not heard of this program for its session timeout. It ends with
    /// the last handle of the store, too.
    ///
    /// # Errors
    ///
    /// With the code `NodeExists` where somebody has the lease; what the server refuses.
    pub async fn register_lease(&self, name: &str, ttl: Duration) -> Result<(), Error> {
        self.leases.register(&self.client, &path_of(name), ttl).await
    }

    /// Refreshes a lease: from now on it lasts for its `ttl` again.
    ///
    /// # Errors
    ///
    /// With the code `NoNode` where this store does not have the lease, or has it no longer.
    pub fn refresh_lease(&self, name: &str) -> Result<(), Error> {
        self.leases.refresh(&self.client, &path_of(name))
    }

    /// Ends a lease before its time. That it has ended already is fine.
    ///
    /// # Errors
    ///
    /// A refusal of the server.
    pub async fn release_lease(&self, name: &str) -> Result<(), Error> {
        self.leases.release(&self.client, &path_of(name)).await
    }

    /// Keeps a lease, refreshed by itself, with a value for others to read: it is there for as long
    /// as the result is not dropped and this program lives. After a lost session it is registered
    /// again.
    #[must_use]
    pub fn keep_lease(&self, name: &str, value: impl Into<Bytes>) -> PersistentNode {
        PersistentNode::start(&self.client, &path_of(name), value)
    }

    /// All that happens to a key and to all keys below it. What is there already is told first.
    #[must_use]
    pub fn watch(&self, prefix: &str) -> StoreWatch {
        StoreWatch::start(&self.client, &path_of(prefix))
    }

    /// As [`watch`](Self::watch), in the style of a callback: it is called for one event after the
    /// other, in a task that ends when the result is dropped.
    pub fn watch_with(
        &self,
        prefix: &str,
        callback: impl FnMut(StoreEvent) + Send + 'static,
    ) -> WatchGuard {
        self.watch(prefix).call(callback)
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<Created, Error> {
        match self.client.create(path, value, CreateMode::Persistent).await {
            Err(error) if error.is_no_node() => {
                self.client.create_all(parent(path).unwrap_or("/")).await?;
                self.client.create(path, value, CreateMode::Persistent).await
            }
            outcome => outcome,
        }
    }

    /// The value and version of the znode of a key.
    async fn versioned(&self, key: &str) -> Result<Option<(Option<Bytes>, i32)>, Error> {
        let scope = self.caught_up().await?;
        let path = path_of(key);
        match scope.retry(|| self.client.get(&path)).await {
            Ok((data, stat)) => {
                let has_value = is_key(&data, &stat);
                Ok(Some((has_value.then_some(data), stat.version)))
            }
            Err(error) if error.is_no_node() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the server catch up with all that was acknowledged so far.
    async fn caught_up(&self) -> Result<SessionScope, Error> {
        let scope = SessionScope::of(&self.client);
        if self.linearizable && !self.client.status().borrow().linearizable {
            scope.retry(|| self.client.sync("/")).await?;
        }
        Ok(scope)
    }
}
