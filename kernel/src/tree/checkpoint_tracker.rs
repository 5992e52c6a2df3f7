//! Which nodes the next checkpoint has to write, and which the one in progress still has to take.
//!
//! A checkpoint keeps the tree as it was at one moment, and no request waits for it. To begin one is to
//! exchange two lists: the dirty list becomes the list of the checkpoint in progress, and a new dirty list
//! begins. The nodes on the old list are taken afterwards, a few at a time, while writes go on.
//!
//! Copy-on-write keeps the moment: a write calls [`CheckpointTracker::preserve`] before it changes or
//! removes a node, and a node that is still to be taken is copied then. So a checkpoint costs as much as
//! has changed, and a write pays for one copy at most.
//!
//! Between two calls this holds:
//!
//! * Each slot carries the mark of the list that has it, live or free. A slot with the mark of the dirty
//!   list stands there exactly once.
//! * A slot with the other mark stands on the list in progress and was not taken: its node is as it was
//!   when the checkpoint began. A slot on that list with any other mark has nothing more to give.
//! * Marks of the two lists alternate. So to begin a checkpoint, which re-marks nothing, makes each slot
//!   of the dirty list one that is to be taken. This needs the list before it to be used up.
//! * A node is `stored` where the last checkpoint has its row, or the one in progress will. To remove it
//!   takes a row that says so. A node that was created anew in its path is not: the removal of the old one
//!   is on the list already.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::node::{Content, Node};
use super::node_store::{NodeId, NodeStore};

/// Which list has a slot. The lists of two successive checkpoints have different marks, so that to begin
/// a checkpoint costs nothing for the slots on its list.
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
    /// The mark of the other list.
    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd | Self::Unlisted => Self::Even,
        }
    }
}

/// The dirty list, and the checkpoint in progress.
#[derive(Debug)]
pub(super) struct CheckpointTracker {
    dirty: DirtyList,
    in_progress: InProgress,
}

/// What the next checkpoint has to write.
#[derive(Debug)]
struct DirtyList {
    /// How its slots are marked.
    mark: ListMark,
    /// Slots whose node, if there is one, was created or changed. A slot is listed once.
    slots: Vec<NodeId>,
    /// Paths that the checkpoint before has and that were deleted since. A node may have been
    /// created there again, so removals are to be written before changes.
    removed: Vec<Arc<str>>,
}

/// What the checkpoint in progress has not taken yet.
#[derive(Debug, Default)]
struct InProgress {
    slots: vec::IntoIter<NodeId>,
    /// Nodes as they were before they were changed or removed.
    preserved: Vec<(Arc<str>, Content)>,
}

impl InProgress {
    fn is_finished(&self) -> bool {
        self.slots.len() == 0 && self.preserved.is_empty()
    }
}

/// How long the dirty list was when a `multi` began.
#[derive(Debug)]
pub(super) struct DirtyLen {
    slots: usize,
    removed: usize,
}

impl Default for CheckpointTracker {
    fn default() -> Self {
        let dirty = DirtyList { mark: ListMark::Odd, slots: Vec::new(), removed: Vec::new() };
        Self { dirty, in_progress: InProgress::default() }
    }
}

impl CheckpointTracker {
    /// How a slot is marked that is on the dirty list.
    pub(super) fn dirty_mark(&self) -> ListMark {
        self.dirty.mark
    }

    /// Begins a checkpoint of the tree as it is now: from here on changes are the next one's. Costs
    /// the same however much has changed. Returns the paths to be removed; the nodes come from
    /// [`take`](Self::take).
    ///
    /// All of them must have been taken before the next checkpoint begins.
    pub(super) fn begin(&mut self) -> Vec<Arc<str>> {
        debug_assert!(self.in_progress.is_finished(), "one checkpoint at a time");
        let mark = self.dirty.mark.other();
        let next = DirtyList { mark, slots: Vec::new(), removed: Vec::new() };
        let DirtyList { slots, removed, .. } = core::mem::replace(&mut self.dirty, next);
        self.in_progress = InProgress { slots: slots.into_iter(), preserved: Vec::new() };
        removed
    }

    /// Takes nodes of the checkpoint in progress: those preserved, and those of the next `limit` slots.
    /// `None` when there are no more.
    pub(super) fn take(
        &mut self,
        nodes: &mut NodeStore,
        limit: usize,
    ) -> Option<Vec<(Arc<str>, Content)>> {
        if self.in_progress.is_finished() {
            self.in_progress = InProgress::default();
            return None;
        }
        let mut taken = core::mem::take(&mut self.in_progress.preserved);
        let mark = self.dirty.mark.other();
        for id in self.in_progress.slots.by_ref().take(limit) {
            if nodes.list_mark(id) != mark {
                continue;
            }
            nodes.set_list_mark(id, ListMark::Unlisted);
            if let Some(node) = nodes.live_mut(id) {
                node.content.stored = true;
                taken.push((Arc::clone(&node.path), node.content.clone()));
            }
        }
        Some(taken)
    }

    /// Copies a node that the checkpoint in progress has yet to take; to be called before the node is
    /// changed or removed.
    pub(super) fn preserve(&mut self, node: &mut Node) {
        if node.content.list_mark == self.dirty.mark.other() {
            node.content.list_mark = ListMark::Unlisted;
            node.content.stored = true;
            self.in_progress.preserved.push((Arc::clone(&node.path), node.content.clone()));
        }
    }

    /// A node was created or changed: the next checkpoint has to write it.
    pub(super) fn mark_dirty(&mut self, id: NodeId, content: &mut Content) {
        if content.list_mark != self.dirty.mark {
            content.list_mark = self.dirty.mark;
            self.dirty.slots.push(id);
        }
    }

    /// A node was removed: the next checkpoint has to remove its row, if there is one.
    pub(super) fn note_removed(&mut self, node: &Node) {
        if node.content.stored {
            self.dirty.removed.push(Arc::clone(&node.path));
        }
    }

    /// Where the dirty list ends now, for [`truncate`](Self::truncate).
    pub(super) fn dirty_len(&self) -> DirtyLen {
        DirtyLen { slots: self.dirty.slots.len(), removed: self.dirty.removed.len() }
    }

    /// Takes off the dirty list whatever a `multi` put there that was taken back. No checkpoint may have
    /// begun in between.
    pub(super) fn truncate(&mut self, len: &DirtyLen, nodes: &mut NodeStore) {
        for id in self.dirty.slots.drain(len.slots..) {
            nodes.set_list_mark(id, ListMark::Unlisted);
        }
        self.dirty.removed.truncate(len.removed);
    }
}
