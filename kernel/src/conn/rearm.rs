//! Watches that a client brings along after a reconnect, and what it missed meanwhile.
//!
//! The server tells at once of what happened after the zxid that the client saw last, with zxid -1 and without a look
//! at permissions, as `DataTree.setWatches` does. It watches for what did not happen.
//!
//! A request may bring a hundred thousand paths. It is carried out in pieces, with the state free for others
//! in between: each path is looked at and watched in one step, and that is all that a client can tell.

use alloc::borrow::Cow;

use bytes::Bytes;
use jute_proto::{AddWatchMode, EventType, Reader, RequestHeader, Zxid};

use super::output::Output;
use super::requests::RequestMeta;
use super::surroundings::View;
use crate::watch::{WatchKind, WatchModes};

const NO_ZXID: Zxid = Zxid(-1);

/// Paths that are looked at before others have their turn.
const PATHS_AT_ONCE: usize = 1000;

/// A `setWatches` or `setWatches2` that is being carried out.
#[derive(Debug)]
pub(super) struct Rearming {
    frame: Bytes,
    request: RequestMeta,
    seen: Zxid,
    /// The lists that are still to come, the current one included.
    lists: &'static [List],
    /// Paths of the current list that are still to come.
    left: usize,
    /// Where in the frame the next path, or list, begins.
    offset: usize,
}

/// The lists of the request, in their order.
#[derive(Clone, Copy, Debug)]
enum List {
    Data,
    Exist,
    Child,
    Persistent,
    Recursive,
}

const LISTS: [List; 5] = [List::Data, List::Exist, List::Child, List::Persistent, List::Recursive];

impl Rearming {
    /// A `setWatches`, in a frame that was found to decode. It has no lists of persistent watches.
    pub(super) fn one_shot(frame: &Bytes, request: RequestMeta) -> Option<Self> {
        Self::new(frame, request, &LISTS[..3])
    }

    /// A `setWatches2`, likewise.
    pub(super) fn all_kinds(frame: &Bytes, request: RequestMeta) -> Option<Self> {
        Self::new(frame, request, &LISTS)
    }

    fn new(frame: &Bytes, request: RequestMeta, lists: &'static [List]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let _: RequestHeader = reader.record().ok()?;
        let seen: Zxid = reader.record().ok()?;
        let (frame, offset) = (frame.clone(), reader.position());
        let mut rearming = Self { frame, request, seen, lists, left: 0, offset };
        rearming.begin_list();
        Some(rearming)
    }

    /// Bytes that wait with it.
    pub(super) fn len(&self) -> usize {
        self.frame.len()
    }

    /// What asked for it.
    pub(super) fn request(&self) -> RequestMeta {
        self.request
    }

    fn begin_list(&mut self) {
        // A null list, and a negative count, are an empty list.
        let count = Reader::new(&self.frame[self.offset..]).i32().unwrap_or(0);
        self.left = usize::try_from(count).unwrap_or(0);
        self.offset += size_of::<i32>();
    }

    /// The next path; `None` behind the last.
    fn next(&mut self) -> Option<(List, Cow<'_, str>)> {
        while self.left == 0 {
            self.lists = self.lists.get(1..).filter(|lists| !lists.is_empty())?;
            self.begin_list();
        }
        self.left -= 1;
        let mut reader = Reader::new(&self.frame[self.offset..]);
        let path = reader.str().ok()?;
        self.offset += reader.position();
        Some((*self.lists.first()?, path))
    }
}

/// Where watches are set, and where is told what was missed.
pub(super) struct Rearm<'a> {
    pub(super) view: View<'a>,
    /// The connection's number among those of this server.
    pub(super) watcher: u64,
    pub(super) output: &'a mut Output,
}

impl Rearm<'_> {
    /// Looks at some of the paths; says whether those were the last.
    pub(super) fn go_on(&mut self, rearming: &mut Rearming) -> bool {
        let seen = rearming.seen;
        for _ in 0..PATHS_AT_ONCE {
            let Some((list, path)) = rearming.next() else { return true };
            match list {
                List::Data => self.data(seen, &path),
                List::Exist => self.exists(&path),
                List::Child => self.children(seen, &path),
                List::Persistent => self.persistent(&path, AddWatchMode::Persistent),
                List::Recursive => {
                    self.persistent(&path, AddWatchMode::PersistentRecursive);
                }
            }
        }
        false
    }

    fn data(&mut self, seen: Zxid, path: &str) {
        match self.view.replica.tree().get(path) {
            None => self.missed(EventType::NodeDeleted, path),
            Some(node) if node.mzxid() > seen => {
                self.missed(EventType::NodeDataChanged, path);
            }
            Some(_) => self.watch(WatchKind::Data, path),
        }
    }

    /// A node that exists is told of whenever it was made: the client waited for it to appear.
    fn exists(&mut self, path: &str) {
        match self.view.replica.tree().get(path) {
            Some(_) => self.missed(EventType::NodeCreated, path),
            None => self.watch(WatchKind::Data, path),
        }
    }

    fn children(&mut self, seen: Zxid, path: &str) {
        match self.view.replica.tree().get(path) {
            None => self.missed(EventType::NodeDeleted, path),
            Some(node) if node.pzxid() > seen => {
                self.missed(EventType::NodeChildrenChanged, path);
            }
            Some(_) => self.watch(WatchKind::Child, path),
        }
    }

    fn persistent(&self, path: &str, mode: AddWatchMode) {
        self.view.replica.watches().add_persistent(path, self.watcher, mode);
    }

    fn watch(&self, kind: WatchKind, path: &str) {
        self.view.replica.watches().add(kind, path, self.watcher, WatchModes::STANDARD);
    }

    fn missed(&mut self, event_type: EventType, path: &str) {
        self.output.event(self.view.around, NO_ZXID, event_type, path);
    }
}
