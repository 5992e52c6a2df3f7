//! First in, first out.

use bytes::Bytes;

use crate::CreateMode;
use crate::client::Client;
use crate::error::Error;
use crate::path::child;
use crate::session::WatchedEvent;

use super::session_scope::SessionScope;

/// The prefix of the names of entries, as in ZooKeeper's own recipe.
const PREFIX: &str = "qn-";

/// A queue of small entries: persistent znodes, numbered by the server.
///
/// An entry is taken by deleting it, so each goes to at most one taker. **When the connection is
/// lost** in that very moment [`take`](Self::take) fails with an error whose
/// [`fate`](Error::fate) is unknown: the entry may be gone without having been returned. Where that
/// must not happen, keep entries elsewhere and remove them when the work is done.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Queue;
///
/// let queue = Queue::new(&client, "/queues/mail");
/// queue.put(b"to: ann").await?;
/// assert_eq!(&queue.take().await?[..], b"to: ann");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    path: String,
}

impl Queue {
    /// The queue whose entries are children of the znode `path`.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned() }
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    ///
    /// A refusal of the server; an interruption, see [`Error::fate`].
    pub async fn put(&self, data: &[u8]) -> Result<(), Error> {
        let path = child(&self.path, PREFIX);
        loop {
            match self.client.create(&path, data, CreateMode::PersistentSequential).await {
                Err(error) if error.is_no_node() => self.client.create_all(&self.path).await?,
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Takes the first entry, waiting until there is one.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); [`Error::SessionLost`] while waiting.
    pub async fn take(&self) -> Result<Bytes, Error> {
        let scope = SessionScope::of(&self.client);
        loop {
            let (names, change) = match scope.retry(|| self.client.list_and_watch(&self.path)).await
            {
                Ok((names, _, change)) => (names, change),
                Err(error) if error.is_no_node() => {
                    self.client.create_all(&self.path).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(data) = self.take_first(&scope, names).await? {
                return Ok(data);
            }
            let _: WatchedEvent = change.await?;
        }
    }

    /// Takes the first entry, if there is one.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn try_take(&self) -> Result<Option<Bytes>, Error> {
        let scope = SessionScope::of(&self.client);
        match scope.retry(|| self.client.list(&self.path)).await {
            Ok((names, _)) => self.take_first(&scope, names).await,
            Err(error) if error.is_no_node() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many entries there are.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn len(&self) -> Result<usize, Error> {
        let scope = SessionScope::of(&self.client);
        let stat = scope.retry(|| self.client.exists(&self.path)).await?;
        Ok(stat.map_or(0, |stat| usize::try_from(stat.num_children).unwrap_or_default()))
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.len().await.map(|len| len == 0)
    }

    async fn take_first(
        &self,
        scope: &SessionScope,
        mut names: Vec<String>,
    ) -> Result<Option<Bytes>, Error> {
        names.retain(|name| name.starts_with(PREFIX));
        names.sort_unstable();
        for name in names {
            let path = child(&self.path, &name);
            let data = match scope.retry(|| self.client.get(&path)).await {
                Ok((data, _)) => data,
                Err(error) if error.is_no_node() => continue,
                Err(error) => return Err(error),
            };
            match self.client.delete(&path, None).await {
                Ok(()) => return Ok(Some(data)),
                // Somebody else was faster.
                Err(error) if error.is_no_node() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
