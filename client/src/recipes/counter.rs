//! A number that many change.

use crate::CreateMode;
use crate::client::Client;
use crate::error::Error;

use super::session_scope::SessionScope;

/// A whole number, kept as decimal text in one znode as kazoo's `Counter` does. A missing or empty
/// znode counts as zero.
///
/// Changes are made by comparing versions, so that none is lost. **When the connection is lost** in
/// the middle of [`add`](Self::add) it fails with an error whose [`fate`](Error::fate) says whether
/// the change was made, as far as that is known.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Counter;
///
/// let jobs = Counter::new(&client, "/counters/jobs");
/// assert_eq!(jobs.add(3).await?, jobs.get().await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    client: Client,
    path: String,
}

impl Counter {
    /// The counter in the znode `path`, which is made by the first change.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned() }
    }

    /// The present value.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where the znode does not hold a number; those of reading.
    pub async fn get(&self) -> Result<i64, Error> {
        self.read(&SessionScope::of(&self.client)).await.map(|(value, _)| value)
    }

    /// Adds `delta`, and returns the new value.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Error::InvalidArgument`] where the sum is out of range; what the
    /// server refuses. See [`Error::fate`].
    pub async fn add(&self, delta: i64) -> Result<i64, Error> {
        let scope = SessionScope::of(&self.client);
        loop {
            let (value, version) = self.read(&scope).await?;
            let sum = value.checked_add(delta);
            let sum = sum.ok_or(Error::InvalidArgument("the counter would overflow"))?;
            let text = sum.to_string();
            let outcome = match version {
                Some(version) => {
                    self.client.set(&self.path, text.as_bytes(), version).await.map(drop)
                }
                None => self.create(&text).await,
            };
            match outcome {
                Ok(()) => return Ok(sum),
                // Somebody else was faster.
                Err(error)
                    if error.is_node_exists() || error.is_no_node() || error.is_bad_version() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn create(&self, text: &str) -> Result<(), Error> {
        self.client.create_all(crate::path::parent(&self.path).unwrap_or("/")).await?;
        self.client.create(&self.path, text.as_bytes(), CreateMode::Persistent).await.map(drop)
    }

    async fn read(&self, scope: &SessionScope) -> Result<(i64, Option<i32>), Error> {
        let (data, stat) = match scope.retry(|| self.client.get(&self.path)).await {
            Ok(read) => read,
            Err(error) if error.is_no_node() => return Ok((0, None)),
            Err(error) => return Err(error),
        };
        let number = if data.is_empty() {
            Some(0)
        } else {
            std::str::from_utf8(&data).ok().and_then(|text| text.trim().parse().ok())
        };
        let number = number.ok_or(Error::InvalidArgument("the znode does not hold a number"))?;
        Ok((number, Some(stat.version)))
    }
}
