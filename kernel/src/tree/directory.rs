//! What a node with children knows of the nodes below it.
//!
//! Both numbers are kept as nodes come, change and go: a reader has them at once, however many
//! nodes there are. Each directory knows its parent, so that the way up needs no path to be looked up.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::children::Children;
use super::node_store::{NodeId, NodeStore};
use super::path;

/// The part of a node that only one with children has.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) children: Children,
    /// The node above. The root has none; while a tree is loaded, neither has a node that came before its
    /// parent.
    parent: Option<NodeId>,
    descendants: Descendants,
    /// Bytes of the names of the children.
    names_len: u64,
}

impl Directory {
    pub(super) fn names_len(&self) -> u64 {
        self.names_len
    }

    /// Adds a child, which is new.
    pub(super) fn insert(&mut self, child: Arc<str>) {
        self.names_len += path::name(&child).len() as u64;
        self.children.insert(child);
    }

    /// Takes a child out.
    fn remove(&mut self, child: &str) {
        self.names_len -= path::name(child).len() as u64;
        self.children.remove(child);
    }
}

/// How much is below a node, however deep; the node itself does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Descendants {
    /// How many nodes.
    pub(super) nodes: u64,
    /// Bytes of their data.
    pub(super) bytes: u64,
}

/// What a change adds to a number of nodes and the bytes of their data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SizeDelta {
    pub(super) nodes: i64,
    pub(super) bytes: i64,
}

impl Descendants {
    fn grow(&mut self, delta: SizeDelta) {
        self.nodes = self.nodes.wrapping_add_signed(delta.nodes);
        self.bytes = self.bytes.wrapping_add_signed(delta.bytes);
    }
}

impl NodeStore {
    /// How much is below a node.
    pub(super) fn descendants(&self, id: NodeId) -> Descendants {
        let directory = self.get(id).directory.as_ref();
        directory.map_or_else(Descendants::default, |directory| directory.descendants)
    }

    /// Makes a new node a child of its parent, and counts it there.
    pub(super) fn add_child(&mut self, parent: NodeId, path: Arc<str>, bytes: i64) {
        self.directory_mut(parent).insert(path);
        self.grow(parent, SizeDelta { nodes: 1, bytes });
        self.expect_parent(parent);
    }

    /// Takes a child that is gone out of its parent, which had it with so many bytes.
    pub(super) fn remove_child(&mut self, parent: NodeId, path: &str, bytes: i64) {
        self.grow(parent, SizeDelta { nodes: -1, bytes: -bytes });
        let siblings = &mut self.get_mut(parent).directory;
        if let Some(directory) = siblings {
            directory.remove(path);
            if directory.children.is_empty() {
                *siblings = None;
            }
        }
        self.expect_parent(parent);
    }

    /// Makes a node that was loaded a child of its parent, and counts it with all that is below it.
    pub(super) fn adopt_child(&mut self, parent: NodeId, id: NodeId) {
        let path = Arc::clone(&self.get(id).path);
        self.directory_mut(parent).insert(path);
        let node = self.get_mut(id);
        if let Some(directory) = &mut node.directory {
            directory.parent = Some(parent);
        }
        let bytes = node.content.data_len() as u64;
        let below = self.descendants(id);
        let (nodes, bytes) = ((1 + below.nodes).cast_signed(), (bytes + below.bytes).cast_signed());
        self.grow(parent, SizeDelta { nodes, bytes });
        self.expect_parent(parent);
    }

    /// Counts that the data of a node became longer, or shorter.
    pub(super) fn data_grew(&mut self, id: NodeId, bytes: i64) {
        if let Some(parent) = self.parent_of(self.get(id).path()) {
            self.grow(parent, SizeDelta { nodes: 0, bytes });
        }
    }

    /// The directory of a node that is about to have a child.
    fn directory_mut(&mut self, id: NodeId) -> &mut Directory {
        if self.get(id).directory.is_none() {
            let parent = self.parent_of(self.get(id).path());
            let directory = Directory { parent, ..Directory::default() };
            self.get_mut(id).directory = Some(Box::new(directory));
        }
        self.get_mut(id).directory.get_or_insert_default()
    }

    /// Counts a change below a directory, in it and in all above it.
    fn grow(&mut self, id: NodeId, delta: SizeDelta) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(directory) = &mut self.get_mut(id).directory else { return };
            directory.descendants.grow(delta);
            next = directory.parent;
        }
    }

    fn parent_of(&self, path: &str) -> Option<NodeId> {
        path::parent(path).filter(|_| path != path::ROOT).and_then(|parent| self.find(parent))
    }
}

#[cfg(test)]
#[path = "directory_test.rs"]
mod tests;
