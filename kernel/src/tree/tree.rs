//! The tree: the nodes and what follows from them, kept together.
//!
//! [`Tree`] conducts its parts. Each part keeps one thing and its invariant; only the tree changes several
//! together, in the three primitives [`attach`](Tree::attach), [`detach`](Tree::detach) and
//! [`change`](Tree::change). Operations are made of these, and cannot reach the parts.
//!
//! A `multi` is all or nothing. While it is applied, each primitive notes its inverse in the undo log, and
//! [`roll_back`](Tree::roll_back) does these from the last to the first.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{Acl, Perms, SessionId, Zxid};

use super::acl::{AclRef, AclTable};
use super::checkpoint_tracker::{CheckpointTracker, DirtyLen};
use super::directory::SizeDelta;
use super::ephemerals::Ephemerals;
use super::error::OpError;
use super::expirable::ExpirableNodes;
use super::node::{Content, Node, NodeKind};
use super::node_store::{NodeId, NodeStore};
use super::path;
use super::quota::{self, QuotaEvent, Quotas};
use super::quota_text::Stats;
use super::totals::{Share, Totals};
use super::txn::OpContext;
use super::undo::{Undo, UndoLog};
use crate::time::WallTime;

/// A tree of znodes.
#[derive(Debug)]
pub struct Tree {
    /// The nodes, by slot and by path; children and what is below each node.
    nodes: NodeStore,
    /// The access control lists, each once.
    acls: AclTable,
    /// The ephemeral nodes of each session.
    ephemerals: Ephemerals,
    /// The containers and the nodes with a time to live.
    expirable: ExpirableNodes,
    /// The paths that have a quota, and what is used of it.
    quotas: Quotas,
    /// The digest and the size of all nodes.
    totals: Totals,
    /// What the next checkpoint has to write, and what the one in progress still has to take.
    checkpoint: CheckpointTracker,
    /// While a `multi` is applied: how to take back what it did so far.
    undo: Option<UndoLog>,
}

/// Where a `multi` began.
#[derive(Debug)]
pub(super) struct Savepoint(DirtyLen);

/// What is left of a node that was detached.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) path: Arc<str>,
    pub(super) content: Content,
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
                Content::new(path, Some(b""), acl, NodeKind::Persistent, (Zxid(0), WallTime(0)));
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
            totals: Totals::default(),
            checkpoint: CheckpointTracker::default(),
            undo: None,
        }
    }
}

/// Looking at the parts.
impl Tree {
    /// The slot of a node. The empty path is the root, as in ZooKeeper.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        self.nodes.find(if path.is_empty() { path::ROOT } else { path })
    }

    /// The node of a slot.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id)
    }

    pub(super) fn nodes(&self) -> &NodeStore {
        &self.nodes
    }

    pub(super) fn ephemeral_nodes(&self) -> &Ephemerals {
        &self.ephemerals
    }

    pub(super) fn expirable_nodes(&self) -> &ExpirableNodes {
        &self.expirable
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// The primitives that operations are made of.
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
        let before = Share::of(&node.content);
        change(&node.path, &mut node.content);
        self.checkpoint.mark_dirty(id, &mut node.content);
        let now = Share::of(&node.content);
        self.replace_share(id, before, now);
    }

    /// A write begins that is no part of a `multi`.
    pub(super) fn begin_write(&mut self) {
        self.acls.begin_write();
    }

    /// What becomes of a list that a client sends, see [`AclTable::fix_up`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn fix_up_acl<'a>(
        &mut self,
        ctx: &OpContext<'_>,
        requested: Option<&'a [Acl]>,
    ) -> Result<Cow<'a, [Acl]>, OpError> {
        self.acls.fix_up(requested, ctx.identities, ctx.policy)
    }

    /// The shared list with these entries.
    pub(super) fn intern_acl(&mut self, entries: &[Acl]) -> AclRef {
        self.acls.intern(entries)
    }

    /// Takes the ephemeral nodes of a session, each of which is then to be
    /// [detached](Self::detach) or [put back](Self::put_back_ephemerals).
    pub(super) fn take_ephemerals(&mut self, session: SessionId) -> BTreeSet<Arc<str>> {
        self.ephemerals.take(session)
    }

    pub(super) fn put_back_ephemerals(&mut self, session: SessionId, paths: BTreeSet<Arc<str>>) {
        self.ephemerals.put_back(session, paths);
    }
}

