//! The three ways to change a tree: attach a node, detach one, change one's content.
//!
//! Everything that follows from the nodes (children, indexes, digest, sizes) is kept up here and
//! nowhere else, forwards and backwards: while a `multi` is applied, each change notes its inverse.

use alloc::sync::Arc;

use super::checkpoint_tracker::DirtyLen;
use super::node::{Content, Node, NodeKind};
use super::node_store::NodeId;
use super::tree::Tree;
use super::undo::{Undo, UndoLog};

/// Where a `multi` began.
#[derive(Debug)]
pub(super) struct Savepoint(DirtyLen);

impl Tree {
    /// Adds a node under its parent. Only the root has none.
    pub(super) fn attach(&mut self, parent: Option<NodeId>, node: Node) -> NodeId {
        let id = self.link(parent, node);
        self.checkpoint.mark_dirty(id, &mut self.nodes.get_mut(id).content);
        if let (Some(undo), Some(parent)) = (&mut self.undo, parent) {
            undo.note_created(parent, id);
        }
        id
    }

    /// Removes a node without children. The caller has the last of it.
    pub(super) fn detach(&mut self, parent: NodeId, id: NodeId) -> Detached {
        self.checkpoint.preserve(self.nodes.get_mut(id));
        let node = self.unlink(parent, id);
        self.checkpoint.note_removed(&node);
        let detached = Detached { path: Arc::clone(&node.path), content: node.content.clone() };
        if let Some(undo) = &mut self.undo {
            undo.note_removed(parent, node);
        }
        detached
    }

    /// Changes the content of a node, though never its kind.
    pub(super) fn change(&mut self, id: NodeId, change: impl FnOnce(&str, &mut Content)) {
        let node = self.nodes.get_mut(id);
        self.checkpoint.preserve(node);
        if let Some(undo) = &mut self.undo {
            undo.note_content(id, &node.content);
        }
        let (digest, size) = (node.content.digest(), node.content.data_len() as u64);
        change(&node.path, &mut node.content);
        self.checkpoint.mark_dirty(id, &mut node.content);
        let content = &node.content;
        let size_now = content.data_len() as u64;
        self.digest = self.digest.wrapping_sub(digest).wrapping_add(content.digest());
        self.resize(id, size, size_now);
    }

    /// The data of a node is longer, or shorter, than before.
    fn resize(&mut self, id: NodeId, before: u64, now: u64) {
        if before != now {
            self.data_size = self.data_size - before + now;
            self.nodes.data_grew(id, now.cast_signed() - before.cast_signed());
        }
    }

    /// From here on changes can be taken back.
    pub(super) fn begin(&mut self) -> Savepoint {
        self.undo = Some(UndoLog::default());
        Savepoint(self.checkpoint.dirty_len())
    }

    /// Keeps all that changed since [`begin`](Self::begin).
    pub(super) fn commit(&mut self) {
        self.undo = None;
    }

    /// Takes back all that changed since [`begin`](Self::begin).
    pub(super) fn roll_back(&mut self, savepoint: &Savepoint) {
        for undo in self.undo.take().unwrap_or_default().into_undos() {
            match undo {
                Undo::Detach { parent, id } => drop(self.unlink(parent, id)),
                Undo::Attach { parent, node } => {
                    self.link(Some(parent), *node);
                }
                Undo::Content { id, content } => self.put_content_back(id, *content),
                Undo::Usage { node, stats } => self.quotas.put_back(&node, *stats),
            }
        }
        self.quotas.all_written();
        self.checkpoint.truncate(&savepoint.0, &mut self.nodes);
    }

    fn put_content_back(&mut self, id: NodeId, content: Content) {
        let node = self.nodes.get_mut(id);
        let undone = core::mem::replace(&mut node.content, content);
        let content = &node.content;
        let size_now = content.data_len() as u64;
        self.digest = self.digest.wrapping_sub(undone.digest()).wrapping_add(content.digest());
        self.quotas.node_set(&node.path, content.data.as_deref());
        self.resize(id, undone.data_len() as u64, size_now);
    }

    fn link(&mut self, parent: Option<NodeId>, node: Node) -> NodeId {
        let (path, bytes) = (Arc::clone(&node.path), node.content.data_len() as i64);
        let id = self.insert(node);
        if let Some(parent) = parent {
            self.nodes.add_child(parent, path, bytes);
        }
        id
    }

    /// Adds a node, but not to the children of its parent: loading does this when all are there.
    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        self.count(&node);
        self.nodes.insert(node, self.checkpoint.dirty_mark())
    }

    /// As [`insert`](Self::insert), unless there is a node with this path already; a tree that is given
    /// one twice is of no more use.
    pub(super) fn insert_new(&mut self, node: Node) -> Option<NodeId> {
        self.count(&node);
        self.nodes.insert_new(node, self.checkpoint.dirty_mark())
    }

    fn count(&mut self, node: &Node) {
        self.digest = self.digest.wrapping_add(node.content.digest());
        self.data_size += size(node);
        self.index(node);
    }

    fn unlink(&mut self, parent: NodeId, id: NodeId) -> Node {
        let node = self.nodes.remove(id);
        debug_assert_eq!(node.child_count(), 0, "a node with children cannot go");
        self.digest = self.digest.wrapping_sub(node.content.digest());
        self.data_size -= size(&node);
        self.unindex(&node);
        self.nodes.remove_child(parent, &node.path, node.content.data_len() as i64);
        node
    }

    fn index(&mut self, node: &Node) {
        let path = || Arc::clone(&node.path);
        match node.kind() {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => self.ephemerals.insert(session, path()),
            NodeKind::Container => self.expirable.insert_container(path()),
            NodeKind::Ttl(_) => self.expirable.insert_ttl_node(path()),
        }
        self.quotas.node_set(&node.path, node.data());
    }

    fn unindex(&mut self, node: &Node) {
        match node.kind() {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => self.ephemerals.remove(session, &node.path),
            NodeKind::Container => self.expirable.remove_container(&node.path),
            NodeKind::Ttl(_) => self.expirable.remove_ttl_node(&node.path),
        }
        self.quotas.node_detached(&node.path);
    }
}

/// What is left of a node that was detached.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) path: Arc<str>,
    pub(super) content: Content,
}

fn size(node: &Node) -> u64 {
    (node.path.len() + node.content.data_len()) as u64
}
