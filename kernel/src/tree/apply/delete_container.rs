//! `deleteContainer`: removing a container or a node with a time to live whose life is over.

use alloc::vec::Vec;

use super::super::error::OpError;
use super::super::node::NodeKind;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, OpContext, TxnResult};

impl Tree {
    /// The leader proposes this for what it saw some time ago, so the node is judged again: it may
    /// have got a child or new data, or be another node of the same path. (ZooKeeper would remove a
    /// persistent node here.)
    pub(super) fn delete_container(
        &mut self,
        ctx: &OpContext<'_>,
        (path, age_ms): (&str, Option<i64>),
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        let parent = path::deletable_parent(path)?;
        let (id, node) = self.existing(path)?;
        if node.child_count() > 0 {
            return Err(OpError::NotEmpty);
        }
        let by_time = ctx.wall_time.ms_since(node.content.mtime);
        let is_over = match node.kind() {
            NodeKind::Container => true,
            NodeKind::Ttl(ttl_ms) => age_ms.unwrap_or(by_time) > ttl_ms,
            NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
        };
        if !is_over {
            return Err(OpError::BadVersion);
        }
        let (parent, _) = self.existing(parent)?;
        self.remove(parent, id, ctx.zxid, changes);
        Ok(TxnResult::Deleted)
    }
}
