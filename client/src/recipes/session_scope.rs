//! Going on through interruptions of the connection, for as long as one session lasts.
//!
//! A client outlives its sessions: when one is lost, the next begins by itself. A recipe that owns
//! an ephemeral znode must not go on in the next session as if the znode were still there. So it
//! remembers in which session it began.

use crate::client::{Call, Client};
use crate::error::{Error, Fate};
use crate::session::{SessionState, Status};

/// One session of a client, for as long as it lasts. [`reconnected`](Self::reconnected), and with it
/// [`retry`](Self::retry), fails with [`Error::SessionLost`] once the client is in another session.
#[derive(Clone, Debug)]
pub(crate) struct SessionScope {
    client: Client,
    generation: u64,
}

impl SessionScope {
    /// The present session of the client.
    pub(crate) fn of(client: &Client) -> Self {
        let generation = client.status().borrow().generation;
        Self { client: client.clone(), generation }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the session is known to live at this moment: it has a connection. Without one, the
    /// servers may be about to end it.
    pub(crate) fn is_connected(&self) -> bool {
        let status = *self.client.status().borrow();
        status.generation == self.generation && status.state.is_connected()
    }

    /// Which of the client's sessions it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the client has ended with this session, so that no other follows.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.client.status().borrow().state.is_final()
    }

    /// Returns when the session is lost, or has been without a connection for so long that the
    /// servers have probably ended it.
    pub(crate) async fn lost(&self) {
        let generation = self.generation;
        let mut status = self.client.status();
        let gone = |status: &Status| status.generation != generation || !status.state.is_alive();
        // The channel is closed only when the client has ended.
        drop(status.wait_for(gone).await);
    }

    /// Asks until there is an answer, through interruptions. For requests that may be repeated: the
    /// one that was interrupted may have been carried out.
    pub(crate) async fn retry<T>(&self, mut ask: impl FnMut() -> Call<T>) -> Result<T, Error> {
        loop {
            match ask().await {
                Err(error) if error.is_interruption() => self.reconnected().await?,
                outcome => return outcome,
            }
        }
    }

    /// Waits until the session has a connection; fails when there is no such session any more.
    pub(crate) async fn reconnected(&self) -> Result<(), Error> {
        let fate = Fate::NotApplied;
        let mut status = self.client.status();
        let settled = |status: &Status| {
            status.generation != self.generation
                || status.state.is_connected()
                || status.state.is_final()
        };
        let Ok(status) = status.wait_for(settled).await.map(|status| *status) else {
            return Err(Error::Closed { fate });
        };
        if status.generation != self.generation || status.state == SessionState::Lost {
            return Err(Error::SessionLost { fate });
        }
        match status.state {
            SessionState::AuthFailed => Err(Error::AuthFailed),
            SessionState::Closed => Err(Error::Closed { fate }),
            SessionState::Connecting
            | SessionState::Connected
            | SessionState::ReadOnly
            | SessionState::Suspended
            | SessionState::Overdue
            | SessionState::Lost => Ok(()),
        }
    }

    /// Deletes a znode, until it is certain that it is gone.
    pub(crate) async fn ensure_deleted(&self, path: &str) -> Result<(), Error> {
        match self.retry(|| self.client.delete(path, None)).await {
            Err(error) if error.is_no_node() => Ok(()),
            outcome => outcome,
        }
    }
}
