//! Watches: one event as a future, many as a stream.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use jute_proto::WatcherType;
use jute_proto::{AddWatchMode, AddWatchRequest, CheckWatchesRequest, ErrorCode, OpCode};

use crate::error::Error;
use crate::path::Chroot;
use crate::session::{WatchKind, WatchedEvent, WatcherId};
use crate::transport::{QueuedNotice, SessionHandle, WatchQueue};

use super::call::{Call, DecodeContext, check};
use super::handle::Client;

/// A watch as the client's side of it: dropping it takes the watch back.
#[derive(Debug)]
pub(super) struct WatchHandle {
    session: Arc<SessionHandle>,
    id: WatcherId,
    sink: Arc<WatchQueue>,
}

impl WatchHandle {
    pub(super) fn new(client: &Client, kind: WatchKind) -> Self {
        let capacity = match kind {
            WatchKind::Data | WatchKind::Exist | WatchKind::Child => 1,
            WatchKind::Persistent | WatchKind::Recursive => client.session().watch_buffer(),
        };
        let session = Arc::clone(client.session());
        let id = session.next_watcher();
        Self { session, id, sink: Arc::new(WatchQueue::new(capacity)) }
    }

    pub(super) fn id(&self) -> WatcherId {
        self.id
    }

    pub(super) fn sink(&self) -> Arc<WatchQueue> {
        Arc::clone(&self.sink)
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.session.unwatch(self.id);
    }
}

/// Takes the watch of a call that was answered.
pub(super) fn take_watch(context: &mut DecodeContext) -> Result<WatchHandle, Error> {
    context.watch.take().ok_or(Error::InvalidArgument("the call was awaited twice"))
}

/// The next change of a znode: a future.
///
/// It outlives connections: a change that happened while there was none is reported by the next.
/// (What the protocol cannot tell is that a znode which was missing has been created and deleted
/// again in the meantime.) Dropping it takes the watch back.
///
/// # Errors
///
/// [`Error::SessionLost`] or [`Error::Closed`] where the session ends first.
#[derive(Debug)]
#[must_use = "a watch that is dropped is take_watch back"]
pub struct Watch {
    handle: WatchHandle,
    chroot: Chroot,
}

impl Watch {
    pub(super) fn new(handle: WatchHandle, chroot: &Chroot) -> Self {
        Self { handle, chroot: chroot.clone() }
    }
}

impl Future for Watch {
    type Output = Result<WatchedEvent, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(self.handle.sink.poll(cx)) {
                Ok(QueuedNotice::Event(event)) => {
                    return Poll::Ready(Ok(visible(event, &self.chroot)));
                }
                // A one-shot watch misses nothing: the server looks back when it is set again.
                Ok(QueuedNotice::Gap) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// A notice of a [`WatchStream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchNotice {
    /// A change.
    Event(WatchedEvent),
    /// Changes may be missing here: the connection was lost and something happened before the next
    /// one stood, or the reader was too far behind. What is watched has to be read again.
    Gap,
}

/// The changes of a znode, or of a whole subtree: a stream, see [`Client::watch`].
///
/// It outlives connections, and ends with the session. Dropping it takes the watch back.
#[derive(Debug)]
#[must_use = "a watch that is dropped is take_watch back"]
pub struct WatchStream {
    handle: WatchHandle,
    chroot: Chroot,
}

impl WatchStream {
    /// The next notice, or `None` when the session is over. Nothing is lost when the future is
    /// dropped before it is ready.
    pub async fn next(&mut self) -> Option<WatchNotice> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<WatchNotice>> {
        Poll::Ready(match ready!(self.handle.sink.poll(cx)) {
            Ok(QueuedNotice::Event(event)) => {
                Some(WatchNotice::Event(visible(event, &self.chroot)))
            }
            Ok(QueuedNotice::Gap) => Some(WatchNotice::Gap),
            Err(_) => None,
        })
    }
}

impl Stream for WatchStream {
    type Item = WatchNotice;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchNotice>> {
        self.poll(cx)
    }
}

/// The event with the path that the caller knows.
fn visible(mut event: WatchedEvent, chroot: &Chroot) -> WatchedEvent {
    let path = chroot.to_caller(&event.path);
    if path.len() != event.path.len() {
        event.path = path.to_owned();
    }
    event
}

impl Client {
    /// Watches a znode, which need not exist, for all changes to come: with
    /// [`AddWatchMode::Persistent`] those of its data, its existence and the set of its children;
    /// with [`AddWatchMode::PersistentRecursive`] creation, change and deletion of it and of all
    /// below it.
    ///
    /// When the connection is lost the watch is set again on the next one. The protocol does not
    /// tell what happened in between, so the stream has a [`WatchNotice::Gap`] there, unless the
    /// server shows that nothing has happened at all.
    ///
    /// # Errors
    ///
    /// With the code `Unimplemented` before ZooKeeper 3.6.
    pub fn watch(&self, path: &str, mode: AddWatchMode) -> Call<WatchStream> {
        let kind = match mode {
            AddWatchMode::Persistent => WatchKind::Persistent,
            AddWatchMode::PersistentRecursive => WatchKind::Recursive,
        };
        let server_path = self.chroot.to_server(path);
        let request = server_path.map(|path| AddWatchRequest { path, mode: mode.into() });
        Call::send_watching(self, OpCode::AddWatch, request, (path, kind), |reply, context| {
            check(&reply)?;
            Ok(WatchStream { handle: take_watch(context)?, chroot: context.chroot.clone() })
        })
    }

    /// Whether the server has a watch of this session on a znode. For tests and diagnosis: the
    /// client keeps its watches without being asked.
    ///
    /// # Errors
    ///
    /// Kinds other than `Children`, `Data` and `Any` are refused before ZooKeeper 3.9.
    pub fn has_watch(&self, path: &str, kind: WatcherType) -> Call<bool> {
        let path = self.chroot.to_server(path);
        let request = path.map(|path| CheckWatchesRequest { path, watcher_type: kind.into() });
        Call::send(self, OpCode::CheckWatches, request, |reply, _| {
            if reply.err == i32::from(ErrorCode::NoWatcher) {
                return Ok(false);
            }
            check(&reply).map(|()| true)
        })
    }
}
