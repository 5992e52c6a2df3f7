//! `check`: a condition within a `multi`.

use jute_proto::Perms;

use super::super::acl;
use super::super::error::OpError;
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{OpContext, TxnResult};
use super::dispatch::check_version;

impl Tree {
    pub(super) fn check(
        &self,
        ctx: &OpContext<'_>,
        path: &str,
        version: i32,
    ) -> Result<TxnResult, OpError> {
        path::validate(path)?;
        let (_, node) = self.existing(path)?;
        acl::check(node.acl(), ctx.identities, Perms::READ, ctx.policy)?;
        check_version(version, node.content.version)?;
        Ok(TxnResult::Checked)
    }
}
