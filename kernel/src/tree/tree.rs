//! The tree: its nodes and the indexes that follow from them.

use alloc::borrow::Cow;

use jute_proto::{Acl, Perms, Zxid};

use super::acl::{self, AclRef, AclTable};
use super::checkpoint_tracker::CheckpointTracker;
use super::ephemerals::Ephemerals;
use super::error::OpError;
use super::expirable::ExpirableNodes;
use super::node::{Content, Node, NodeKind};
use super::node_store::{NodeId, NodeStore};
use super::path;
use super::quota::{QuotaEvents, Quotas};
use super::txn::OpContext;
use super::undo::UndoLog;
use crate::limits::APPLIED_ACLS_LEN_MAX;

/// A tree of znodes.
#[derive(Debug)]
pub struct Tree {
    pub(super) nodes: NodeStore,
    pub(super) acls: AclTable,
    pub(super) ephemerals: Ephemerals,
    pub(super) expirable: ExpirableNodes,
    /// The paths that have a quota, and what is used of it.
    pub(super) quotas: Quotas,
    /// Quotas that were exceeded and not yet reported.
    pub(super) quota_events: QuotaEvents,
    /// The wrapping sum of the digests of all nodes.
    pub(super) digest: u64,
    /// Bytes of all paths and data.
    pub(super) data_size: u64,
    pub(super) checkpoint: CheckpointTracker,
    /// While a `multi` is applied: how to take back what it did so far.
    pub(super) undo: Option<UndoLog>,
    /// Bytes of access control lists that the write at hand made of shorter ones.
    pub(super) expanded_len: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A fresh tree: the built-in nodes only, with all zxids and times 0. They are attached without
    /// counting as creates, which is why a fresh root reports cversion -1.
    #[must_use]
    pub fn new() -> Self {
        let mut tree = Self::without_nodes();
        for path in path::BUILT_IN {
            let perms = if path == path::CONFIG { Perms::READ } else { Perms::ALL };
            let acl = tree.acls.intern(&[Acl::world(perms)]);
            let mut content =
                Content::new(path, Some(b""), acl, NodeKind::Persistent, (Zxid(0), 0));
            if path == path::CONFIG {
                // ZooKeeper sets the ACL of this node, expecting any version, and keeps that.
                content.aversion = -1;
            }
            let parent = tree.find(path::parent(path).unwrap_or(path::ROOT));
            tree.attach(parent, Node::new(path.into(), content));
        }
        tree
    }

    /// Not even the built-in nodes: a state that only loading a checkpoint passes through.
    pub(super) fn without_nodes() -> Self {
        Self {
            nodes: NodeStore::new(),
            acls: AclTable::new(),
            ephemerals: Ephemerals::default(),
            expirable: ExpirableNodes::default(),
            quotas: Quotas::default(),
            quota_events: QuotaEvents::default(),
            digest: 0,
            data_size: 0,
            checkpoint: CheckpointTracker::default(),
            undo: None,
            expanded_len: 0,
        }
    }

    /// The slot of a node. The empty path is the root, as in ZooKeeper.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        self.nodes.find(if path.is_empty() { path::ROOT } else { path })
    }

    /// What becomes of a list that a client sends, see [`acl::fixup`].
    ///
    /// # Errors
    /// As there; also where the lists of the write at hand became too long together.
    pub(super) fn fix_up_acl<'a>(
        &mut self,
        ctx: &OpContext<'_>,
        requested: Option<&'a [Acl]>,
    ) -> Result<Cow<'a, [Acl]>, OpError> {
        let list = acl::fixup(requested, ctx.identities, ctx.policy)?;
        if let Cow::Owned(list) = &list {
            self.expanded_len += acl::encoded_len(list);
        }
        if self.expanded_len > APPLIED_ACLS_LEN_MAX { Err(OpError::InvalidAcl) } else { Ok(list) }
    }

    /// The shared list with these entries.
    pub(super) fn intern_acl(&mut self, entries: &[Acl]) -> AclRef {
        self.acls.intern(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_may_run_side_by_side() {
        // Many threads read under one shared lock, so a tree must have nothing that only one may
        // touch.
        fn shareable<T: Send + Sync>(_: &T) {}
        let tree = Tree::new();
        shareable(&tree);
        assert_eq!(tree.get("/").map(Node::path), Some("/"));
    }
}
