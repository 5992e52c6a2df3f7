//! The watches of a session, and which of them an event is told to.

use std::collections::{BTreeMap, HashMap};

use bytes::BytesMut;
use jute_proto::{Encode, ErrorCode, EventType, RemoveWatchesRequest, WatcherType, Zxid};

use crate::error::Error;
use crate::path::parent;

use super::request::WatchRegistration;

/// Names a watch within the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WatcherId(pub(crate) u64);

/// A change that a watch tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchedEvent {
    /// The kind of change.
    pub kind: EventType,
    /// The znode that it happened to.
    pub path: String,
    /// The transaction, where the server says it: Grovekeeper and Apache ZooKeeper 3.9 do, except
    /// for what happened while the connection was lost.
    pub zxid: Option<Zxid>,
}

/// A notice for the caller that set a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A change.
    Event(WatchedEvent),
    /// Changes may have been missed.
    Gap,
    /// The watch is over.
    End(Error),
}

/// The changes that a watch listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WatchKind {
    /// One change of a znode that is there.
    Data,
    /// The creation of a znode that is not there.
    Exist,
    /// One change of the set of children.
    Child,
    /// All changes of a znode and of its set of children.
    Persistent,
    /// All changes of a znode and of those below it.
    Recursive,
}

impl WatchKind {
    const fn is_one_shot(self) -> bool {
        match self {
            Self::Data | Self::Exist | Self::Child => true,
            Self::Persistent | Self::Recursive => false,
        }
    }

    /// Whether a watch of the very znode is told of such an event.
    fn is_triggered_by(self, kind: EventType) -> bool {
        match self {
            Self::Data | Self::Exist | Self::Recursive => matches!(
                kind,
                EventType::NodeCreated | EventType::NodeDeleted | EventType::NodeDataChanged
            ),
            Self::Child => {
                matches!(kind, EventType::NodeChildrenChanged | EventType::NodeDeleted)
            }
            Self::Persistent => true,
        }
    }

    const fn watcher_type(self) -> WatcherType {
        match self {
            Self::Data | Self::Exist => WatcherType::Data,
            Self::Child => WatcherType::Children,
            Self::Persistent => WatcherType::Persistent,
            Self::Recursive => WatcherType::PersistentRecursive,
        }
    }
}

/// A watch whose request has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingWatch {
    id: WatcherId,
    path: String,
}

/// A watch that the server should forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchRemoval {
    path: String,
    kind: WatcherType,
}

impl WatchRemoval {
    /// The record of the request that takes the watch back.
    pub(super) fn record(&self) -> Vec<u8> {
        let mut record = BytesMut::new();
        let path = self.path.as_str().into();
        RemoveWatchesRequest { path, watcher_type: self.kind.into() }.encode(&mut record);
        record.into()
    }
}

#[derive(Debug)]
struct Watcher<W> {
    id: WatcherId,
    kind: WatchKind,
    /// Whether the server has said that the watch is set.
    armed: bool,
    sink: W,
}

/// All watches of a session.
#[derive(Debug)]
pub(super) struct Watches<W> {
    /// By the server's path; no list is empty.
    by_path: BTreeMap<String, Vec<Watcher<W>>>,
    paths: HashMap<WatcherId, String>,
    /// How many of them are recursive, to save looking for them.
    recursive: usize,
}

impl<W: Clone> Watches<W> {
    pub(super) fn new() -> Self {
        Self { by_path: BTreeMap::new(), paths: HashMap::new(), recursive: 0 }
    }

    /// Adds a watch whose request is on its way.
    pub(super) fn add(&mut self, registration: WatchRegistration<W>) -> PendingWatch {
        let WatchRegistration { id, path, kind, sink } = registration;
        self.recursive += usize::from(kind == WatchKind::Recursive);
        self.paths.insert(id, path.clone());
        let watchers = self.by_path.entry(path.clone()).or_default();
        watchers.push(Watcher { id, kind, armed: false, sink });
        PendingWatch { id, path }
    }

