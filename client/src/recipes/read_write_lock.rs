//! A lock that many may hold to read, or one to write.

use crate::client::Client;

use super::lock::Lock;
use super::lock_name::{LockMode, LockStyle};

/// A lock that any number of readers hold together, or one writer alone, in the order of their
/// coming: a reader that comes behind a waiting writer waits too.
///
/// It interoperates with Curator's `InterProcessReadWriteLock` and, with [`LockStyle::Kazoo`], with
/// kazoo's `ReadLock` and `WriteLock`. It promises what [`Lock`] promises when connection or
/// session are lost.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::ReadWriteLock;
///
/// let lock = ReadWriteLock::new(&client, "/locks/catalogue");
/// let reading = lock.read().acquire().await?;
/// reading.release().await?;
/// let writing = lock.write().acquire().await?;
/// writing.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReadWriteLock {
    client: Client,
    path: String,
    style: LockStyle,
}

impl ReadWriteLock {
    /// The lock whose contenders are children of the znode `path`.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        Self { client: client.clone(), path: path.to_owned(), style: LockStyle::default() }
    }

    /// Whose convention the names of znodes follow; Curator's unless set.
    #[must_use]
    pub fn style(mut self, style: LockStyle) -> Self {
        self.style = style;
        self
    }

    /// The side of the readers.
    #[must_use]
    pub fn read(&self) -> Lock {
        Lock::with_mode(&self.client, &self.path, LockMode::Read).style(self.style)
    }

    /// The side of the writers.
    #[must_use]
    pub fn write(&self) -> Lock {
        Lock::with_mode(&self.client, &self.path, LockMode::Write).style(self.style)
    }
}
