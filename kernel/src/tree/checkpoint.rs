//! What a checkpoint writes of a tree, and the way back.
//!
//! [`Tree::begin_checkpoint`] fixes what it holds, [`Tree::take_changed`] copies a few pointers for
//! some of the nodes at a time. Turning the nodes into rows happens later and elsewhere. A row is a
//! path and the encoded node, or nothing where the node is gone.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::node::{Content, Node, NodeKind};
use super::node_store::NodeId;
use super::path;
use super::row::{self, RowError};
use super::tree::Tree;

/// A row of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// The path.
    pub key: Bytes,
    /// The encoded node; `None` where there is none any more.
    pub value: Option<Bytes>,
}

/// A checkpoint that was begun: the paths that it removes.
#[derive(Debug)]
#[must_use = "what is not written is lost to the checkpoint"]
pub struct RemovedNodes(Vec<Arc<str>>);

/// Some of the nodes that changed between two checkpoints, as they were at the second.
#[derive(Debug)]
#[must_use = "what is not written is lost to the checkpoint"]
pub struct ChangedNodes(Vec<(Arc<str>, Content)>);

impl RemovedNodes {
    /// The rows, to be written in this order: a path that was removed and created again comes
    /// twice. `more` asks the tree for [`Tree::take_changed`], and may take and leave a lock each
    /// time.
    pub fn rows(self, more: impl FnMut() -> Option<ChangedNodes>) -> impl Iterator<Item = NodeRow> {
        let removed = self.0.into_iter().map(|path| NodeRow { key: key(&path), value: None });
        removed.chain(core::iter::from_fn(more).flat_map(ChangedNodes::into_rows))
    }
}

impl ChangedNodes {
    fn into_rows(self) -> impl Iterator<Item = NodeRow> {
        self.0.into_iter().map(|(path, content)| {
            let value = row::encode(&content, Vec::with_capacity(content.data_len() + 96));
            NodeRow { key: key(&path), value: Some(value.into()) }
        })
    }
}

fn key(path: &str) -> Bytes {
    Bytes::copy_from_slice(path.as_bytes())
}

impl Tree {
    /// Begins a checkpoint of all that changed since the last one, or since the tree was made, as it
    /// is now. Costs the same however much that is. The one before must have been taken to its end.
    pub fn begin_checkpoint(&mut self) -> RemovedNodes {
        RemovedNodes(self.begin_tracked_checkpoint())
    }

    /// Takes the next nodes of the checkpoint that was begun, as they were then: at most `limit`, and
    /// those that were changed or removed meanwhile. Costs a few pointer copies for each. `None` when
    /// there are no more.
    pub fn take_changed(&mut self, limit: usize) -> Option<ChangedNodes> {
        self.take_tracked(limit).map(ChangedNodes)
    }
}

/// Why rows are not the checkpoint of a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A key is no text.
    #[error("a node has a path that is not UTF-8: {}", .0.escape_ascii())]
    NotText(Vec<u8>),
    /// A key is no path that a node can have.
    #[error("a node has the impossible path {0:?}")]
    Path(String),
    /// A value does not decode.
    #[error("the row of node {path} is unusable: {reason}")]
    Row {
        /// The node.
        path: String,
        /// What is wrong.
        reason: RowError,
    },
    /// Two rows have one path.
    #[error("node {0} is there twice")]
    Twice(String),
    /// A node's parent is not among the rows.
    #[error("node {0} has no parent")]
    NoParent(String),
    /// A node is below an ephemeral one.
    #[error("node {0} is below an ephemeral node")]
    EphemeralParent(String),
    /// A node that each tree has is not among the rows.
    #[error("node {0}, which each tree has, is missing")]
    NoBuiltIn(&'static str),
}

/// Builds a tree from rows, which may come in any order. Sorted is fastest: then a node comes behind its
/// parent, and beside its siblings.
#[derive(Debug)]
pub struct TreeLoader {
    tree: Tree,
    /// Nodes that came before their parents.
    early: Vec<(Arc<str>, NodeId)>,
}

impl Default for TreeLoader {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeLoader {
    /// Begins without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { tree: Tree::without_nodes(), early: Vec::new() }
    }

    /// About so many nodes are to come: makes room for them.
    pub fn expect(&mut self, nodes: usize) {
        self.tree.reserve(nodes);
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`LoadError`] where key or value is not what a checkpoint writes, the path is known, or the
    /// parent can have no children.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let path = core::str::from_utf8(key).map_err(|_| LoadError::NotText(key.to_vec()))?;
        path::validate(path).map_err(|_| LoadError::Path(path.to_owned()))?;
        let path: Arc<str> = path.into();
        let content = row::decode(&path, value, self.tree.acls_mut())
            .map_err(|reason| LoadError::Row { path: (*path).to_owned(), reason })?;
        let mut node = Node::new(Arc::clone(&path), content);
        node.content.stored = true;
        match self.tree.load(node) {
            Some(id) => self.join(id, path),
            None => Err(LoadError::Twice((*path).to_owned())),
        }
    }

    /// Joins the nodes to a tree, in which nothing counts as changed.
    ///
    /// # Errors
    /// [`LoadError`] where the nodes are not one whole tree.
    pub fn finish(mut self) -> Result<Tree, LoadError> {
        if let Some(missing) = path::BUILT_IN.into_iter().find(|path| self.tree.get(path).is_none())
        {
            return Err(LoadError::NoBuiltIn(missing));
        }
        let mut early = core::mem::take(&mut self.early);
        early.sort_unstable();
        for (path, id) in early {
            self.join(id, path)?;
        }
        match self.early.first() {
            Some((orphan, _)) => Err(LoadError::NoParent((**orphan).to_owned())),
            None => Ok(self.tree),
        }
    }

    /// Makes a node a child of its parent, or puts it aside where that is not there.
    fn join(&mut self, id: NodeId, path: Arc<str>) -> Result<(), LoadError> {
        let Some(parent) = path::parent(&path).filter(|_| &*path != path::ROOT) else {
            return Ok(());
        };
        let Some(parent) = self.tree.nodes().find_parent(parent) else {
            self.early.push((path, id));
            return Ok(());
        };
        if matches!(self.tree.node(parent).kind(), NodeKind::Ephemeral(_)) {
            return Err(LoadError::EphemeralParent((*path).to_owned()));
        }
        self.tree.adopt(parent, id);
        Ok(())
    }
}

#[cfg(test)]
#[path = "checkpoint_test.rs"]
mod tests;
