//! Watches that a client brings along after a reconnect, and what it missed meanwhile.
//!
//! What happened after the zxid that the client saw last is told at once (protocol section 4.3),
//! with zxid -1 and without a look at permissions, as `DataTree.setWatches` does; what did not
//! happen is watched for.
//!
//! A request may bring a hundred thousand paths. It is carried out in pieces, with the state free for others
//! in between: each path is looked at and watched in one step, and that is all that a client can tell.

use alloc::borrow::Cow;

use bytes::Bytes;
use jute_proto::{AddWatchMode, EventType, OpCode, Reader, RequestHeader, Xid, Zxid};

use super::conn::{Conn, View};
use crate::watch::{WatchKind, WatchModes};

const NO_ZXID: Zxid = Zxid(-1);

/// Paths that are looked at before others have their turn.
const PATHS_AT_ONCE: usize = 1000;

/// A `setWatches` or `setWatches2` that is being carried out.
#[derive(Debug)]
pub(super) struct Rearming {
    frame: Bytes,
    pub(super) xid: Xid,
    pub(super) op: OpCode,
    pub(super) start_us: u64,
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
    /// The request of a frame that was found to decode.
    pub(super) fn new(frame: &Bytes, op: OpCode, start_us: u64) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let header: RequestHeader = reader.record().ok()?;
        let seen: Zxid = reader.record().ok()?;
        let lists = if op == OpCode::SetWatches { &LISTS[..3] } else { &LISTS[..] };
        let (xid, frame, offset) = (header.xid, frame.clone(), reader.position());
        let mut rearming = Self { frame, xid, op, start_us, seen, lists, left: 0, offset };
        rearming.begin_list();
        Some(rearming)
    }

    /// Bytes that wait with it.
    pub(super) fn len(&self) -> usize {
        self.frame.len()
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

impl Conn {
    /// Looks at some of the paths; says whether those were the last.
    pub(super) fn rearm_some(&mut self, view: View<'_>, rearming: &mut Rearming) -> bool {
        let seen = rearming.seen;
        for _ in 0..PATHS_AT_ONCE {
            let Some((list, path)) = rearming.next() else { return true };
            match list {
                List::Data => self.rearm_data(view, seen, &path),
                List::Exist => self.rearm_exists(view, &path),
                List::Child => self.rearm_children(view, seen, &path),
                List::Persistent => self.rearm_persistent(view, &path, AddWatchMode::Persistent),
                List::Recursive => {
                    self.rearm_persistent(view, &path, AddWatchMode::PersistentRecursive);
                }
            }
        }
        false
    }

    fn rearm_data(&mut self, view: View<'_>, seen: Zxid, path: &str) {
        match view.replica.tree().get(path) {
            None => self.put_event(view.around, NO_ZXID, EventType::NodeDeleted, path),
            Some(node) if node.mzxid() > seen => {
                self.put_event(view.around, NO_ZXID, EventType::NodeDataChanged, path);
            }
            Some(_) => self.rearm(view, WatchKind::Data, path),
        }
    }

    /// A node that exists is told of whenever it was made: the client waited for it to appear.
    fn rearm_exists(&mut self, view: View<'_>, path: &str) {
        match view.replica.tree().get(path) {
            Some(_) => self.put_event(view.around, NO_ZXID, EventType::NodeCreated, path),
            None => self.rearm(view, WatchKind::Data, path),
        }
    }

    fn rearm_children(&mut self, view: View<'_>, seen: Zxid, path: &str) {
        match view.replica.tree().get(path) {
            None => self.put_event(view.around, NO_ZXID, EventType::NodeDeleted, path),
            Some(node) if node.pzxid() > seen => {
                self.put_event(view.around, NO_ZXID, EventType::NodeChildrenChanged, path);
            }
            Some(_) => self.rearm(view, WatchKind::Child, path),
        }
    }

    fn rearm_persistent(&self, view: View<'_>, path: &str, mode: AddWatchMode) {
        view.replica.watches().add_persistent(path, self.id().number, mode);
    }

    fn rearm(&self, view: View<'_>, kind: WatchKind, path: &str) {
        view.replica.watches().add(kind, path, self.id().number, WatchModes::STANDARD);
    }
}
