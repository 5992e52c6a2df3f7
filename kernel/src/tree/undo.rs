//! How to take back what a `multi` did so far.
//!
//! The primitives of [`Tree`](super::Tree) note the inverse of each change here. Slots are reused from the one freed
//! last. Done in reverse, each inverse therefore finds its node in the slot that it was in, and ids in the log stay
//! true.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::node::{Content, Node};
use super::node_store::NodeId;
use super::quota_text::Stats;

/// How to take back one change.
#[derive(Debug)]
pub(super) enum Undo {
    Detach {
        parent: NodeId,
        id: NodeId,
    },
    Attach {
        parent: NodeId,
        node: Box<Node>,
    },
    Content {
        id: NodeId,
        content: Box<Content>,
    },
    /// What a quota counted, and its stats node.
    Usage {
        node: Arc<str>,
        stats: Box<Stats>,
    },
}

/// The changes of a `multi`, to be taken back from the last one to the first.
///
/// The first note about a slot decides, because it is put back last. A second note about the same content would only be
/// overwritten, so it is left out; likewise for a usage. The log compares with the last note of each
/// kind only: operations on one node, or on children of one parent, come in a row. A note too many does
/// no harm, it costs a copy.
#[derive(Debug, Default)]
pub(super) struct UndoLog {
    undos: Vec<Undo>,
    /// The slot of the last [`Undo::Content`].
    content_of: Option<NodeId>,
    /// The stats node of the last [`Undo::Usage`].
    usage_of: Option<Arc<str>>,
}

impl UndoLog {
    /// A node was created.
    pub(super) fn note_created(&mut self, parent: NodeId, id: NodeId) {
        self.undos.push(Undo::Detach { parent, id });
    }

    /// A node was removed.
    pub(super) fn note_removed(&mut self, parent: NodeId, node: Node) {
        self.undos.push(Undo::Attach { parent, node: Box::new(node) });
    }

    /// The content of a node is about to change.
    pub(super) fn note_content(&mut self, id: NodeId, content: &Content) {
        if self.content_of != Some(id) {
            self.content_of = Some(id);
            self.undos.push(Undo::Content { id, content: Box::new(content.clone()) });
        }
    }

    /// What a stats node is to show has changed, and was this before.
    pub(super) fn note_usage(&mut self, node: Arc<str>, before: Stats) {
        let is_noted = |noted: &Arc<str>| Arc::ptr_eq(noted, &node);
        if !self.usage_of.as_ref().is_some_and(is_noted) {
            self.usage_of = Some(Arc::clone(&node));
            self.undos.push(Undo::Usage { node, stats: Box::new(before) });
        }
    }

    /// What to do, in this order.
    pub(super) fn into_undos(self) -> impl Iterator<Item = Undo> {
        self.undos.into_iter().rev()
    }
}
