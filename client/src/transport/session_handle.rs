//! The state that the handles of a client share with its driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::error::Error;
use crate::session::{Credential, Reply, Request, SavedSession, Session, Status, WatcherId};

use super::watch_queue::WatchQueue;

/// A caller that waits for an answer.
pub(crate) type Token = oneshot::Sender<Result<Reply, Error>>;

/// The session behind its lock, and how to wake the driver.
///
/// Callers change the session themselves, under the lock, so that the order of the calls is the
/// order on the wire and no queue with a limit of its own lies between them and the session. The
/// lock is held for short sections without an await. Callers and watches are told outside of it.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    pub(super) session: Mutex<Session<Token, Arc<WatchQueue>>>,
    /// Notified when there is something for the driver to do.
    pub(super) wake: Notify,
    pub(super) status: watch::Sender<Status>,
    pub(super) closing: AtomicBool,
    next_watcher: AtomicU64,
    /// How many events a persistent watch keeps.
    watch_buffer: usize,
}

impl SessionHandle {
    pub(crate) fn new(session: Session<Token, Arc<WatchQueue>>, watch_buffer: usize) -> Self {
        let status = session.status();
        Self {
            session: Mutex::new(session),
            wake: Notify::new(),
            status: watch::Sender::new(status),
            closing: AtomicBool::new(false),
            next_watcher: AtomicU64::new(1),
            watch_buffer,
        }
    }

    /// Sends a request, in the order of the calls of this method.
    pub(crate) fn submit(&self, request: Request<Token, Arc<WatchQueue>>) -> Result<(), Error> {
        let must_wake = self.session.lock().submit(request)?;
        self.wake_if(must_wake);
        Ok(())
    }

    pub(crate) fn add_credential(&self, credential: Credential, token: Token) -> Result<(), Error> {
        let must_wake = self.session.lock().add_credential(credential, token)?;
        self.wake_if(must_wake);
        Ok(())
    }

    pub(crate) fn unwatch(&self, id: WatcherId) {
        let must_wake = self.session.lock().unwatch(id);
        self.wake_if(must_wake);
    }

    pub(crate) fn next_watcher(&self) -> WatcherId {
        WatcherId(self.next_watcher.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn watch_buffer(&self) -> usize {
        self.watch_buffer
    }

    pub(crate) fn save(&self) -> SavedSession {
        self.session.lock().save()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Asks the driver to end.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn wake_if(&self, must_wake: bool) {
        if must_wake {
            self.wake.notify_one();
        }
    }
}
