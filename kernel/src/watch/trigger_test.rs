use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use jute_proto::AddWatchMode::{Persistent, PersistentRecursive};
use jute_proto::EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};

use super::super::table::WatchModes;
use super::*;

type Event = (WatcherId, EventType, String);

fn events(run: impl FnOnce(&mut dyn FnMut(Firing<'_>))) -> Vec<Event> {
    let mut all = Vec::new();
    run(&mut |firing| all.push((firing.watcher, firing.event_type, firing.path.to_owned())));
    all
}

fn event(watcher: WatcherId, event_type: EventType, path: &str) -> Event {
    (watcher, event_type, path.to_owned())
}

#[test]
fn one_shot_watches_fire_once() {
    // A standard watch is used up by its first event.
    let table = WatchTable::default();
    table.add(WatchKind::Data, "/a", 1, WatchModes::STANDARD);
    assert_eq!(events(|f| table.node_data_changed("/a", f)), [event(1, NodeDataChanged, "/a")]);
    assert_eq!(events(|f| table.node_data_changed("/a", f)), []);
    assert_eq!(table.count(), 0);
}

#[test]
fn a_delete_is_told_once_and_before_the_parent() {
    // Data and child watch of one client give one NodeDeleted; the parent's event follows.
    let table = WatchTable::default();
    table.add(WatchKind::Data, "/a/b", 1, WatchModes::STANDARD);
    table.add(WatchKind::Child, "/a/b", 1, WatchModes::STANDARD);
    table.add(WatchKind::Child, "/a/b", 2, WatchModes::STANDARD);
    table.add(WatchKind::Child, "/a", 1, WatchModes::STANDARD);
    let told = events(|f| table.node_deleted("/a/b", f));
    assert_eq!(
        told,
        [
            event(1, NodeDeleted, "/a/b"),
            event(2, NodeDeleted, "/a/b"),
            event(1, NodeChildrenChanged, "/a"),
        ]
    );
    assert_eq!(table.count(), 0);
}

#[test]
fn recursive_watches_see_the_subtree_and_no_child_events() {
    // A recursive watch gets created, deleted and changed for every descendant.
    let table = WatchTable::default();
    table.add_persistent("/a", 1, PersistentRecursive);
    assert_eq!(events(|f| table.node_created("/a/b/c", f)), [event(1, NodeCreated, "/a/b/c")]);
    assert_eq!(events(|f| table.node_deleted("/a/b", f)), [event(1, NodeDeleted, "/a/b")]);
    assert_eq!(events(|f| table.node_data_changed("/a", f)), [event(1, NodeDataChanged, "/a")]);
    assert_eq!(events(|f| table.node_data_changed("/ab", f)), []);
}

#[test]
fn the_root_can_be_watched() {
    // Watches on "/" work, recursive or not.
    let table = WatchTable::default();
    table.add_persistent("/", 1, PersistentRecursive);
    table.add(WatchKind::Child, "/", 2, WatchModes::STANDARD);
    assert_eq!(
        events(|f| table.node_created("/x", f)),
        [event(1, NodeCreated, "/x"), event(2, NodeChildrenChanged, "/")]
    );
}

#[test]
fn modes_coexist_and_tell_once() {
    // Standard, persistent and recursive watches of one client on one path give one event each time;
    // the standard one is used up, the others stay.
    let table = WatchTable::default();
    table.add(WatchKind::Data, "/a", 1, WatchModes::STANDARD);
    table.add_persistent("/a", 1, Persistent);
    table.add_persistent("/a", 1, PersistentRecursive);
    for _ in 0..2 {
        assert_eq!(events(|f| table.node_data_changed("/a", f)), [event(1, NodeDataChanged, "/a")]);
    }
    assert_eq!(
        events(|f| table.node_created("/a/x", f)),
        [event(1, NodeCreated, "/a/x"), event(1, NodeChildrenChanged, "/a")]
    );
}

#[test]
fn a_persistent_watch_gets_all_four_types() {
    // Mode 0 hears of the node itself and of its children, until it is removed.
    let table = WatchTable::default();
    table.add_persistent("/a", 7, Persistent);
    assert_eq!(events(|f| table.node_created("/a", f)), [event(7, NodeCreated, "/a")]);
    assert_eq!(events(|f| table.node_data_changed("/a", f)), [event(7, NodeDataChanged, "/a")]);
    assert_eq!(events(|f| table.node_created("/a/b", f)), [event(7, NodeChildrenChanged, "/a")]);
    assert_eq!(events(|f| table.node_deleted("/a", f)), [event(7, NodeDeleted, "/a")]);
    assert_eq!(table.count(), 2);
}
