//! Which nodes the next checkpoint has to write, and which the one under way still has to take.
//!
//! A checkpoint keeps the tree as it was at one moment, and no request waits for it: to begin it is to
//! exchange two lists. The nodes on the old list are taken afterwards, a few at a time. Whoever
//! changes or removes a node that is awaited puts its content aside first ([`Tree::preserve`]), so the
//! cost of a checkpoint follows the changes, and a write pays for one copy at most.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::node::Content;
use super::node_store::NodeId;
use super::tree::Tree;

/// Which list of changes has a slot. The lists of two successive checkpoints have different names, so
/// that to begin a checkpoint costs nothing for the slots on its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ListMark {
    /// None.
    #[default]
    Unlisted,
    /// That of the second, the fourth ... checkpoint.
    Even,
    /// That of the first, the third ... checkpoint.
    Odd,
}

impl ListMark {
    /// The other list.
    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd | Self::Unlisted => Self::Even,
        }
    }
}

/// What the next checkpoint has to write.
#[derive(Debug)]
pub(super) struct DirtyList {
    /// How its slots are marked.
    pub(super) mark: ListMark,
    /// Slots whose node, if there is one, was created or changed. A slot is listed once.
    pub(super) slots: Vec<NodeId>,
    /// Paths that the checkpoint before has and that were deleted since. A node may have been
    /// created there again, so removals are to be written before changes.
    pub(super) removed: Vec<Arc<str>>,
}

impl Default for DirtyList {
    fn default() -> Self {
        Self { mark: ListMark::Odd, slots: Vec::new(), removed: Vec::new() }
    }
}

impl DirtyList {
    /// How the slots are marked that the checkpoint under way has not looked at.
    pub(super) const fn awaited(&self) -> ListMark {
        self.mark.other()
    }
}

/// What the checkpoint under way has not taken yet.
#[derive(Debug, Default)]
pub(super) struct InProgress {
    slots: alloc::vec::IntoIter<NodeId>,
    /// Nodes as they were before they were changed or removed.
    preserved: Vec<(Arc<str>, Content)>,
}

impl Tree {
    /// Begins a checkpoint of the tree as it is now: from here on changes are the next one's. Costs
    /// the same however much has changed. Returns the paths to be removed; the nodes come from
    /// [`take_tracked`](Self::take_tracked).
    ///
    /// All of them must have been taken before the next checkpoint begins.
    pub(super) fn begin_tracking(&mut self) -> Vec<Arc<str>> {
        debug_assert!(
            self.in_progress.slots.len() == 0 && self.in_progress.preserved.is_empty(),
            "one checkpoint at a time"
        );
        let mark = self.dirty.mark.other();
        let next = DirtyList { mark, slots: Vec::new(), removed: Vec::new() };
        let DirtyList { slots, removed, .. } = core::mem::replace(&mut self.dirty, next);
        self.in_progress = InProgress { slots: slots.into_iter(), preserved: Vec::new() };
        removed
    }

    /// Takes nodes of the checkpoint under way: those put aside, and those of the next `limit` slots.
    /// `None` when there are no more.
    pub(super) fn take_tracked(&mut self, limit: usize) -> Option<Vec<(Arc<str>, Content)>> {
        let mut taken = core::mem::take(&mut self.in_progress.preserved);
        if taken.is_empty() && self.in_progress.slots.len() == 0 {
            self.in_progress = InProgress::default();
            return None;
        }
        let awaited = self.dirty.awaited();
        for id in self.in_progress.slots.by_ref().take(limit) {
            if self.nodes.list_mark(id) != awaited {
                continue;
            }
            self.nodes.set_list_mark(id, ListMark::Unlisted);
            if let Some(node) = self.nodes.live_mut(id) {
                node.content.stored = true;
                taken.push((Arc::clone(&node.path), node.content.clone()));
            }
        }
        Some(taken)
    }

    /// Puts a node aside, where the checkpoint under way awaits it; to be called before the node is
    /// changed or removed.
    pub(super) fn preserve(&mut self, id: NodeId) {
        let awaited = self.dirty.awaited();
        let node = self.nodes.get_mut(id);
        if node.content.list_mark == awaited {
            node.content.list_mark = ListMark::Unlisted;
            node.content.stored = true;
            self.in_progress.preserved.push((Arc::clone(&node.path), node.content.clone()));
        }
    }

    /// Puts a node on the list of changes.
    pub(super) fn mark_dirty(&mut self, id: NodeId) {
        let mark = self.dirty.mark;
        let content = &mut self.nodes.get_mut(id).content;
        if content.list_mark != mark {
            content.list_mark = mark;
            self.dirty.slots.push(id);
        }
    }
}
