//! A lock between processes.

use bytes::Bytes;

use crate::Zxid;
use crate::client::Client;
use crate::error::{Error, Fate};
use crate::path::child;
use crate::session::WatchedEvent;

use super::lock_name::{LockMode, LockStyle, contenders, predecessor};
use super::protected_node::ProtectedNode;
use super::session_scope::SessionScope;

/// A lock that one client of all holds at a time, in the order of their coming.
///
/// It interoperates with Curator's `InterProcessMutex` and, with [`LockStyle::Kazoo`], with kazoo's
/// `Lock`. It is not re-entrant.
///
/// **When the connection is lost** the place in line is kept for as long as the session lives.
/// **When the session is lost** while waiting, [`acquire`](Self::acquire) fails with
/// [`Error::SessionLost`] and may be called again; the lock that a guard stood for has gone to
/// another, see [`LockGuard`].
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Lock;
///
/// let guard = Lock::new(&client, "/locks/report").acquire().await?;
/// // Storage that remembers the greatest number it has seen refuses a holder that has been
/// // overtaken without noticing.
/// println!("writing with the number {}", guard.fencing_token());
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    client: Client,
    dir: String,
    style: LockStyle,
    mode: LockMode,
    data: Bytes,
}

impl Lock {
    /// The lock whose contenders are children of the znode `path`, which is made where it is
    /// missing.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self::with_mode(client, path, LockMode::Exclusive)
    }

    pub(super) fn with_mode(client: &Client, path: &str, mode: LockMode) -> Self {
        let style = LockStyle::default();
        Self { client: client.clone(), dir: path.to_owned(), style, mode, data: Bytes::new() }
    }

    /// Whose convention the names of znodes follow; Curator's unless set.
    #[must_use]
    pub fn style(mut self, style: LockStyle) -> Self {
        self.style = style;
        self
    }

    /// The data of this contender's znodes, by which others know it.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// Waits for the lock. Dropping the future leaves the line.
    ///
    /// # Errors
    ///
    /// [`Error::SessionLost`] where the session ends first; what the server refuses.
    pub async fn acquire(&self) -> Result<LockGuard, Error> {
        let node = self.join_queue().await?;
        // Each contender watches only the one that it waits for, so that a release wakes one client
        // and not all. That one may have left the queue without having had the lock, so the queue
        // is read again each time.
        loop {
            let Some(in_front) = self.predecessor(&node).await? else {
                return Ok(LockGuard { node });
            };
            let path = child(&self.dir, &in_front);
            let scope = node.scope();
            let (stat, gone) = scope.retry(|| self.client.exists_and_watch(&path)).await?;
            // If it left between the list and the watch, there is no event to wait for.
            if stat.is_some() {
                let _: WatchedEvent = gone.await?;
            }
        }
    }

    /// Takes the lock if nobody has it or waits for it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> Result<Option<LockGuard>, Error> {
        let node = self.join_queue().await?;
        if self.predecessor(&node).await?.is_none() {
            return Ok(Some(LockGuard { node }));
        }
        node.delete().await?;
        Ok(None)
    }

    /// The data of the contenders' znodes, first come first: the first has the lock.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn contenders(&self) -> Result<Vec<Bytes>, Error> {
        let children = match self.client.list(&self.dir).await {
            Ok((children, _)) => children,
            Err(error) if error.is_no_node() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = contenders(children);
        let reads: Vec<_> =
            names.iter().map(|one| self.client.get(&child(&self.dir, &one.name))).collect();
        let mut all = Vec::new();
        for read in reads {
            match read.await {
                Ok((data, _)) => all.push(data),
                Err(error) if error.is_no_node() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn join_queue(&self) -> Result<ProtectedNode, Error> {
        let prefix = self.style.prefix(self.mode);
        ProtectedNode::create(&self.client, &self.dir, prefix, &self.data).await
    }

    /// The name of the contender to wait for, if there is one.
    async fn predecessor(&self, node: &ProtectedNode) -> Result<Option<String>, Error> {
        let (children, _) = node.scope().retry(|| self.client.list(&self.dir)).await?;
        let line = contenders(children);
        match predecessor(&line, node.name(), self.mode) {
            Some(in_front) => Ok(in_front.map(|contender| contender.name.clone())),
            // Somebody has deleted the znode, so this contender is in the queue no more. For the
            // caller that is the same as the end of the session.
            None => Err(Error::SessionLost { fate: Fate::NotApplied }),
        }
    }
}

/// A lock that is held.
///
/// It is given back by [`release`](Self::release), or in the background when it is dropped.
///
/// **While the connection is lost** ([`is_held`](Self::is_held) is false) the lock may be about to
/// go to another: pause. **When [`lost`](Self::lost) returns** another may have it: stop.
#[derive(Debug)]
#[must_use = "a lock is given back when its guard is dropped"]
pub struct LockGuard {
    node: ProtectedNode,
}

impl LockGuard {
    /// A number that is greater than that of every holder before: the transaction that created the
    /// znode of this contender.
    #[must_use]
    pub fn fencing_token(&self) -> Zxid {
        self.node.czxid()
    }

    /// Whether the lock is certainly held at this moment: the session has a connection.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.node.scope().is_connected()
    }

    /// Returns when the lock must be taken for lost: the session is over, or has been without a
    /// connection for its timeout.
    pub async fn lost(&self) {
        self.node.scope().lost().await;
    }

    pub(super) fn scope(&self) -> &SessionScope {
        self.node.scope()
    }

    /// Gives the lock back, and returns when it is given back.
    ///
    /// # Errors
    ///
    /// The client ended first; the lock goes with the session then.
    pub async fn release(self) -> Result<(), Error> {
        self.node.delete().await
    }
}
