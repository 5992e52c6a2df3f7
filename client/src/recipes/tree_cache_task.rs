//! The task that keeps a mirror up to date.
//!
//! Events name paths and kinds, not content, and the content is read after them. So what is read
//! may be newer than the event, and a later event may tell of what was read already. Both are
//! harmless, because the mirror compares transactions: it tells of a change only where the znode's
//! transactions are others than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use jute_proto::{AddWatchMode, EventType, Stat};
use parking_lot::RwLock;
use tokio::sync::{broadcast, oneshot, watch};

use crate::client::{Client, WatchNotice, WatchStream};
use crate::error::{Error, Fate};

use super::read_subtree::{Nodes, ask_all, read_subtree};
use super::session_scope::SessionScope;
use super::tree_cache::CacheEvent;

/// How many changes are dealt with together.
const CHANGES_MAX: usize = 256;

/// How far a mirror is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Loading,
    Ready,
    Failed(Error),
}

pub(super) struct TreeCacheTask {
    client: Client,
    root: String,
    nodes: Arc<RwLock<Nodes>>,
    state: watch::Sender<State>,
    events: broadcast::Sender<CacheEvent>,
}

impl TreeCacheTask {
    pub(super) fn new(
        client: Client,
        root: String,
        nodes: Arc<RwLock<Nodes>>,
        state: watch::Sender<State>,
        events: broadcast::Sender<CacheEvent>,
    ) -> Self {
        Self { client, root, nodes, state, events }
    }

    pub(super) async fn run(self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let scope = SessionScope::of(&self.client);
            let outcome = tokio::select! {
                // The sender is only ever dropped.
                _ = &mut stopped => return,
                outcome = self.follow(&scope) => outcome,
            };
            let fate = Fate::NotApplied;
            let error = outcome.err().unwrap_or(Error::SessionLost { fate });
            if !matches!(error, Error::SessionLost { .. }) || scope.client_has_ended() {
                self.state.send_replace(State::Failed(error));
                return;
            }
        }
    }

    /// Mirrors for as long as one session lasts.
    async fn follow(&self, scope: &SessionScope) -> Result<(), Error> {
        let watch = || self.client.watch(&self.root, AddWatchMode::PersistentRecursive);
        // The watch is set before anything is read: whatever changes during the read has an event.
        let mut stream = scope.retry(watch).await?;
        self.synchronise(scope).await?;
        while let Some(changes) = next_changes(&mut stream).await {
            match changes {
                ChangeSet::Gap => self.synchronise(scope).await?,
                ChangeSet::Changes(changes) => self.apply(scope, changes).await?,
            }
        }
        // The stream ends with the session.
        scope.reconnected().await
    }

    /// Reads everything and compares. Needed where events are missing: at the beginning, and after
    /// a gap.
    async fn synchronise(&self, scope: &SessionScope) -> Result<(), Error> {
        let mut fresh = read_subtree(scope, &self.root).await?;
        let gone: Vec<String> = {
            let nodes = self.nodes.read();
            nodes.keys().rev().filter(|path| !fresh.contains_key(*path)).cloned().collect()
        };
        // Children before their parents, then parents before their children: listeners always see a
        // tree.
        for path in gone {
            self.remove(&path);
        }
        while let Some((path, (data, stat))) = fresh.pop_first() {
            self.put(path, data, stat);
        }
        self.emit(CacheEvent::Synchronised);
        self.state.send_replace(State::Ready);
        Ok(())
    }

    /// Brings the mirror up to date with these changes.
    async fn apply(
        &self,
        scope: &SessionScope,
        changes: BTreeMap<String, EventType>,
    ) -> Result<(), Error> {
        let (gone, changed): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|(_, kind)| *kind == EventType::NodeDeleted);
        for (path, _) in gone.into_iter().rev() {
            self.remove(&path);
        }
        let paths: Vec<String> = changed.into_iter().map(|(path, _)| path).collect();
        let read = ask_all(scope, &paths, |path| self.client.get(path)).await?;
        for (path, found) in paths.into_iter().zip(read) {
            match found {
                Some((data, stat)) => self.put(path, data, stat),
                None => self.remove(&path),
            }
        }
        Ok(())
    }

    fn put(&self, path: String, data: Bytes, stat: Stat) {
        let before = self.nodes.write().insert(path.clone(), (data.clone(), stat));
        match before {
            None => self.emit(CacheEvent::Added { path, data, stat }),
            Some((_, old)) if old.czxid != stat.czxid || old.mzxid != stat.mzxid => {
                self.emit(CacheEvent::Changed { path, data, stat });
            }
            Some(_) => {}
        }
    }

    fn remove(&self, path: &str) {
        let before = self.nodes.write().remove(path);
        if let Some((data, stat)) = before {
            self.emit(CacheEvent::Removed { path: path.to_owned(), data, stat });
        }
    }

    fn emit(&self, event: CacheEvent) {
        // Without listeners there is nobody to tell.
        drop(self.events.send(event));
    }
}

/// Notices that are dealt with together.
enum ChangeSet {
    /// Some are missing.
    Gap,
    /// The last change of each path.
    Changes(BTreeMap<String, EventType>),
}

/// The next notice of a stream and all that are there already; `None` at its end.
async fn next_changes(stream: &mut WatchStream) -> Option<ChangeSet> {
    let mut next = Some(stream.next().await?);
    let mut changes = BTreeMap::new();
    while let Some(notice) = next {
        match notice {
            // Everything is compared then, these changes too.
            WatchNotice::Gap => return Some(ChangeSet::Gap),
            WatchNotice::Event(event) => changes.insert(event.path, event.kind),
        };
        let more = changes.len() < CHANGES_MAX;
        next = if more { stream.next().now_or_never().flatten() } else { None };
    }
    Some(ChangeSet::Changes(changes))
}
