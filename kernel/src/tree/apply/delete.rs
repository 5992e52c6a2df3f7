//! `delete`.

use alloc::vec::Vec;

use alloc::sync::Arc;
use jute_proto::{Perms, Zxid};

use super::super::acl;
use super::super::directory::SizeDelta;
use super::super::error::OpError;
use super::super::node_store::NodeId;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, ChangeKind, OpContext, TxnResult};
use super::dispatch::{bytes, check_version};

impl Tree {
    pub(super) fn delete(
        &mut self,
        ctx: &OpContext<'_>,
        path: &str,
        version: i32,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        let (parent_id, parent) = self.existing(path::deletable_parent(path)?)?;
        acl::check(parent.acl(), ctx.identities, Perms::DELETE, ctx.policy)?;
        let (id, node) = self.existing(path)?;
        check_version(version, node.content.version)?;
        if node.child_count() > 0 {
            return Err(OpError::NotEmpty);
        }
        self.remove(parent_id, id, ctx.zxid, changes);
        Ok(TxnResult::Deleted)
    }

    /// Removes a node that nothing speaks against removing.
    pub(super) fn remove(
        &mut self,
        parent: NodeId,
        id: NodeId,
        zxid: Zxid,
        changes: &mut Vec<Change>,
    ) {
        self.write_usage_of(id);
        let parent_acl = Arc::clone(self.node(parent).shared_acl());
        // Further children that go in the same transaction change no more.
        if self.node(parent).pzxid() != zxid {
            self.change(parent, |_, parent| parent.child_deleted(zxid));
        }
        let removed = self.detach(parent, id);
        let delta = SizeDelta { nodes: -1, bytes: -bytes(&removed.content) };
        self.add_usage(&removed.path, delta);
        changes.push(Change {
            kind: ChangeKind::Deleted,
            path: removed.path,
            acl: removed.content.acl,
            parent_acl,
        });
    }
}