/// All or nothing.
impl Tree {
    /// Whether a `multi` is applied at present.
    pub(super) fn is_in_multi(&self) -> bool {
        self.undo.is_some()
    }

    /// From here on changes can be taken back. No checkpoint may begin before [`commit`](Self::commit) or
    /// [`roll_back`](Self::roll_back).
    pub(super) fn begin_multi(&mut self) -> Savepoint {
        self.undo = Some(UndoLog::default());
        Savepoint(self.checkpoint.dirty_len())
    }

    /// Keeps all that changed since [`begin_multi`](Self::begin_multi).
    pub(super) fn commit(&mut self) {
        self.undo = None;
    }

    /// Takes back all that changed since [`begin_multi`](Self::begin_multi).
    pub(super) fn roll_back(&mut self, savepoint: &Savepoint) {
        for undo in self.undo.take().unwrap_or_default().into_undos() {
            match undo {
                Undo::Detach { parent, id } => drop(self.unlink(parent, id)),
                Undo::Attach { parent, node } => {
                    self.link(Some(parent), *node);
                }
                Undo::Content { id, content } => self.put_content_back(id, *content),
                Undo::Usage { node, stats } => self.quotas.restore_usage(&node, *stats),
            }
        }
        self.quotas.discard_unwritten();
        self.checkpoint.truncate(&savepoint.0, &mut self.nodes);
    }

    fn put_content_back(&mut self, id: NodeId, content: Content) {
        let node = self.nodes.get_mut(id);
        let undone = core::mem::replace(&mut node.content, content);
        self.quotas.node_set(&node.path, node.content.data.as_deref());
        let (before, now) = (Share::of(&undone), Share::of(&node.content));
        self.replace_share(id, before, now);
    }
}

/// Quotas: what is used is counted by operations, and written as text by the tree.
impl Tree {
    /// Whether [`take_quota_events`](Self::take_quota_events) has something to tell.
    pub fn has_quota_events(&self) -> bool {
        self.quotas.has_events()
    }

    /// The quotas that were exceeded since the last call, the first 64 of them, for logs and
    /// metrics. A soft limit, and a hard one while quotas are not enforced, has no other effect.
    pub fn take_quota_events(&mut self) -> Vec<QuotaEvent> {
        self.quotas.take_events()
    }

    /// Judges an operation that adds to the usage at `path`.
    ///
    /// # Errors
    /// [`OpError::QuotaExceeded`] where it would exceed a hard limit that is enforced.
    pub(super) fn check_quota(
        &mut self,
        ctx: &OpContext<'_>,
        path: &str,
        delta: SizeDelta,
    ) -> Result<(), OpError> {
        self.quotas.check(path, delta, ctx.policy)
    }

    /// Adds to the usage of the deepest quota above a path.
    pub(super) fn add_usage(&mut self, path: &str, delta: SizeDelta) {
        let counted = self.quotas.add_usage(path, delta);
        if let (Some(undo), Some((node, before))) = (&mut self.undo, counted) {
            undo.note_usage(node, before);
        }
    }

    /// Counts a subtree when the stats node of its quota is created.
    pub(super) fn count_if_stats_node(&mut self, path: &str) {
        let Some(target) = quota::counted_by(path) else { return };
        let stats = self.find(target).map_or(Stats::new(0, 0), |id| {
            let below = self.nodes.descendants(id);
            let bytes = below.bytes + self.nodes.get(id).content.data_len() as u64;
            Stats::new((below.nodes + 1).cast_signed(), bytes.cast_signed())
        });
        // To be taken back with the node.
        self.quotas.set_usage(path, stats);
    }

    /// Takes what a node says of a quota, if it is one of a quota, after its data was set.
    pub(super) fn read_if_quota_node(&mut self, id: NodeId) {
        let node = self.nodes.get(id);
        self.quotas.node_set(node.shared_path(), node.data());
    }

