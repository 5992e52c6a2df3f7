//! One of many is the leader.

use bytes::Bytes;

use crate::Zxid;
use crate::client::{Client, Watch};
use crate::error::{Error, Fate};
use crate::path::child;

use super::lock::{Lock, LockGuard};
use super::lock_name::{LockStyle, contenders};
use super::session_scope::SessionScope;

/// The election of one leader among all who campaign, in the order of their coming.
///
/// It interoperates with Curator's `LeaderSelector` and, with [`LockStyle::Kazoo`], with kazoo's
/// `Election`.
///
/// **When the connection is lost** a leader stays leader for as long as its session may live, but
/// it cannot be certain of it: [`LockGuard::is_held`] is false, and it should pause. **When the
/// session is lost** it is leader no more: the work of [`lead`](Self::lead) is dropped,
/// [`LockGuard::lost`] returns, and another is elected.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::Election;
///
/// let election = Election::new(&client, "/election").id("server-7");
///
/// // In the style of a guard:
/// let leadership = election.campaign().await?;
/// leadership.release().await?;
///
/// // In the style of a callback, again and again:
/// loop {
///     let led = election
///         .lead(|term| async move { println!("I lead, with the number {term}") })
///         .await;
///     println!("no longer the leader: {led:?}");
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    client: Client,
    path: String,
    lock: Lock,
}

impl Election {
    /// The election whose candidates are children of the znode `path`, which is made where it is
    /// missing.
    #[must_use]
    pub fn new(client: &Client, path: &str) -> Self {
        let lock = Lock::new(client, path);
        Self { client: client.clone(), path: path.to_owned(), lock }
    }

    /// The name of this candidate, for others to see.
    #[must_use]
    pub fn id(mut self, id: impl Into<Bytes>) -> Self {
        self.lock = self.lock.data(id);
        self
    }

    /// Whose convention the names of znodes follow; Curator's unless set.
    #[must_use]
    pub fn style(mut self, style: LockStyle) -> Self {
        self.lock = self.lock.style(style);
        self
    }

    /// Waits until this candidate is the leader. Dropping the future withdraws it.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`].
    pub async fn campaign(&self) -> Result<LockGuard, Error> {
        self.lock.acquire().await
    }

    /// Waits until this candidate is the leader and does `work`, which is given the number of the
    /// leadership ([`LockGuard::fencing_token`]); then it steps down. The work is dropped, at its
    /// next await, when the leadership is lost.
    ///
    /// # Errors
    ///
    /// As [`campaign`](Self::campaign); [`Error::SessionLost`] where the leadership was lost before
    /// the work was done.
    pub async fn lead<F, W>(&self, work: W) -> Result<F::Output, Error>
    where
        F: Future,
        W: FnOnce(Zxid) -> F,
    {
        let guard = self.campaign().await?;
        let done = tokio::select! {
            done = work(guard.fencing_token()) => done,
            () = guard.lost() => return Err(Error::SessionLost { fate: Fate::Unknown }),
        };
        guard.release().await?;
        Ok(done)
    }

    /// The leaders, present and to come, without being a candidate.
    #[must_use]
    pub fn leaders(&self) -> LeaderStream {
        let (client, path) = (self.client.clone(), self.path.clone());
        LeaderStream { client, path, last: None, change: None }
    }
}

/// The leader of an [`Election`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader {
    /// The name that the leader gave itself, see [`Election::id`].
    pub id: Bytes,
    /// The number of its leadership, greater than those before.
    pub fencing_token: Zxid,
}

/// The leaders of an [`Election`], one after the other.
#[derive(Debug)]
pub struct LeaderStream {
    client: Client,
    path: String,
    /// The leader that was told last: `None` at first, `Some(None)` where nobody led.
    last: Option<Option<Leader>>,
    /// The next change of the candidates. It was set by the read that `last` comes from, so that no
    /// change is missed between them.
    change: Option<Watch>,
}

impl LeaderStream {
    /// The leader at first, then the next one each time that it changes; `None` while nobody leads.
    /// Leaders that came and went in the meantime are left out.
    ///
    /// # Errors
    ///
    /// A refusal of the server, and the end of the client. A lost session is waited out.
    pub async fn next(&mut self) -> Result<Option<Leader>, Error> {
        loop {
            let scope = SessionScope::of(&self.client);
            match self.next_leader(&scope).await {
                Ok(leader) if self.last.as_ref() != Some(&leader) => {
                    self.last = Some(leader.clone());
                    return Ok(leader);
                }
                Ok(_) | Err(Error::SessionLost { .. }) => {}
                Err(error) => return Err(error),
            }
            if scope.client_has_ended() {
                return Err(Error::SessionLost { fate: Fate::NotApplied });
            }
        }
    }

    /// Waits for a change of the candidates, if they were read before, and reads who leads.
    async fn next_leader(&mut self, scope: &SessionScope) -> Result<Option<Leader>, Error> {
        if let Some(change) = &mut self.change {
            let told = change.await;
            self.change = None;
            told?;
        }
        let (client, path) = (&self.client, &self.path);
        let children = match scope.retry(|| client.list_and_watch(path)).await {
            Ok((children, _, change)) => {
                self.change = Some(change);
                children
            }
            Err(error) if error.is_no_node() => {
                // Nobody has campaigned yet. If the znode was created just now, the caller reads
                // again at once: what was told last is returned as no change.
                let (stat, change) = scope.retry(|| client.exists_and_watch(path)).await?;
                self.change = stat.is_none().then_some(change);
                return Ok(self.last.clone().flatten().filter(|_| stat.is_some()));
            }
            Err(error) => return Err(error),
        };
        // The first that is still there leads: those in front of it left since the list was read.
        for contender in contenders(children) {
            let znode = child(path, &contender.name);
            match scope.retry(|| client.get(&znode)).await {
                Ok((id, stat)) => return Ok(Some(Leader { id, fencing_token: stat.czxid })),
                Err(error) if error.is_no_node() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
