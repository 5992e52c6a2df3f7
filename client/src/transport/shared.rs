//! What the handles of a client and its driver share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::error::Error;
use crate::session::{Credential, Reply, Request, SavedSession, Session, Status, WatcherId};

use super::sink::Sink;

/// A caller that waits for an answer.
pub(crate) type Token = oneshot::Sender<Result<Reply, Error>>;

/// The session behind its lock, and how to wake the driver.
///
/// The lock is held for short sections without an await.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) session: Mutex<Session<Token, Arc<Sink>>>,
    /// Rings when there is something for the driver to do.
    pub(super) bell: Notify,
    pub(super) status: watch::Sender<Status>,
    pub(super) closing: AtomicBool,
    next_watcher: AtomicU64,
    /// How many events a persistent watch keeps.
    watch_buffer: usize,
}

impl Shared {
    pub(crate) fn new(session: Session<Token, Arc<Sink>>, watch_buffer: usize) -> Self {
        let status = session.status();
        Self {
            session: Mutex::new(session),
            bell: Notify::new(),
            status: watch::Sender::new(status),
            closing: AtomicBool::new(false),
            next_watcher: AtomicU64::new(1),
            watch_buffer,
        }
    }

    /// Sends a request, in the order of the calls of this method.
    pub(crate) fn submit(&self, request: Request<Token, Arc<Sink>>) -> Result<(), Error> {
        let ring = self.session.lock().submit(request)?;
        self.ring_if(ring);
        Ok(())
    }

    pub(crate) fn add_credential(&self, credential: Credential, token: Token) -> Result<(), Error> {
        let ring = self.session.lock().add_credential(credential, token)?;
        self.ring_if(ring);
        Ok(())
    }

    pub(crate) fn unwatch(&self, id: WatcherId) {
        let ring = self.session.lock().unwatch(id);
        self.ring_if(ring);
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
        self.bell.notify_one();
    }

    fn ring_if(&self, ring: bool) {
        if ring {
            self.bell.notify_one();
        }
    }
}
