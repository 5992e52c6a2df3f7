//! The registrations of one server.
//!
//! Who calls what, under which lock of the replica:
//!
//! | call | lock | beside what it runs |
//! |---|---|---|
//! | [`add`](WatchTable::add), [`remove`](WatchTable::remove), [`contains`](WatchTable::contains) | shared, by the connection that watches | the same calls of other connections |
//! | firing (`trigger.rs`) | exclusive | no registration |
//! | [`remove_watcher`](WatchTable::remove_watcher) | none, after the connection was closed | everything |
//! | the figures of `wchs`, `wchp` and `wchc` | none | everything |
//!
//! *Locks in the table.* The two path tables and the map by watcher are cut into shards with a lock each, so that
//! reads which set watches seldom wait for each other. The recursive registrations have one lock. No call
//! holds two of these locks at a time, so there is no order in which to take them.
//!
//! *What the steps of a call leave in between.* The tables are changed one after the other, so a figure that is
//! read meanwhile may be one off. This always holds:
//!
//! * A connection's own calls come one by one, and none follows once it is closed. So nothing registers a
//!   watcher that [`remove_watcher`](WatchTable::remove_watcher) goes through.
//! * The call that takes the last mode of a (watcher, path) pair does so under the lock of its shard, and counts the
//!   pair down. So each pair is counted down once, also where a watch fires while its connection ends.
//! * A pair is in a path table before the map by watcher has its path. The path leaves the map when neither path
//!   table has the pair, or with the connection. So no watch outlives its connection.
//! * While changes fire no registration runs. So a count of 0 means that there is nothing to tell.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use jute_proto::{AddWatchMode, WatcherType};
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::tree::PrefixMap;

/// The connection that a watch belongs to: its number on this server.
pub type WatcherId = u64;

/// The two tables that ZooKeeper keeps (`DataTree.dataWatches` and `childWatches`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// What happens to a node itself; recursive watches live only here.
    Data,
    /// What happens to the set of a node's children.
    Child,
}

/// The modes in which one connection watches one path in one table; they coexist (ZOOKEEPER-4466).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchModes(u8);

impl WatchModes {
    /// Fires once.
    pub const STANDARD: Self = Self(1);
    /// Fires until it is removed.
    pub const PERSISTENT: Self = Self(2);
    /// Fires until it is removed, for the whole subtree, and never for child changes.
    pub const RECURSIVE: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);

    /// Whether any of these modes is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These modes without those.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The watchers of one path in one table, sorted by their number. Most paths have one.
///
/// Connections are numbered upwards, so a new watcher mostly goes to the end.
#[derive(Debug, Default)]
pub(super) struct Watchers(SmallVec<[(WatcherId, WatchModes); 1]>);

impl Watchers {
    fn add(&mut self, watcher: WatcherId, modes: WatchModes) -> WatchModes {
        match self.0.binary_search_by_key(&watcher, |entry| entry.0) {
            Ok(at) => {
                let before = self.0[at].1;
                self.0[at].1 = before.with(modes);
                before
            }
            Err(at) => {
                self.0.insert(at, (watcher, modes));
                WatchModes::default()
            }
        }
    }

    /// Takes modes away; returns those that were there.
    fn remove(&mut self, watcher: WatcherId, modes: WatchModes) -> WatchModes {
        let Ok(at) = self.0.binary_search_by_key(&watcher, |entry| entry.0) else {
            return WatchModes::default();
        };
        let before = self.0[at].1;
        let left = before.without(modes);
        if left.is_empty() {
            self.0.remove(at);
        } else {
            self.0[at].1 = left;
        }
        WatchModes(before.0 & modes.0)
    }

