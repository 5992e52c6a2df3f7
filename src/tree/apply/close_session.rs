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
        // All at once: none is looked for in the index as it goes.
        let paths = self.ephemerals.remove(&ctx.session).unwrap_or_default();
        self.ephemeral_count -= paths.len();
        changes.reserve(paths.len());
        for path in &paths {
            let parent = path::parent(path).and_then(|parent| self.find_parent(parent));
            if let (Some(parent), Some(id)) = (parent, self.find(path)) {
                // The next one is mostly beside it.
                self.family = Some(parent);
                self.remove(parent, id, ctx.zxid, changes);
            }
        }
        TxnResult::SessionClosed { ephemerals: paths.len() }
    }
}
