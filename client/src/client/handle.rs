//! The handle: connecting, the session, closing.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::connector::Connector;
use crate::error::Error;
use crate::path::Chroot;
use crate::runtime::JoinHandle;
use crate::session::{Credential, SavedSession, Status};
use crate::transport::SessionHandle;

use super::call::{Call, without_record};

/// A client of Grovekeeper or Apache ZooKeeper: one session, one connection at a time.
///
/// Clones are handles of the same client and cheap to make. When the last is dropped the session is
/// closed in the background, and with it go its ephemeral znodes; [`close`](Self::close) waits for
/// that.
///
/// See the [crate's documentation](crate) for what calls promise.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<DriverHandle>,
    pub(super) chroot: Chroot,
}

/// Ends the driver with the last clone of the client.
#[derive(Debug)]
struct DriverHandle {
    session: Arc<SessionHandle>,
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.session.close();
    }
}

impl Client {
    /// Connects with the defaults of [`Connector`] to one of `servers`, see
    /// [`Connector::connect`].
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect`].
    pub async fn connect(servers: &str) -> Result<Self, Error> {
        Self::builder().connect(servers).await
    }

    /// Says how to connect before connecting.
    #[must_use]
    pub fn builder() -> Connector {
        Connector::default()
    }

    pub(crate) fn new(session: Arc<SessionHandle>, driver: JoinHandle<()>, chroot: Chroot) -> Self {
        let driver = Mutex::new(Some(driver));
        Self { handle: Arc::new(DriverHandle { session, driver }), chroot }
    }

    pub(super) fn session(&self) -> &Arc<SessionHandle> {
        &self.handle.session
    }

    /// A handle of the same session that sees the server's own root.
    pub(super) fn without_chroot(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), chroot: Chroot::default() }
    }

    /// A handle of the same session whose root is the znode `path` of this one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`].
    pub fn chroot(&self, path: &str) -> Result<Self, Error> {
        let chroot = self.chroot.join(path)?;
        Ok(Self { handle: Arc::clone(&self.handle), chroot })
    }

    /// How the session is doing, and each change of that.
    ///
    /// The channel keeps only the newest status: to learn whether a session was lost compare
    /// [`Status::generation`].
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.session().status()
    }

    /// All that it takes to take up the session again with [`Connector::resume`]. Take it when the
    /// client is of no further use: it also says up to where the client has seen changes.
    #[must_use]
    pub fn save_session(&self) -> SavedSession {
        self.session().save()
    }

    /// Adds an identity to the session's connections, present and future.
    ///
    /// # Errors
    ///
    /// [`Error::AuthFailed`] where the server does not accept it: the client has ended then.
    pub fn add_auth(&self, scheme: &str, auth: impl Into<Bytes>) -> Call<()> {
        let credential = Credential { scheme: scheme.to_owned(), auth: auth.into() };
        Call::with_token(
            self,
            |token| self.session().add_credential(credential, token),
            without_record,
        )
    }

    /// Closes the session and waits until it is closed, or until the server has been given enough
    /// time for it. All handles of the client are of no further use afterwards. A detached session
    /// lives on.
    pub async fn close(self) {
        self.session().close();
        let driver = self.handle.driver.lock().take();
        match driver {
            // The driver does not panic; had it been dropped with its runtime, it would be gone.
            Some(driver) => drop(driver.await),
            None => drop(self.status().wait_for(|status| status.state.is_final()).await),
        }
    }
}
