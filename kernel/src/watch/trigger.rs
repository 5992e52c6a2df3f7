//! A change of the tree becomes events: the whole matrix of ZooKeeper's `DataTree` and `WatchManager` in one place.
//!
//! | change          | table and path      | event               | goes to                                |
//! |-----------------|---------------------|---------------------|----------------------------------------|
//! | `P/c` created   | data `P/c`          | `NodeCreated`         | all modes, recursive ones of ancestors |
//! |                 | child `P`           | `NodeChildrenChanged` | standard, persistent                   |
//! | `P/c` deleted   | data `P/c`          | `NodeDeleted`         | all modes, recursive ones of ancestors |
//! |                 | child `P/c`         | `NodeDeleted`         | those who did not get it from above    |
//! |                 | child `P`           | `NodeChildrenChanged` | standard, persistent                   |
//! | data changed    | data path           | `NodeDataChanged`     | all modes, recursive ones of ancestors |

use alloc::vec::Vec;

use jute_proto::EventType;

use super::table::{WatchKind, WatchTable, WatcherId};
use crate::tree::path;

/// One event for one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Firing<'a> {
    /// Who gets it.
    pub watcher: WatcherId,
    /// What happened.
    pub event_type: EventType,
    /// To which path.
    pub path: &'a str,
}

impl WatchTable {
    /// A node was created: tells its watchers and those of its parent's children.
    pub fn node_created<'a>(&self, path: &'a str, mut fire: impl FnMut(Firing<'a>)) {
        self.fire_data(path, EventType::NodeCreated, &mut fire);
        self.fire_children_changed(path, &mut fire);
    }

    /// A node's data was set.
    pub fn node_data_changed<'a>(&self, path: &'a str, mut fire: impl FnMut(Firing<'a>)) {
        self.fire_data(path, EventType::NodeDataChanged, &mut fire);
    }

    /// A node was deleted. A connection that watches its data and its children hears of it once;
    /// both watches are used up.
    pub fn node_deleted<'a>(&self, path: &'a str, mut fire: impl FnMut(Firing<'a>)) {
        let told = self.fire_data(path, EventType::NodeDeleted, &mut fire);
        for watcher in self.consume(WatchKind::Child, path) {
            if told.binary_search(&watcher).is_err() {
                fire(Firing { watcher, event_type: EventType::NodeDeleted, path });
            }
        }
        self.fire_children_changed(path, &mut fire);
    }

    /// Recursive watches never get this event: `WatchTable::add_persistent` puts none of them into the child table.
    fn fire_children_changed<'a>(&self, path: &'a str, fire: &mut impl FnMut(Firing<'a>)) {
        // The root is nobody's child.
        let Some(parent) = path::parent(path).filter(|_| path != path::ROOT) else { return };
        for watcher in self.consume(WatchKind::Child, parent) {
            let event_type = EventType::NodeChildrenChanged;
            fire(Firing { watcher, event_type, path: parent });
        }
    }

    /// Fires the data table for a path and returns, sorted, who was told.
    fn fire_data<'a>(
        &self,
        path: &'a str,
        event_type: EventType,
        fire: &mut impl FnMut(Firing<'a>),
    ) -> Vec<WatcherId> {
        let mut watchers = self.consume(WatchKind::Data, path);
        let here = watchers.len();
        self.recursive_watchers_into(path, &mut watchers);
        if watchers.len() > here {
            watchers.sort_unstable();
            watchers.dedup();
        }
        for watcher in &watchers {
            fire(Firing { watcher: *watcher, event_type, path });
        }
        watchers
    }

    /// Everyone who watches this very path, sorted; one-shot watches are used up.
    fn consume(&self, kind: WatchKind, path: &str) -> Vec<WatcherId> {
        if self.is_unused(kind) {
            return Vec::new();
        }
        let Some(mut found) = self.table(kind).get_mut(path) else { return Vec::new() };
        let watchers = found.iter().map(|(watcher, _)| watcher).collect();
        let mut gone = Vec::new();
        found.consume_standard(&mut gone);
        let unused = found.is_empty();
        drop(found);
        if unused {
            self.table(kind).remove_if(path, |_, watchers| watchers.is_empty());
        }
        self.forget_consumed(kind, path, &gone);
        watchers
    }
}

#[cfg(test)]
#[path = "trigger_test.rs"]
mod tests;
