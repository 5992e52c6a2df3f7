//! Access checked before a write goes into the log (`enableEagerACLCheck`): a refusal then costs
//! the ensemble nothing. What passes is judged again when it is applied.

use jute_proto::{ErrorCode, Id, OpCode, Perms, Reader, Request};

use super::surroundings::View;
use crate::replica::{Logged, logged};
use crate::tree::{Create, CreateOp, OpError, WriteOp, acl, path};

/// Refuses what the state of this server says is not allowed. Whatever else is wrong with the
/// request is found when it is applied (`ZooKeeperServer.authWriteRequest`).
pub(super) fn check_early(
    view: View<'_>,
    identities: &[Id],
    op: OpCode,
    body: &[u8],
) -> Result<(), ErrorCode> {
    let Ok(request) = Request::decode(op, &mut Reader::new(body)) else { return Ok(()) };
    let Some(Logged::Write(write)) = logged(&request) else { return Ok(()) };
    let (path, needed, list) = match write {
        WriteOp::Create(Create { op: CreateOp::Create | CreateOp::Create2, path, acl, .. }) => {
            (path::parent(path), Perms::CREATE, Some(acl))
        }
        WriteOp::Delete { path, .. } => (path::parent(path), Perms::DELETE, None),
        WriteOp::SetData { path, .. } => (Some(path), Perms::WRITE, None),
        WriteOp::SetAcl { path, acl, .. } => (Some(path), Perms::ADMIN, Some(acl)),
        WriteOp::Create(Create { op: CreateOp::Container | CreateOp::Ttl, .. })
        | WriteOp::Multi(_)
        | WriteOp::Check { .. }
        | WriteOp::DeleteContainer { .. }
        | WriteOp::CloseSession
        | WriteOp::SetConfig { .. } => return Ok(()),
    };
    let Some(path) = path else { return Ok(()) };
    let policy = view.settings.policy;
    if let Some(list) = list {
        acl::fixup(list, identities, policy)?;
    }
    let Some(node) = view.replica.tree().get(path) else { return Ok(()) };
    match view.replica.tree().check_acl(node, identities, needed, policy) {
        Err(OpError::NoAuth) => Err(ErrorCode::NoAuth),
        Ok(()) | Err(_) => Ok(()),
    }
}
