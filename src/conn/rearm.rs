//! Watches that a client brings along after a reconnect, and what it missed meanwhile.
//!
//! What happened after the zxid that the client saw last is told at once (protocol section 4.3),
//! with zxid -1 and without a look at permissions, as `DataTree.setWatches` does; what did not
//! happen is watched for.

use jute_proto::{AddWatchMode, EventType, SetWatches2Request, SetWatchesRequest, Zxid};

use super::conn::{Conn, View};
use crate::watch::{Kind, Modes};

const NO_ZXID: Zxid = Zxid(-1);

impl Conn {
    pub(super) fn set_watches(&mut self, view: View<'_>, request: &SetWatchesRequest<'_>) {
        let seen = request.relative_zxid;
        self.rearm_data(view, seen, request.data_watches.iter().map(AsRef::as_ref));
        self.rearm_exists(view, request.exist_watches.iter().map(AsRef::as_ref));
        self.rearm_children(view, seen, request.child_watches.iter().map(AsRef::as_ref));
    }

    pub(super) fn set_watches2(&mut self, view: View<'_>, request: &SetWatches2Request<'_>) {
        let seen = request.relative_zxid;
        self.rearm_data(view, seen, request.data_watches.iter().map(AsRef::as_ref));
        self.rearm_exists(view, request.exist_watches.iter().map(AsRef::as_ref));
        self.rearm_children(view, seen, request.child_watches.iter().map(AsRef::as_ref));
        let watcher = self.id().number;
        for path in &request.persistent_watches {
            view.replica.watches().add_persistent(path, watcher, AddWatchMode::Persistent);
        }
        for path in &request.persistent_recursive_watches {
            view.replica.watches().add_persistent(path, watcher, AddWatchMode::PersistentRecursive);
        }
    }

    fn rearm_data<'p>(&mut self, view: View<'_>, seen: Zxid, paths: impl Iterator<Item = &'p str>) {
        for path in paths {
            match view.replica.tree().get(path) {
                None => self.put_event(view.around, NO_ZXID, EventType::NodeDeleted, path),
                Some(node) if node.mzxid() > seen => {
                    self.put_event(view.around, NO_ZXID, EventType::NodeDataChanged, path);
                }
                Some(_) => self.rearm(view, Kind::Data, path),
            }
        }
    }

    /// A node that exists is told of whenever it was made: the client waited for it to appear.
    fn rearm_exists<'p>(&mut self, view: View<'_>, paths: impl Iterator<Item = &'p str>) {
        for path in paths {
            match view.replica.tree().get(path) {
                Some(_) => self.put_event(view.around, NO_ZXID, EventType::NodeCreated, path),
                None => self.rearm(view, Kind::Data, path),
            }
        }
    }

    fn rearm_children<'p>(
        &mut self,
        view: View<'_>,
        seen: Zxid,
        paths: impl Iterator<Item = &'p str>,
    ) {
        for path in paths {
            match view.replica.tree().get(path) {
                None => self.put_event(view.around, NO_ZXID, EventType::NodeDeleted, path),
                Some(node) if node.pzxid() > seen => {
                    self.put_event(view.around, NO_ZXID, EventType::NodeChildrenChanged, path);
                }
                Some(_) => self.rearm(view, Kind::Child, path),
            }
        }
    }

    fn rearm(&self, view: View<'_>, kind: Kind, path: &str) {
        view.replica.watches().add(kind, path, self.id().number, Modes::STANDARD);
    }
}
