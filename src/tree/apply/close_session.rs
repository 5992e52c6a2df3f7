//! The end of a session: all its ephemeral nodes go in one transaction.

use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, OpContext, TxnResult};

impl Tree {
    /// The nodes go in the order of their paths, so that all replicas tell the same events.
    pub(super) fn close_session(
        &mut self,
        ctx: &OpContext<'_>,
        changes: &mut Vec<Change>,
    ) -> TxnResult {
        let paths = self.ephemerals.get(&ctx.session).cloned().unwrap_or_default();
        for path in &paths {
            let parent = path::parent(path).and_then(|parent| self.find(parent));
            if let (Some(parent), Some(id)) = (parent, self.find(path)) {
                self.remove(parent, id, ctx.zxid, changes);
            }
        }
        TxnResult::SessionClosed { ephemerals: paths.len() }
    }
}
