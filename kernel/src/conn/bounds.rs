//! How much a write may hold, checked before it goes into the log: see [`crate::limits`].
//!
//! Applying must not depend on it, for the log may hold what an older server took.

use jute_proto::{Acl, ErrorCode, Id, OpCode, ReconfigRequest, Request, once};

use crate::ensemble::MembershipChange;
use crate::limits::{
    ACL_ENTRIES_MAX, ACL_LEN_MAX, EXPANDED_ACLS_LEN_MAX, KEPT_REPLY_LEN_MAX, RECONFIG_LEN_MAX,
};
use crate::replica::{Logged, logged};
use crate::tree::acl::{self, Expansion};
use crate::tree::{Policy, WriteOp};

/// Refuses a write that would become too long, now or when it is applied.
pub(super) fn check_bounds(
    request: &Request<'_>,
    identities: &[Id],
    policy: Policy,
) -> Result<(), ErrorCode> {
    match logged(request) {
        Some(Logged::Write(op)) => {
            let expansion = || Expansion::new(identities, policy);
            Lists { expansion, len: 0 }.add_of(&op)
        }
        // Where it is not enabled, applying says so.
        Some(Logged::Reconfig(reconfig)) if policy.reconfig => check_change(reconfig),
        Some(Logged::Reconfig(_)) | None => Ok(()),
    }
}

/// The reply to a numbered write is kept with its session, in one row of the checkpoint.
pub(super) fn check_kept_reply(op: OpCode, record_len: usize) -> Result<(), ErrorCode> {
    let fits = once::weight(op, record_len) <= KEPT_REPLY_LEN_MAX;
    if fits { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

/// The access control lists of one request.
struct Lists<E> {
    /// What an `auth` entry becomes.
    expansion: E,
    /// What those of the lists so far become together, in bytes.
    len: usize,
}

impl<E: Fn() -> Expansion> Lists<E> {
    fn add_of(&mut self, op: &WriteOp<'_>) -> Result<(), ErrorCode> {
        match op {
            WriteOp::Create(create) => self.add(create.acl),
            WriteOp::SetAcl { acl, .. } => self.add(*acl),
            WriteOp::Multi(ops) => ops.iter().try_for_each(|op| self.add_of(op)),
            WriteOp::Delete { .. }
            | WriteOp::SetData { .. }
            | WriteOp::Check { .. }
            | WriteOp::DeleteContainer { .. }
            | WriteOp::CloseSession
            | WriteOp::SetConfig { .. } => Ok(()),
        }
    }

    fn add(&mut self, list: Option<&[Acl]>) -> Result<(), ErrorCode> {
        let list = list.unwrap_or_default();
        if let [only] = list
            && only.id.scheme == "world"
        {
            // Most lists; applying takes one id of this scheme alone, which is short.
            return Ok(());
        }
        let (mut entries, mut len) = (list.len(), acl::encoded_len(list));
        let expanded = list.iter().filter(|acl| acl.id.scheme == "auth").count();
        if expanded > 0 {
            let expansion = (self.expansion)();
            entries += expanded.saturating_mul(expansion.entries);
            len += expanded.saturating_mul(expansion.len);
            self.len += expanded.saturating_mul(expansion.len);
        }
        let fits = entries <= ACL_ENTRIES_MAX && len <= ACL_LEN_MAX;
        if fits && self.len <= EXPANDED_ACLS_LEN_MAX { Ok(()) } else { Err(ErrorCode::InvalidAcl) }
    }
}

/// Other servers, and this one after a restart, read the configuration as text.
fn check_change(request: &ReconfigRequest<'_>) -> Result<(), ErrorCode> {
    let change = MembershipChange {
        joining: request.joining_servers.as_deref(),
        leaving: request.leaving_servers.as_deref(),
        members: request.new_members.as_deref(),
    };
    let texts = [change.joining, change.leaving, change.members];
    let len: usize = texts.into_iter().flatten().map(str::len).sum();
    let fits = len <= RECONFIG_LEN_MAX && change.names_plain_hosts();
    if fits { Ok(()) } else { Err(ErrorCode::BadArguments) }
}
