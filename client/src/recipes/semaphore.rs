//! A number of permits shared between processes.

use crate::client::Client;
use crate::error::Error;
use crate::path::child;
use crate::random::unique_id;
use crate::session::WatchedEvent;

use super::lock::Lock;
use super::protected_node::ProtectedNode;

/// At most so many clients at a time, in the order of their coming.
///
/// It uses the znodes of Curator's `InterProcessSemaphoreV2`: a lock in `locks`, which the client
/// next in turn holds, and one znode for each permit in `leases`. All clients must name the same
/// number of permits.
///
/// **When the connection is lost** place and permit are kept for as long as the session lives.
/// **When the session is lost** waiting fails with [`Error::SessionLost`], and a [`Permit`] has
/// gone to another.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Semaphore;
///
/// let permit = Semaphore::new(&client, "/limits/compactions", 3).acquire().await?;
/// // … one of at most three compactions …
/// permit.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    client: Client,
    path: String,
    permits: usize,
}

impl Semaphore {
    /// The semaphore at the znode `path`, which is made where it is missing.
    #[must_use]
    pub fn new(client: &Client, path: &str, permits: usize) -> Self {
        Self { client: client.clone(), path: path.to_owned(), permits }
    }

    /// Waits for a permit. Dropping the future leaves the line.
    ///
    /// # Errors
    ///
    /// [`Error::SessionLost`] where the session ends first; what the server refuses.
    pub async fn acquire(&self) -> Result<Permit, Error> {
        // Only the holder of the lock waits for a permit, so that permits go out in the order of
        // the queue. The znode of the permit is made before the others are counted: it counts
        // itself.
        let turn = Lock::new(&self.client, &child(&self.path, "locks")).acquire().await?;
        let leases = child(&self.path, "leases");
        let prefix = format!("_c_{}-lease-", unique_id());
        let node = ProtectedNode::create(&self.client, &leases, prefix, b"").await?;
        loop {
            let scope = turn.scope();
            let (taken, _, change) = scope.retry(|| self.client.list_and_watch(&leases)).await?;
            if taken.len() <= self.permits {
                break;
            }
            let _: WatchedEvent = change.await?;
        }
        turn.release().await?;
        Ok(Permit { node })
    }
}

/// A permit of a [`Semaphore`]. It is given back by [`release`](Self::release), or in the
/// background when it is dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct Permit {
    node: ProtectedNode,
}

impl Permit {
    /// Whether the permit is certainly held at this moment: the session has a connection.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.node.scope().is_connected()
    }

    /// Returns when the permit must be taken for lost, as
    /// [`LockGuard::lost`](super::LockGuard::lost).
    pub async fn lost(&self) {
        self.node.scope().lost().await;
    }

    /// Gives the permit back, and returns when it is given back.
    ///
    /// # Errors
    ///
    /// The client ended first; the permit goes with the session then.
    pub async fn release(self) -> Result<(), Error> {
        self.node.delete().await
    }
}
