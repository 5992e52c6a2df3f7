//! Showing another configuration of the ensemble to clients.

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
        let node = self.put_data(ctx, id, Some(data), changes);
        Ok(TxnResult::DataSet(node.stat()))
    }
}
