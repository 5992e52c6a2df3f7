//! The end of a session: all its ephemeral nodes go in one transaction.

use alloc::sync::Arc;
use alloc::vec::Vec;

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
            self.remove_ephemeral(path, ctx, changes);
        }
        TxnResult::SessionClosed { ephemerals: paths.len() }
    }

    /// Removes the first `limit` ephemeral nodes of a session whose end, in the same transaction, is about to be
    /// applied.
    ///
    /// Usage of quotas is written with the end itself, so that it is one text for the transaction.
    pub(crate) fn close_session_partly(
        &mut self,
        ctx: &OpContext<'_>,
        limit: usize,
        changes: &mut Vec<Change>,
    ) {
        let Some(mut paths) = self.ephemerals.remove(&ctx.session) else { return };
        for path in core::iter::from_fn(|| paths.pop_first()).take(limit) {
            self.ephemeral_count -= 1;
            self.remove_ephemeral(&path, ctx, changes);
        }
        if !paths.is_empty() {
            self.ephemerals.insert(ctx.session, paths);
        }
    }

    fn remove_ephemeral(
        &mut self,
        path: &Arc<str>,
        ctx: &OpContext<'_>,
        changes: &mut Vec<Change>,
    ) {
        let parent = path::parent(path).and_then(|parent| self.nodes.find_parent(parent));
        if let (Some(parent), Some(id)) = (parent, self.find(path)) {
            // The next one is mostly beside it.
            self.nodes.expect_parent(parent);
            self.remove(parent, id, ctx.zxid, changes);
        }
    }
}
