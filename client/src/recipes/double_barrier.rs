//! Beginning together and ending together.

use crate::CreateMode;
use crate::client::Client;
use crate::error::Error;
use crate::path::child;
use crate::random::unique_id;
use crate::session::WatchedEvent;

use super::protected_node::ProtectedNode;
use super::session_scope::SessionScope;

/// The znode that says that enough have come, as Curator calls it.
const READY: &str = "ready";

/// A barrier that lets its members begin when so many have come, and end when all are done. It uses
/// the znodes of Curator's `DistributedDoubleBarrier`.
///
/// **When the connection is lost** members stay inside for as long as their sessions live. **When a
/// session is lost** its member counts as gone: the others do not wait for it, and its own calls
/// fail with [`Error::SessionLost`].
///
/// A barrier is for one round: who comes while others are still leaving is let in at once. Use
/// another path for the next round.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::DoubleBarrier;
///
/// let inside = DoubleBarrier::new(&client, "/barriers/step-1", 5).enter().await?;
/// // … five of us compute …
/// inside.leave().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct DoubleBarrier {
    client: Client,
    path: String,
    members: usize,
}

impl DoubleBarrier {
    /// The barrier at the znode `path` for so many members; all must name the same number.
    #[must_use]
    pub fn new(client: &Client, path: &str, members: usize) -> Self {
        Self { client: client.clone(), path: path.to_owned(), members }
    }

    /// Comes in, and returns when enough have come. Dropping the future goes out again.
    ///
    /// # Errors
    ///
    /// A refusal of the server; [`Error::SessionLost`].
    pub async fn enter(&self) -> Result<DoubleBarrierGuard, Error> {
        let ready = child(&self.path, READY);
        // The own znode comes first: of the last two that come, at least one then counts both.
        let node =
            ProtectedNode::create(&self.client, &self.path, format!("{}-", unique_id()), b"")
                .await?;
        let scope = node.scope().clone();
        let (stat, change) = scope.retry(|| self.client.exists_and_watch(&ready)).await?;
        if stat.is_none() {
            if self.members_inside(&scope).await?.len() >= self.members {
                let create = || self.client.create(&ready, b"", CreateMode::Persistent);
                match scope.retry(create).await {
                    Err(error) if error.is_node_exists() => {}
                    outcome => drop(outcome?),
                }
            } else {
                let _: WatchedEvent = change.await?;
            }
        }
        Ok(DoubleBarrierGuard { barrier: self.clone(), node })
    }

    async fn members_inside(&self, scope: &SessionScope) -> Result<Vec<String>, Error> {
        let (mut names, _) = scope.retry(|| self.client.list(&self.path)).await?;
        names.retain(|name| name != READY);
        Ok(names)
    }
}

/// A member that is inside a [`DoubleBarrier`]. Dropping it goes out without waiting for the
/// others.
#[derive(Debug)]
#[must_use = "a member goes out when it is dropped"]
pub struct DoubleBarrierGuard {
    barrier: DoubleBarrier,
    node: ProtectedNode,
}

impl DoubleBarrierGuard {
    /// Is done, and returns when all are.
    ///
    /// # Errors
    ///
    /// As [`DoubleBarrier::enter`].
    pub async fn leave(self) -> Result<(), Error> {
        let Self { barrier, node } = self;
        let scope = node.scope().clone();
        node.delete().await?;
        loop {
            let client = &barrier.client;
            let (names, _, change) = scope.retry(|| client.list_and_watch(&barrier.path)).await?;
            if !names.iter().any(|name| name == READY) {
                return Ok(());
            }
            if names.len() == 1 {
                // The last ones out tell the others.
                return scope.ensure_deleted(&child(&barrier.path, READY)).await;
            }
            let _: WatchedEvent = change.await?;
        }
    }
}