    /// The request of a watch was answered with the code `err`. Returns what the server should
    /// forget again, where the caller has let go of the watch in the meantime.
    pub(super) fn answered(&mut self, pending: &PendingWatch, err: i32) -> Option<WatchRemoval> {
        let watchers = self.by_path.get_mut(&pending.path);
        let Some(watchers) = watchers else {
            let removal = WatchRemoval { path: pending.path.clone(), kind: WatcherType::Any };
            return (err == 0).then_some(removal);
        };
        let watcher = watchers.iter_mut().find(|watcher| watcher.id == pending.id)?;
        let no_node = i32::from(ErrorCode::NoNode);
        if err == 0 {
            if watcher.kind == WatchKind::Exist {
                watcher.kind = WatchKind::Data;
            }
            watcher.armed = true;
        } else if err == no_node && watcher.kind == WatchKind::Exist {
            watcher.armed = true;
        } else {
            self.remove(pending.id);
        }
        None
    }

    /// The request of a watch was not answered, so that there is no watch.
    pub(super) fn failed(&mut self, pending: &PendingWatch) {
        self.remove(pending.id);
    }

    /// Forgets a watch. Returns what the server should forget, as far as no other watch needs it.
    ///
    /// Servers before ZooKeeper 3.9 confuse the kinds of watch of one path, so a one-shot watch
    /// beside others is left to fire in vain, and one alone is removed as any kind.
    pub(super) fn remove(&mut self, id: WatcherId) -> Option<WatchRemoval> {
        let path = self.paths.remove(&id)?;
        let watchers = self.by_path.get_mut(&path)?;
        let at = watchers.iter().position(|watcher| watcher.id == id)?;
        let watcher = watchers.remove(at);
        self.recursive -= usize::from(watcher.kind == WatchKind::Recursive);
        if watchers.is_empty() {
            self.by_path.remove(&path);
            return Some(WatchRemoval { path, kind: WatcherType::Any });
        }
        let needed = watchers.iter().any(|other| other.kind == watcher.kind);
        let remove = !needed && !watcher.kind.is_one_shot();
        remove.then(|| WatchRemoval { path, kind: watcher.kind.watcher_type() })
    }

    /// Tells every watch that an event concerns.
    pub(super) fn trigger(&mut self, event: &WatchedEvent, mut tell: impl FnMut(W, Notice)) {
        let mut spent = Vec::new();
        for watcher in self.by_path.get(&event.path).into_iter().flatten() {
            let one_shot = watcher.kind.is_one_shot();
            // A one-shot watch whose request was not answered is set after this event, which is not
            // its own. A persistent one may be told of a change too many, but not of one too few.
            if watcher.kind.is_triggered_by(event.kind) && (watcher.armed || !one_shot) {
                tell(watcher.sink.clone(), Notice::Event(event.clone()));
                if one_shot {
                    spent.push(watcher.id);
                }
            }
        }
        for id in spent {
            self.remove(id);
        }
        if self.recursive == 0 || event.kind == EventType::NodeChildrenChanged {
            return;
        }
        let mut above = parent(&event.path);
        while let Some(path) = above {
            let watchers = self.by_path.get(path).into_iter().flatten();
            for watcher in watchers.filter(|watcher| watcher.kind == WatchKind::Recursive) {
                tell(watcher.sink.clone(), Notice::Event(event.clone()));
            }
            above = parent(path);
        }
    }

    /// Tells the armed persistent watches that they may have missed something.
    pub(super) fn gap(&self, mut tell: impl FnMut(W, Notice)) {
        for watcher in self.by_path.values().flatten() {
            if watcher.armed && !watcher.kind.is_one_shot() {
                tell(watcher.sink.clone(), Notice::Gap);
            }
        }
    }

    /// Ends all watches.
    pub(super) fn end(&mut self, error: &Error, mut tell: impl FnMut(W, Notice)) {
        for watcher in std::mem::take(&mut self.by_path).into_values().flatten() {
            tell(watcher.sink, Notice::End(error.clone()));
        }
        self.paths.clear();
        self.recursive = 0;
    }

    /// The watches that the server has to keep, each path once a kind, in order.
    pub(super) fn armed(&self) -> Vec<(WatchKind, &str)> {
        let mut armed = Vec::new();
        for (path, watchers) in &self.by_path {
            let mut kinds: Vec<WatchKind> = watchers
                .iter()
                .filter(|watcher| watcher.armed)
                .map(|watcher| watcher.kind)
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            armed.extend(kinds.into_iter().map(|kind| (kind, path.as_str())));
        }
        armed
    }
}