    fn modes(&self, watcher: WatcherId) -> WatchModes {
        match self.0.binary_search_by_key(&watcher, |entry| entry.0) {
            Ok(at) => self.0[at].1,
            Err(_) => WatchModes::default(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WatcherId, WatchModes)> {
        self.0.iter().copied()
    }

    /// Drops the one-shot modes and returns the watchers that are left with none.
    pub(super) fn consume_standard(&mut self, gone: &mut Vec<WatcherId>) {
        self.0.retain_mut(|(watcher, modes)| {
            *modes = modes.without(WatchModes::STANDARD);
            if modes.is_empty() {
                gone.push(*watcher);
            }
            !modes.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A map that connections use side by side; seeded anew in each process, like all that clients choose
/// the keys of.
type ConcurrentMap<K, V> = DashMap<K, V, DefaultHashBuilder>;

/// All watches of the connections of one server.
#[derive(Debug, Default)]
pub struct WatchTable {
    pub(super) data: ConcurrentMap<Arc<str>, Watchers>,
    pub(super) child: ConcurrentMap<Arc<str>, Watchers>,
    /// The paths of each watcher in either table: what the end of a connection goes through.
    by_watcher: ConcurrentMap<WatcherId, BTreeSet<Arc<str>>>,
    /// The recursive registrations once more, to be found from the paths below them.
    recursive: RwLock<PrefixMap<BTreeSet<WatcherId>>>,
    /// How many recursive registrations there are. Without any, which is usual, a change does not look at its
    /// ancestors.
    recursive_count: AtomicUsize,
    /// How many (watcher, path) pairs the data table holds.
    data_pairs: AtomicUsize,
    /// How many (watcher, path) pairs the child table holds.
    child_pairs: AtomicUsize,
}

impl WatchTable {
    /// Registers modes for a path; registering twice is the same as once.
    pub fn add(&self, kind: WatchKind, path: &str, watcher: WatcherId, modes: WatchModes) {
        let (shared, before) = self.add_modes(kind, path, watcher, modes);
        if before.is_empty() {
            self.pairs(kind).fetch_add(1, Ordering::Relaxed);
            self.by_watcher.entry(watcher).or_default().insert(shared);
        }
        if modes.intersects(WatchModes::RECURSIVE) && !before.intersects(WatchModes::RECURSIVE) {
            self.recursive.write().get_or_insert(path).insert(watcher);
            self.recursive_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds modes; returns those that were there, and the path as the table keeps it.
    fn add_modes(
        &self,
        kind: WatchKind,
        path: &str,
        watcher: WatcherId,
        modes: WatchModes,
    ) -> (Arc<str>, WatchModes) {
        if let Some(mut known) = self.table(kind).get_mut(path) {
            let before = known.add(watcher, modes);
            return (Arc::clone(known.key()), before);
        }
        let shared: Arc<str> = Arc::from(path);
        let before = self.table(kind).entry(Arc::clone(&shared)).or_default().add(watcher, modes);
        (shared, before)
    }

    /// Registers what `addWatch` asks for: a persistent watch is in both tables, a recursive one in
    /// the data table.
    pub fn add_persistent(&self, path: &str, watcher: WatcherId, mode: AddWatchMode) {
        match mode {
            AddWatchMode::Persistent => {
                self.add(WatchKind::Data, path, watcher, WatchModes::PERSISTENT);
                self.add(WatchKind::Child, path, watcher, WatchModes::PERSISTENT);
            }
            AddWatchMode::PersistentRecursive => {
                self.add(WatchKind::Data, path, watcher, WatchModes::RECURSIVE);
            }
        }
    }

    /// Whether the connection has a watch of this type on the path (`checkWatches`).
    pub fn contains(&self, path: &str, watcher: WatcherId, watcher_type: WatcherType) -> bool {
        selection(watcher_type).into_iter().any(|(kind, modes)| {
            self.table(kind).get(path).is_some_and(|found| found.modes(watcher).intersects(modes))
        })
    }

    /// Removes the connection's watches of this type from the path; false where there was none.
    pub fn remove(&self, path: &str, watcher: WatcherId, watcher_type: WatcherType) -> bool {
        let mut any = false;
        for (kind, modes) in selection(watcher_type) {
            any |= self.remove_modes(kind, path, watcher, modes);
        }
        if any {
            self.forget_path_if_unwatched(path, watcher);
        }
        any
    }

    /// Forgets what a connection that ended watched, of at most so many paths; says whether some are left.
    ///
    /// The paths leave the map by watcher first and the path tables then. A watch that fires in between
    /// finds no path there to forget, which does no harm.
    pub fn remove_watcher(&self, watcher: WatcherId, paths_max: usize) -> bool {
        let Some(mut paths) = self.by_watcher.get_mut(&watcher) else { return false };
        let removed: Vec<Arc<str>> =
            core::iter::from_fn(|| paths.pop_first()).take(paths_max).collect();
        let is_empty = paths.is_empty();
        drop(paths);
        for path in removed {
            self.remove_modes(WatchKind::Data, &path, watcher, WatchModes::ALL);
            self.remove_modes(WatchKind::Child, &path, watcher, WatchModes::ALL);
        }
        if is_empty {
            self.by_watcher.remove(&watcher);
        }
        !is_empty
    }

    /// How many connections watch anything in the data table, how many paths, and how many pairs:
    /// the three figures of `wchs`.
    pub fn data_summary(&self) -> (usize, usize, usize) {
        let watchers: BTreeSet<WatcherId> = self
            .data
            .iter()
            .flat_map(|entry| entry.value().iter().map(|(id, _)| id).collect::<Vec<_>>())
            .collect();
        (watchers.len(), self.data.len(), self.data_pairs.load(Ordering::Relaxed))
    }

    /// The watched paths of the data table with their watchers, sorted (`wchp`, `wchc`).
    pub fn data_watches(&self) -> Vec<(Arc<str>, Vec<WatcherId>)> {
        let mut all: Vec<_> = self
            .data
            .iter()
            .map(|entry| {
                (Arc::clone(entry.key()), entry.value().iter().map(|(id, _)| id).collect())
            })
            .collect();
        all.sort();
        all
    }

    /// How many (watcher, path) pairs both tables hold (`zk_watch_count`).
    pub fn count(&self) -> usize {
        self.data_pairs.load(Ordering::Relaxed) + self.child_pairs.load(Ordering::Relaxed)
    }

    /// Who watches a path recursively, at the path or above it; some may be there several times.
    pub(super) fn recursive_watchers_into(&self, path: &str, watchers: &mut Vec<WatcherId>) {
        if self.recursive_count.load(Ordering::Relaxed) > 0 {
            let recursive = self.recursive.read();
            watchers.extend(recursive.above(path).flat_map(|(_, watchers)| watchers));
        }
    }

    /// Whether nobody watches anything in this table: most changes need not look for a path then.
    pub(super) fn is_unused(&self, kind: WatchKind) -> bool {
        self.pairs(kind).load(Ordering::Relaxed) == 0
    }

    pub(super) fn table(&self, kind: WatchKind) -> &ConcurrentMap<Arc<str>, Watchers> {
        match kind {
            WatchKind::Data => &self.data,
            WatchKind::Child => &self.child,
        }
    }

    /// A pair left a table because its one-shot watch fired.
    pub(super) fn forget_consumed(&self, kind: WatchKind, path: &str, watchers: &[WatcherId]) {
        self.pairs(kind).fetch_sub(watchers.len(), Ordering::Relaxed);
        for watcher in watchers {
            self.forget_path_if_unwatched(path, *watcher);
        }
    }

    fn pairs(&self, kind: WatchKind) -> &AtomicUsize {
        match kind {
            WatchKind::Data => &self.data_pairs,
            WatchKind::Child => &self.child_pairs,
        }
    }

    fn remove_modes(
        &self,
        kind: WatchKind,
        path: &str,
        watcher: WatcherId,
        modes: WatchModes,
    ) -> bool {
        let Some(mut watchers) = self.table(kind).get_mut(path) else { return false };
        let removed = watchers.remove(watcher, modes);
        let left = watchers.modes(watcher);
        let unused = watchers.is_empty();
        drop(watchers);
        if unused {
            self.table(kind).remove_if(path, |_, watchers| watchers.is_empty());
        }
        if !removed.is_empty() && left.is_empty() {
            self.pairs(kind).fetch_sub(1, Ordering::Relaxed);
        }
        if removed.intersects(WatchModes::RECURSIVE) {
            self.recursive_count.fetch_sub(1, Ordering::Relaxed);
            let mut recursive = self.recursive.write();
            if let Some(watchers) = recursive.get_mut(path) {
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    recursive.remove(path);
                }
            }
        }
        !removed.is_empty()
    }

    fn forget_path_if_unwatched(&self, path: &str, watcher: WatcherId) {
        let used = [WatchKind::Data, WatchKind::Child].into_iter().any(|kind| {
            self.table(kind).get(path).is_some_and(|found| !found.modes(watcher).is_empty())
        });
        if used {
            return;
        }
        if let Some(mut paths) = self.by_watcher.get_mut(&watcher) {
            paths.remove(path);
        }
        self.by_watcher.remove_if(&watcher, |_, paths| paths.is_empty());
    }
}

/// Which modes in which tables a type names (`WatchManager.removeWatcher`, protocol of 3.9).
fn selection(watcher_type: WatcherType) -> Vec<(WatchKind, WatchModes)> {
    match watcher_type {
        WatcherType::Children => vec![(WatchKind::Child, WatchModes::STANDARD)],
        WatcherType::Data => vec![(WatchKind::Data, WatchModes::STANDARD)],
        WatcherType::Any => {
            vec![(WatchKind::Data, WatchModes::ALL), (WatchKind::Child, WatchModes::ALL)]
        }
        WatcherType::Persistent => {
            vec![
                (WatchKind::Data, WatchModes::PERSISTENT),
                (WatchKind::Child, WatchModes::PERSISTENT),
            ]
        }
        WatcherType::PersistentRecursive => vec![(WatchKind::Data, WatchModes::RECURSIVE)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_remove_only_what_they_name() {
        // removeWatches by type leaves the other kinds.
        let table = WatchTable::default();
        table.add(WatchKind::Data, "/a", 1, WatchModes::STANDARD);
        table.add_persistent("/a", 1, AddWatchMode::Persistent);
        table.add_persistent("/a", 1, AddWatchMode::PersistentRecursive);
        assert!(!table.remove("/a", 1, WatcherType::Children));
        assert!(table.remove("/a", 1, WatcherType::Data));
        assert!(!table.contains("/a", 1, WatcherType::Data));
        assert!(table.contains("/a", 1, WatcherType::Persistent));
        assert!(table.remove("/a", 1, WatcherType::Persistent));
        assert!(table.contains("/a", 1, WatcherType::PersistentRecursive));
        assert!(table.remove("/a", 1, WatcherType::Any));
        assert!(!table.remove("/a", 1, WatcherType::Any));
        assert_eq!(table.count(), 0);
        assert!(table.recursive.read().is_empty());
        assert_eq!(table.recursive_count.into_inner(), 0);
    }

    #[test]
    fn a_closed_connection_leaves_nothing() {
        // When a connection ends, its watches and every trace of them go, those of others stay.
        let table = WatchTable::default();
        for watcher in [1, 2] {
            table.add(WatchKind::Child, "/a", watcher, WatchModes::STANDARD);
            table.add_persistent("/b", watcher, AddWatchMode::PersistentRecursive);
        }
        assert!(!table.remove_watcher(1, 2));
        assert_eq!(table.count(), 2);
        assert!(!table.contains("/b", 1, WatcherType::Any));
        assert!(table.contains("/b", 2, WatcherType::Any));
        // A watcher with many leaves in pieces.
        assert!(table.remove_watcher(2, 1));
        assert_eq!(table.count(), 1);
        assert!(!table.remove_watcher(2, 1));
        assert!(!table.remove_watcher(2, 1));
        assert!(table.data.is_empty() && table.child.is_empty() && table.by_watcher.is_empty());
    }

    #[test]
    fn recursive_watches_are_found_in_time_that_follows_the_path() {
        // A change of a node ten thousand levels down tells who watches each level, and none is looked up by
        // its whole path.
        let table = WatchTable::default();
        let path = "/a".repeat(10_000);
        for watcher in 0..100 {
            let end = path.len() - 2 * usize::try_from(watcher).unwrap() - 2;
            table.add_persistent(&path[..end], watcher, AddWatchMode::PersistentRecursive);
        }
        for _ in 0..1000 {
            let mut told = 0;
            table.node_data_changed(&path, |_| told += 1);
            assert_eq!(told, 100);
        }
        assert_eq!(table.count(), 100);
    }

    #[test]
    fn a_watch_registered_twice_counts_once() {
        // Two watcher objects of a client are one registration on the server.
        let table = WatchTable::default();
        table.add(WatchKind::Data, "/a", 1, WatchModes::STANDARD);
        table.add(WatchKind::Data, "/a", 1, WatchModes::STANDARD);
        assert_eq!(table.count(), 1);
        assert_eq!(table.data_summary(), (1, 1, 1));
    }
}
