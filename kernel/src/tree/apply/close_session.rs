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
        let paths = self.take_ephemerals(ctx.session);
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
        let mut paths = self.take_ephemerals(ctx.session);
        for path in core::iter::from_fn(|| paths.pop_first()).take(limit) {
            self.remove_ephemeral(&path, ctx, changes);
        }
        self.put_back_ephemerals(ctx.session, paths);
    }

    fn remove_ephemeral(
        &mut self,
        path: &Arc<str>,
        ctx: &OpContext<'_>,
        changes: &mut Vec<Change>,
    ) {
        let parent = path::parent(path).and_then(|parent| self.nodes().find_parent(parent));
        if let (Some(parent), Some(id)) = (parent, self.find(path)) {
            self.remove(parent, id, ctx.zxid, changes);
        }
    }
}
