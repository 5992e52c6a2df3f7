//! From a write to its operation.

use alloc::vec::Vec;

use super::super::error::OpError;
use super::super::node::{Content, Node};
use super::super::node_store::NodeId;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, OpContext, TxnResult, WriteOp};

impl Tree {
    /// Judges a write and carries it out. `changes` gains what watches need to know, in order.
    ///
    /// # Errors
    /// The first of the operation's checks that fails, in ZooKeeper's order. Then neither the tree
    /// nor `changes` is other than before. A `multi` that fails is no error: see
    /// [`TxnResult::MultiFailed`].
    pub fn apply(
        &mut self,
        ctx: &OpContext<'_>,
        op: &WriteOp<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        let is_part = self.is_in_multi();
        if !is_part {
            self.begin_write();
        }
        let result = self.carry_out(ctx, op, changes);
        if !is_part {
            self.write_usage();
        }
        result
    }

    fn carry_out(
        &mut self,
        ctx: &OpContext<'_>,
        op: &WriteOp<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        match op {
            WriteOp::Create(create) => self.create(ctx, create, changes),
            WriteOp::Delete { path, version } => self.delete(ctx, path, *version, changes),
            WriteOp::SetData { path, data, version } => {
                self.set_data(ctx, path, *data, *version, changes)
            }
            WriteOp::SetAcl { path, acl, version } => self.set_acl(ctx, path, *acl, *version),
            WriteOp::Check { path, version } => self.check(ctx, path, *version),
            WriteOp::Multi(ops) => self.multi(ctx, ops, changes),
            WriteOp::DeleteContainer { path, age_ms } => {
                self.delete_container(ctx, (path, *age_ms), changes)
            }
            WriteOp::CloseSession => Ok(self.close_session(ctx, changes)),
            WriteOp::SetConfig { data } => self.set_config(ctx, data, changes),
        }
    }

    /// A node, as operations on it begin.
    pub(super) fn existing(&self, path: &str) -> Result<(NodeId, &Node), OpError> {
        let id = self.find(path).ok_or(OpError::NoNode)?;
        Ok((id, self.node(id)))
    }

    /// The parent of a path; that of a top node is the root.
    pub(super) fn existing_parent(&self, path: &str) -> Result<(NodeId, &Node), OpError> {
        let parent = path::parent(path).ok_or(OpError::BadArguments)?;
        let id = self.nodes().find_parent(parent).ok_or(OpError::NoNode)?;
        Ok((id, self.node(id)))
    }
}

/// Compares a version that a client expects.
pub(super) fn check_version(expected: i32, current: i32) -> Result<(), OpError> {
    if expected == ANY_VERSION || expected == current { Ok(()) } else { Err(OpError::BadVersion) }
}

/// The version that stands for any.
const ANY_VERSION: i32 = -1;

/// The length of data, as quotas count it.
pub(super) fn bytes(content: &Content) -> i64 {
    content.data_len() as i64
}
