//! `setACL`.

use jute_proto::{Acl, Perms};

use super::super::acl;
use super::super::error::OpError;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{OpContext, TxnResult};
use super::dispatch::check_version;

impl Tree {
    /// No watch fires for a new ACL.
    pub(super) fn set_acl(
        &mut self,
        ctx: &OpContext<'_>,
        path: &str,
        requested: Option<&[Acl]>,
        version: i32,
    ) -> Result<TxnResult, OpError> {
        path::validate(path)?;
        let entries = self.fix_up_acl(ctx, requested)?;
        let (id, node) = self.existing(path)?;
        acl::check(node.acl(), ctx.identities, Perms::ADMIN, ctx.policy)?;
        check_version(version, node.content.aversion)?;

        let acl = self.intern_acl(&entries);
        self.change(id, |_, content| content.set_acl(acl));
        Ok(TxnResult::AclSet(self.node(id).stat()))
    }
}
