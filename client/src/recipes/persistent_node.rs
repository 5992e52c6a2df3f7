//! An ephemeral znode that comes back.

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::client::Client;
use crate::error::{Error, Fate};
use crate::runtime::{JoinHandle, spawn};
use crate::{CreateMode, SessionId};

use super::session_scope::SessionScope;

/// An ephemeral znode that is there for as long as this is: somebody deletes it, or the session is
/// lost, and it is created again.
///
/// **When the connection is lost** the znode stays for as long as the session lives. **When the
/// session is lost** the znode goes, and is created again by the next session. A znode of that name
/// that belongs to another session (perhaps the one of this program before it crashed) is waited
/// for: it is replaced when it goes.
///
/// Dropping it deletes the znode in the background.
///
/// ```no_run
/// # async fn example(client: grovekeeper_client::Client) -> Result<(), grovekeeper_client::Error> {
/// use grovekeeper_client::recipes::PersistentNode;
///
/// let node = PersistentNode::start(&client, "/servers/7", "10.0.0.7:80");
/// node.ready().await?;
/// node.set("10.0.0.7:81");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct PersistentNode {
    client: Client,
    state: watch::Receiver<State>,
    data: watch::Sender<Bytes>,
    /// Ends the task when it is dropped.
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Missing,
    /// It is there, in the session that the client counts with this number.
    Present(u64),
    Failed(Error),
}

impl PersistentNode {
    /// Begins to keep the znode `path`, in a task of the runtime. Missing parents are made.
    #[must_use]
    pub fn start(client: &Client, path: &str, data: impl Into<Bytes>) -> Self {
        let (state, seen) = watch::channel(State::Missing);
        let (data, wanted) = watch::channel(data.into());
        let (stop, stopped) = oneshot::channel();
        let keeper = Keeper { client: client.clone(), path: path.to_owned(), wanted, state };
        let task = spawn(keeper.run(stopped));
        let client = client.clone();
        Self { client, state: seen, data, stop: Some(stop), task: Some(task) }
    }

    /// Waits until the znode is there, in the present session.
    ///
    /// # Errors
    ///
    /// A refusal of the server, for example with the code `NoAuth`, and the end of the client: the
    /// znode is not kept any longer then.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let settled = |state: &State| match state {
            State::Missing => false,
            State::Present(generation) => *generation == self.generation(),
            State::Failed(_) => true,
        };
        match state.wait_for(settled).await.as_deref() {
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(State::Present(_) | State::Missing) => Ok(()),
            Err(_) => Err(Error::Closed { fate: Fate::NotApplied }),
        }
    }

    /// Whether the znode is there, as far as this client knows.
    #[must_use]
    pub fn is_present(&self) -> bool {
        *self.state.borrow() == State::Present(self.generation())
    }

    fn generation(&self) -> u64 {
        self.client.status().borrow().generation
    }

    /// Changes what the znode holds, in the background, and after a session loss too.
    pub fn set(&self, data: impl Into<Bytes>) {
        self.data.send_replace(data.into());
    }

    /// Deletes the znode, and returns when it is gone, or the client has ended.
    pub async fn close(mut self) {
        self.stop = None;
        if let Some(task) = self.task.take() {
            drop(task.await);
        }
    }
}

/// The task that keeps the znode.
struct Keeper {
    client: Client,
    path: String,
    wanted: watch::Receiver<Bytes>,
    state: watch::Sender<State>,
}

impl Keeper {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let scope = SessionScope::of(&self.client);
            let lost = tokio::select! {
                // The sender is only ever dropped.
                _ = &mut stopped => break,
                error = self.keep(&scope) => error,
            };
            if !matches!(lost, Error::SessionLost { .. }) || scope.client_has_ended() {
                self.state.send_replace(State::Failed(lost));
                return;
            }
            self.state.send_replace(State::Missing);
        }
        // Also where the znode was being created when the task was stopped.
        let scope = SessionScope::of(&self.client);
        let mine = scope.retry(|| self.client.exists(&self.path)).await;
        if let Ok(Some(stat)) = mine
            && stat.ephemeral_owner == self.session()
        {
            drop(scope.ensure_deleted(&self.path).await);
        }
    }

    fn session(&self) -> SessionId {
        self.client.status().borrow().session
    }

    /// Keeps the znode for as long as one session lasts.
    async fn keep(&mut self, scope: &SessionScope) -> Error {
        loop {
            if let Err(error) = self.keep_once(scope).await {
                return error;
            }
        }
    }

    /// Sees to it that the znode is there and right, and waits for a change.
    async fn keep_once(&mut self, scope: &SessionScope) -> Result<(), Error> {
        let (client, path) = (self.client.clone(), self.path.clone());
        let (stat, change) = scope.retry(|| client.exists_and_watch(&path)).await?;
        let Some(stat) = stat else {
            drop(change);
            self.state.send_replace(State::Missing);
            return self.create(scope).await;
        };
        if stat.ephemeral_owner != self.session() {
            self.state.send_replace(State::Missing);
            return change.await.map(drop);
        }
        self.state.send_replace(State::Present(scope.generation()));
        tokio::select! {
            changed = self.wanted.changed() => {
                if changed.is_err() {
                    // The owner is gone; the task is about to be stopped.
                    return std::future::pending().await;
                }
                let data = self.wanted.borrow_and_update().clone();
                match scope.retry(|| client.set(&path, &data, None)).await {
                    Err(error) if error.is_no_node() => Ok(()),
                    outcome => outcome.map(drop),
                }
            }
            told = change => told.map(drop),
        }
    }

    async fn create(&mut self, scope: &SessionScope) -> Result<(), Error> {
        let data = self.wanted.borrow_and_update().clone();
        let (client, path) = (&self.client, &self.path);
        let create = || client.create(path, &data, CreateMode::Ephemeral);
        match scope.retry(create).await {
            Ok(_) => Ok(()),
            // Perhaps by this session itself, where the first answer was lost.
            Err(error) if error.is_node_exists() => Ok(()),
            Err(error) if error.is_no_node() => {
                let parent = crate::path::parent(path).unwrap_or("/");
                client.create_all(parent).await
            }
            Err(error) => Err(error),
        }
    }
}
