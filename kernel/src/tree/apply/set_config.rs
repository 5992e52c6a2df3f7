//! Showing another configuration of the ensemble to clients.

use alloc::vec::Vec;

use super::super::error::OpError;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, OpContext, TxnResult};

impl Tree {
    /// The service itself sets it, so its ACL, which lets everyone only read, is not asked.
    pub(super) fn set_config(
        &mut self,
        ctx: &OpContext<'_>,
        data: &[u8],
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        let (id, _) = self.existing(path::CONFIG)?;
        self.change(id, |path, content| content.set_config(path, data, ctx.zxid, ctx.wall_time));
        let node = self.noted_as_set(id, changes);
        Ok(TxnResult::DataSet(node.stat()))
    }
}
