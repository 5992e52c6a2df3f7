//! A gate that holds everyone until it is lifted.

use crate::CreateMode;
use crate::client::Client;
use crate::error::Error;
use crate::session::WatchedEvent;

use super::session_scope::SessionScope;

/// A barrier: waiting clients go on when it is lifted. It is one znode, as with Curator's
/// `DistributedBarrier` and kazoo's `Barrier`.
///
/// **When the connection is lost** waiting goes on with the next one. **When the session is lost**
/// waiting fails with [`Error::SessionLost`]; the barrier itself is persistent and stands until
/// somebody lifts it.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Barrier;
///
/// let barrier = Barrier::new(&client, "/barriers/migration");
/// barrier.set().await?;
/// // Elsewhere: barrier.wait().await?;
/// barrier.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    client: Client,
    path: String,
}

impl Barrier {
    /// The barrier that is the znode `path`.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned() }
    }

    /// Sets the barrier. That it stands already is fine.
    ///
    /// # Errors
    ///
    /// A refusal of the server; [`Error::SessionLost`].
    pub async fn set(&self) -> Result<(), Error> {
        let scope = SessionScope::of(&self.client);
        self.client.create_all(crate::path::parent(&self.path).unwrap_or("/")).await?;
        let create = || self.client.create(&self.path, b"", CreateMode::Persistent);
        match scope.retry(create).await {
            Err(error) if error.is_node_exists() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Lifts the barrier. That it does not stand is fine.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn lift(&self) -> Result<(), Error> {
        SessionScope::of(&self.client).ensure_deleted(&self.path).await
    }

    /// Returns when the barrier does not stand.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn wait(&self) -> Result<(), Error> {
        let scope = SessionScope::of(&self.client);
        loop {
            let (stat, change) = scope.retry(|| self.client.exists_and_watch(&self.path)).await?;
            if stat.is_none() {
                return Ok(());
            }
            let _: WatchedEvent = change.await?;
        }
    }
}
