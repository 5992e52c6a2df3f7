//! `create`, `create2`, `createContainer`, `createTTL`.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{CreateMode, Perms};

use super::super::acl;
use super::super::directory::SizeDelta;
use super::super::error::OpError;
use super::super::node::{Content, Node, NodeKind, TTL_MS_MAX};
use super::super::path;
use super::super::tree::Tree;
use super::super::txn::{Change, ChangeKind, Create, CreateOp, OpContext, TxnResult};

impl Tree {
    pub(super) fn create(
        &mut self,
        ctx: &OpContext<'_>,
        create: &Create<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResult, OpError> {
        let (mode, kind) = judge_mode(ctx, create)?;
        if path::has_nul(create.path) || !create.path.as_bytes().contains(&b'/') {
            return Err(OpError::BadArguments);
        }
        let entries = self.fix_up_acl(ctx, create.acl)?;
        let (parent_id, parent) = self.existing_parent(create.path)?;
        acl::check(parent.acl(), ctx.identities, Perms::CREATE, ctx.policy)?;
        let path = match mode.is_sequential() {
            true => Cow::Owned(path::sequential(create.path, parent.content.creates)),
            false => Cow::Borrowed(create.path),
        };
        path::validate(&path)?;
        if self.find(&path).is_some() {
            return Err(OpError::NodeExists);
        }
        if matches!(parent.kind(), NodeKind::Ephemeral(_)) {
            return Err(OpError::NoChildrenForEphemerals);
        }
        let parent_acl = Arc::clone(parent.shared_acl());
        let delta = SizeDelta { nodes: 1, bytes: create.data.map_or(0, <[u8]>::len) as i64 };
        self.check_quota(ctx, &path, delta)?;

        let acl = self.intern_acl(&entries);
        let path: Arc<str> = path.into();
        let stamp = (ctx.zxid, ctx.wall_time);
        let content = Content::new(&path, create.data, Arc::clone(&acl), kind, stamp);
        self.change(parent_id, |_, parent| parent.child_created(ctx.zxid));
        let id = self.attach(Some(parent_id), Node::new(Arc::clone(&path), content));
        // As in ZooKeeper the reply shows the node before a quota counts itself.
        let stat = self.node(id).stat();
        self.count_if_stats_node(&path);
        self.add_usage(&path, delta);
        let change = Change { kind: ChangeKind::Created, path: Arc::clone(&path), acl, parent_acl };
        changes.push(change);
        Ok(TxnResult::Created { op: create.op, path, stat })
    }
}

/// What the operation and its flags make of the node. Where the two disagree the operation decides,
/// as in ZooKeeper: `create` with the container flag makes a plain persistent node, and
/// `createContainer` makes a container whatever its flag.
fn judge_mode(ctx: &OpContext<'_>, create: &Create<'_>) -> Result<(CreateMode, NodeKind), OpError> {
    let mode = CreateMode::try_from(create.flags).map_err(|_| OpError::BadArguments)?;
    if mode.is_ttl() {
        if !ctx.policy.extended_types {
            return Err(OpError::Unimplemented);
        }
        if !(1..=TTL_MS_MAX).contains(&create.ttl_ms) {
            return Err(OpError::BadArguments);
        }
    } else if create.ttl_ms >= 0 {
        return Err(OpError::BadArguments);
    }
    let kind = match (create.op, mode) {
        (
            CreateOp::Ttl,
            CreateMode::PersistentWithTtl | CreateMode::PersistentSequentialWithTtl,
        ) => NodeKind::Ttl(create.ttl_ms),
        (CreateOp::Container, _) => NodeKind::Container,
        (CreateOp::Ttl, _) => return Err(OpError::BadArguments),
        (_, CreateMode::Ephemeral | CreateMode::EphemeralSequential) => {
            NodeKind::Ephemeral(ctx.session)
        }
        (CreateOp::Create | CreateOp::Create2, _) => NodeKind::Persistent,
    };
    Ok((mode, kind))
}
