//! Access checked before a write goes into the log (`enableEagerACLCheck`): a refusal then costs
//! the ensemble nothing. What passes is judged again when it is applied.

use jute_proto::{ErrorCode, OpCode, Perms, Reader, Request};

use super::conn::{Conn, View};
use crate::tree::{OpError, acl, path};

impl Conn {
    /// Refuses what the state of this server says is not allowed. Whatever else is wrong with the
    /// request is found when it is applied (`ZooKeeperServer.authWriteRequest`).
    pub(super) fn check_early(
        &self,
        view: View<'_>,
        op: OpCode,
        body: &[u8],
    ) -> Result<(), ErrorCode> {
        let Ok(request) = Request::decode(op, &mut Reader::new(body)) else { return Ok(()) };
        let (path, needed, list) =
            if let Request::Create(create) | Request::Create2(create) = &request {
                (path::parent(&create.path), Perms::CREATE, Some(&create.acl))
            } else if let Request::Delete(delete) = &request {
                (path::parent(&delete.path), Perms::DELETE, None)
            } else if let Request::SetData(set) = &request {
                (Some(set.path.as_ref()), Perms::WRITE, None)
            } else if let Request::SetAcl(set) = &request {
                (Some(set.path.as_ref()), Perms::ADMIN, Some(&set.acl))
            } else {
                return Ok(());
            };
        let Some(path) = path else { return Ok(()) };
        let policy = view.settings.policy;
        if let Some(list) = list {
            acl::fixup(list.as_deref(), &self.identities, policy)?;
        }
        let Some(node) = view.replica.tree().get(path) else { return Ok(()) };
        match view.replica.tree().check_acl(node, &self.identities, needed, policy) {
            Err(OpError::NoAuth) => Err(ErrorCode::NoAuth),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
