//! `setData`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::Perms;

use super::super::acl;
use super::super::directory::SizeDelta;
use super::super::error::OpError;
use super::super::node::Node;
use super::super::node_store::NodeId;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, ChangeKind, OpContext, TxnResult};
use super::dispatch::{bytes, check_version};

impl Tree {
    pub(super) fn set_data(
        &mut self,
        ctx: &OpContext<'_>,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        path::validate(path)?;
        let (id, _) = self.existing(path)?;
        self.write_usage_of(id);
        let node = self.node(id);
        acl::check(node.acl(), ctx.identities, Perms::WRITE, ctx.policy)?;
        let current_version = node.content.version;
        let added = data.map_or(0, <[u8]>::len) as i64 - bytes(&node.content);
        let delta = SizeDelta { nodes: 0, bytes: added };
        self.check_quota(ctx, path, delta)?;
        check_version(version, current_version)?;

        self.change(id, |path, content| content.set_data(path, data, ctx.zxid, ctx.wall_time));
        let node = self.noted_as_set(id, changes);
        let stat = node.stat();
        self.read_if_quota_node(id);
        self.add_usage(path, delta);
        Ok(TxnResult::DataSet(stat))
    }

    /// Tells watches that the data of a node were set.
    pub(super) fn noted_as_set(&self, id: NodeId, changes: &mut Vec<Change>) -> &Node {
        let node = self.node(id);
        changes.push(Change {
            kind: ChangeKind::DataChanged,
            path: Arc::clone(node.shared_path()),
            acl: Arc::clone(node.shared_acl()),
            parent_acl: Arc::clone(node.shared_acl()),
        });
        node
    }
}
