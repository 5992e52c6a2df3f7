//! The writes that a tree understands, what comes of them, and what watches need to know.

use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{
    Acl, CreateRequest, CreateTtlRequest, ErrorCode, Id, MultiOp, MultiRequest, OpCode, SessionId,
    Stat, Zxid,
};

use super::acl::AclRef;
use super::policy::Policy;
use crate::time::WallTime;

/// What a write is judged by besides the tree: its place in the order of all writes, its time, and
/// who asks.
#[derive(Clone, Copy, Debug)]
pub struct OpContext<'a> {
    /// The transaction id of the write.
    pub zxid: Zxid,
    /// The time that the leader stamped.
    pub wall_time: WallTime,
    /// The session that asks; it owns the ephemeral nodes that the write creates.
    pub session: SessionId,
    /// Who the connection proved to be, its address included.
    pub identities: &'a [Id],
    /// The settings that the leader stamped.
    pub policy: Policy,
}

/// The four operations that create nodes. They differ in what the flags may be and in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOp {
    /// `create`, answered by the path.
    Create,
    /// `create2`, answered by path and stat like the others.
    Create2,
    /// `createContainer`
    Container,
    /// `createTTL`
    Ttl,
}

impl CreateOp {
    /// The type of its result within the reply to a `multi`: all but `create` answer as `create2`.
    #[must_use]
    pub const fn result_op(self) -> OpCode {
        match self {
            Self::Create => OpCode::Create,
            Self::Create2 | Self::Container | Self::Ttl => OpCode::Create2,
        }
    }
}

/// A node to create, as the client asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// Which operation.
    pub op: CreateOp,
    /// The path, to which a sequential mode adds a number.
    pub path: &'a str,
    /// The data; `None` is null.
    pub data: Option<&'a [u8]>,
    /// The access control list as sent.
    pub acl: Option<&'a [Acl]>,
    /// The create mode as sent.
    pub flags: i32,
    /// The time to live in milliseconds; -1 for operations that carry none.
    pub ttl_ms: i64,
}

impl<'a> Create<'a> {
    /// A create without a time to live.
    #[must_use]
    pub fn new(op: CreateOp, request: &'a CreateRequest<'_>) -> Self {
        let CreateRequest { path, data, acl, flags } = request;
        Self { op, path, data: *data, acl: acl.as_deref(), flags: *flags, ttl_ms: -1 }
    }

    /// A create with a time to live.
    #[must_use]
    pub fn with_ttl(request: &'a CreateTtlRequest<'_>) -> Self {
        let CreateTtlRequest { path, data, acl, flags, ttl_ms } = request;
        let (op, acl) = (CreateOp::Ttl, acl.as_deref());
        Self { op, path, data: *data, acl, flags: *flags, ttl_ms: *ttl_ms }
    }
}

/// A write. Versions of -1 mean any.
#[derive(Clone, Debug)]
pub enum WriteOp<'a> {
    /// `create`, `create2`, `createContainer`, `createTTL`
    Create(Create<'a>),
    /// `delete`
    Delete {
        /// The node.
        path: &'a str,
        /// Its expected data version.
        version: i32,
    },
    /// `setData`
    SetData {
        /// The node.
        path: &'a str,
        /// Its new data.
        data: Option<&'a [u8]>,
        /// Its expected data version.
        version: i32,
    },
    /// `setACL`
    SetAcl {
        /// The node.
        path: &'a str,
        /// Its new list.
        acl: Option<&'a [Acl]>,
        /// Its expected ACL version.
        version: i32,
    },
    /// `check`, which is allowed within a `multi` only.
    Check {
        /// The node.
        path: &'a str,
        /// Its expected data version.
        version: i32,
    },
    /// `multi`: all of these, or none.
    Multi(Vec<Self>),
    /// Removes a container or a node with a time to live whose life is over. Servers ask for it,
    /// no client may.
    DeleteContainer {
        /// The node.
        path: &'a str,
        /// How long a node with a time to live has been as it is, in milliseconds; `None` to go by the times.
        age_ms: Option<i64>,
    },
    /// Removes all ephemeral nodes of the session of the context.
    CloseSession,
    /// Shows another configuration in `/zookeeper/config`.
    SetConfig {
        /// The configuration as text.
        data: &'a [u8],
    },
}

impl<'a> WriteOp<'a> {
    /// The operations of a `multi`.
    #[must_use]
    pub fn multi(request: &'a MultiRequest<'_>) -> Self {
        Self::Multi(request.ops.iter().map(Self::from).collect())
    }
}

impl<'a> From<&'a MultiOp<'_>> for WriteOp<'a> {
    fn from(op: &'a MultiOp<'_>) -> Self {
        match op {
            MultiOp::Create(create) => Self::Create(Create::new(CreateOp::Create, create)),
            MultiOp::Create2(create) => Self::Create(Create::new(CreateOp::Create2, create)),
            MultiOp::CreateContainer(create) => {
                Self::Create(Create::new(CreateOp::Container, create))
            }
            MultiOp::CreateTtl(create) => Self::Create(Create::with_ttl(create)),
            MultiOp::Delete(delete) => Self::Delete { path: &delete.path, version: delete.version },
            MultiOp::SetData(set) => {
                Self::SetData { path: &set.path, data: set.data, version: set.version }
            }
            MultiOp::Check(check) => Self::Check { path: &check.path, version: check.version },
        }
    }
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnResult {
    /// A node was created.
    Created {
        /// By which operation, which decides the form of the reply.
        op: CreateOp,
        /// The path with its sequence number.
        path: Arc<str>,
        /// Its stat.
        stat: Stat,
    },
    /// A node was deleted, by `delete` or because its life was over.
    Deleted,
    /// Data was set.
    DataSet(Stat),
    /// An access control list was set.
    AclSet(Stat),
    /// A version was as expected.
    Checked,
    /// All operations of a `multi` succeeded.
    Multi(Vec<Self>),
    /// A `multi` failed and changed nothing. One code an operation: `Ok` before the one that
    /// failed, then its error, then `RuntimeInconsistency`. The reply's header says `Ok`.
    MultiFailed(Vec<ErrorCode>),
    /// The ensemble has other members.
    Reconfigured {
        /// Its configuration as text.
        data: Arc<[u8]>,
        /// The stat of `/zookeeper/config`.
        stat: Stat,
    },
    /// The ephemeral nodes of a session are gone.
    SessionClosed {
        /// How many there were.
        ephemerals: usize,
    },
}

/// What happened to a node, as watches are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created: the data watches of the node and the child watches of the parent fire.
    Created,
    /// It was deleted: all watches of the node and the child watches of the parent fire.
    Deleted,
    /// Its data was set: the data watches of the node fire.
    DataChanged,
}

/// One change of the tree, in the order of the changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The node.
    pub path: Arc<str>,
    /// Its access control list at the time; for a deleted node the last one.
    pub acl: AclRef,
    /// The list of its parent at the time, by which events about children are filtered. For
    /// [`ChangeKind::DataChanged`], which tells no parent, the node's own.
    pub parent_acl: AclRef,
}