    /// Brings the text of the stats nodes up to date; to be called at the end of each write, and before
    /// one of these nodes is looked at within a write.
    pub(super) fn write_usage(&mut self) {
        while let Some((node, text)) = self.quotas.next_unwritten() {
            let Some(id) = self.find(&node) else { continue };
            if self.nodes.get(id).data() != Some(text.as_bytes()) {
                self.change(id, |path, content| content.put_data(path, Some(text.as_bytes())));
            }
        }
    }

    /// As [`write_usage`](Self::write_usage), where the node that is about to be looked at may be one of them.
    pub(super) fn write_usage_of(&mut self, id: NodeId) {
        let may_be_one = || self.nodes.get(id).path().starts_with(path::QUOTA);
        if self.quotas.has_unwritten() && may_be_one() {
            self.write_usage();
        }
    }
}

/// Checkpoints: taking them, and the way back.
impl Tree {
    /// See [`CheckpointTracker::begin`].
    pub(super) fn begin_tracked_checkpoint(&mut self) -> Vec<Arc<str>> {
        self.checkpoint.begin()
    }

    /// See [`CheckpointTracker::take`].
    pub(super) fn take_tracked(&mut self, limit: usize) -> Option<Vec<(Arc<str>, Content)>> {
        self.checkpoint.take(&mut self.nodes, limit)
    }

    /// Makes room for about so many more nodes.
    pub(super) fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve(nodes);
    }

    /// Where the lists of nodes that are loaded are shared.
    pub(super) fn acls_mut(&mut self) -> &mut AclTable {
        &mut self.acls
    }

    /// Adds a node that a checkpoint kept, unless there is one with this path already: a tree that is given
    /// one twice is of no more use. It is to be [adopted](Self::adopt) by its parent when both are there.
    pub(super) fn load(&mut self, node: Node) -> Option<NodeId> {
        self.count(&node);
        self.nodes.insert_new(node, self.checkpoint.dirty_mark())
    }

    /// Makes a node that was loaded a child of its parent.
    pub(super) fn adopt(&mut self, parent: NodeId, id: NodeId) {
        self.nodes.adopt_child(parent, id);
    }
}

/// What the primitives have in common, forwards and backwards.
impl Tree {
    fn link(&mut self, parent: Option<NodeId>, node: Node) -> NodeId {
        let (path, bytes) = (Arc::clone(&node.path), node.content.data_len() as i64);
        self.count(&node);
        let id = self.nodes.insert(node, self.checkpoint.dirty_mark());
        if let Some(parent) = parent {
            self.nodes.add_child(parent, path, bytes);
        }
        id
    }

    fn unlink(&mut self, parent: NodeId, id: NodeId) -> Node {
        let node = self.nodes.remove(id);
        debug_assert_eq!(node.child_count(), 0, "a node with children cannot go");
        self.totals.remove(&node);
        match node.kind() {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => self.ephemerals.remove(session, &node.path),
            NodeKind::Container => self.expirable.remove_container(&node.path),
            NodeKind::Ttl(_) => self.expirable.remove_ttl_node(&node.path),
        }
        self.quotas.node_detached(&node.path);
        self.nodes.remove_child(parent, &node.path, node.content.data_len() as i64);
        node
    }

    fn count(&mut self, node: &Node) {
        self.totals.add(node);
        let path = || Arc::clone(&node.path);
        match node.kind() {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => self.ephemerals.insert(session, path()),
            NodeKind::Container => self.expirable.insert_container(path()),
            NodeKind::Ttl(_) => self.expirable.insert_ttl_node(path()),
        }
        self.quotas.node_set(&node.path, node.data());
    }

    /// The content of a node changed.
    fn replace_share(&mut self, id: NodeId, before: Share, now: Share) {
        self.totals.replace(before, now);
        let (len_before, len) = (before.data_len.cast_signed(), now.data_len.cast_signed());
        if len_before != len {
            self.nodes.data_grew(id, len - len_before);
        }
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
