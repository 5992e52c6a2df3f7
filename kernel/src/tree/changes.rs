//! Which nodes the next checkpoint has to write, and which the one under way still has to take.
//!
//! A checkpoint keeps the tree as it was at one moment, and no request waits for it: to begin it is to
//! exchange two lists. The nodes on the old list are taken afterwards, a few at a time. Whoever
//! changes or removes a node that is awaited puts its content aside first ([`Tree::keep`]), so the
//! cost of a checkpoint follows the changes, and a write pays for one copy at most.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::node::Content;
use super::store::NodeId;
use super::tree::Tree;

/// Which list of changes has a slot. The lists of two successive checkpoints have different names, so
/// that to begin a checkpoint costs nothing for the slots on its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Listed {
    /// None.
    #[default]
    No,
    /// That of the second, the fourth ... checkpoint.
    Even,
    /// That of the first, the third ... checkpoint.
    Odd,
}

impl Listed {
    /// The other list.
    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd | Self::No => Self::Even,
        }
    }
}

/// What the next checkpoint has to write.
#[derive(Debug)]
pub(super) struct ChangeList {
    /// How its slots are marked.
    pub(super) name: Listed,
    /// Slots whose node, if there is one, was created or changed. A slot is listed once.
    pub(super) slots: Vec<NodeId>,
    /// Paths that the checkpoint before has and that were deleted since. A node may have been
    /// created there again, so removals are to be written before changes.
    pub(super) removed: Vec<Arc<str>>,
}

impl Default for ChangeList {
    fn default() -> Self {
        Self { name: Listed::Odd, slots: Vec::new(), removed: Vec::new() }
    }
}

impl ChangeList {
    /// How the slots are marked that the checkpoint under way has not looked at.
    pub(super) const fn awaited(&self) -> Listed {
        self.name.other()
    }
}

/// What the checkpoint under way has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    slots: alloc::vec::IntoIter<NodeId>,
    /// Nodes as they were before they were changed or removed.
    kept: Vec<(Arc<str>, Content)>,
}

impl Tree {
    /// Begins a checkpoint of the tree as it is now: from here on changes are the next one's. Costs
    /// the same however much has changed. Returns the paths to be removed; the nodes come from
    /// [`take_awaited`](Self::take_awaited).
    ///
    /// All of them must have been taken before the next checkpoint begins.
    pub(super) fn exchange_lists(&mut self) -> Vec<Arc<str>> {
        debug_assert!(
            self.awaited.slots.len() == 0 && self.awaited.kept.is_empty(),
            "one checkpoint at a time"
        );
        let name = self.changed.name.other();
        let next = ChangeList { name, slots: Vec::new(), removed: Vec::new() };
        let ChangeList { slots, removed, .. } = core::mem::replace(&mut self.changed, next);
        self.awaited = Awaited { slots: slots.into_iter(), kept: Vec::new() };
        removed
    }

    /// Takes nodes of the checkpoint under way: those put aside, and those of the next `limit` slots.
    /// `None` when there are no more.
    pub(super) fn take_awaited(&mut self, limit: usize) -> Option<Vec<(Arc<str>, Content)>> {
        let mut taken = core::mem::take(&mut self.awaited.kept);
        if taken.is_empty() && self.awaited.slots.len() == 0 {
            self.awaited = Awaited::default();
            return None;
        }
        let awaited = self.changed.awaited();
        for id in self.awaited.slots.by_ref().take(limit) {
            if self.store.listed(id) != awaited {
                continue;
            }
            self.store.set_listed(id, Listed::No);
            if let Some(node) = self.store.live_mut(id) {
                node.content.stored = true;
                taken.push((Arc::clone(&node.path), node.content.clone()));
            }
        }
        Some(taken)
    }

    /// Puts a node aside, where the checkpoint under way awaits it; to be called before the node is
    /// changed or removed.
    pub(super) fn keep(&mut self, id: NodeId) {
        let awaited = self.changed.awaited();
        let node = self.store.get_mut(id);
        if node.content.listed == awaited {
            node.content.listed = Listed::No;
            node.content.stored = true;
            self.awaited.kept.push((Arc::clone(&node.path), node.content.clone()));
        }
    }

    /// Puts a node on the list of changes.
    pub(super) fn note_change(&mut self, id: NodeId) {
        let name = self.changed.name;
        let content = &mut self.store.get_mut(id).content;
        if content.listed != name {
            content.listed = name;
            self.changed.slots.push(id);
        }
    }
}
