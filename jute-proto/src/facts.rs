//! What clients and servers must both know about an operation, beside its number and its records.
//!
//! How a server handles an operation is no part of the protocol: two servers may route or throttle it in different
//! ways. Those facts are a server's own, in a table over the same [`OpCode`].

use crate::extension::Extensions;
use crate::operations::OpCode;

/// The facts about one operation. There is no default: a new fact has to be said of every operation.
///
/// ```compile_fail,E0063
/// // `repeatable` and what follows it are missing.
/// let facts = jute_proto::OperationFacts { extension: None, exactly_once: false };
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperationFacts {
    /// The extension that must be granted for the operation to exist; `None` for those of ZooKeeper.
    /// Where it was not granted, the number is answered as one that no operation has.
    pub extension: Option<Extensions>,
    /// Whether it carries a [`WriteNumber`](crate::WriteNumber) where [`Extensions::EXACTLY_ONCE`] was granted. So do
    /// all that change znodes. `reconfig` takes more than one step, and closing a session twice does no harm.
    pub exactly_once: bool,
    /// How many times the length of its record may stand in the reply that servers keep, see
    /// [`once::weight`](crate::once::weight). Means nothing where it is not `exactly_once`.
    pub kept_reply_factor: usize,
    /// Whether asking twice has the same outcome as asking once, so that a client may send it again when the
    /// connection was lost.
    pub repeatable: bool,
    /// Whether its record is a row of operations, each behind a [`MultiHeader`](crate::MultiHeader). Other records
    /// that name a znode begin with its path.
    pub is_batch: bool,
}

impl OpCode {
    /// The facts about the operation.
    ///
    /// The match names every operation, so one that is forgotten does not compile:
    ///
    /// ```compile_fail,E0004
    /// use jute_proto::OpCode;
    ///
    /// fn is_read(op: OpCode) -> bool {
    ///     match op {
    ///         OpCode::GetData => true,
    ///         OpCode::SetData => false,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn facts(self) -> OperationFacts {
        match self {
            // The path of a new node comes back.
            Self::Create | Self::Create2 | Self::CreateContainer | Self::CreateTtl => write(1),
            Self::Delete | Self::SetData | Self::SetAcl => write(0),
            // No operation of a multi has a result of more than four times its own length.
            Self::Multi => OperationFacts { is_batch: true, ..write(4) },
            Self::Exists
            | Self::GetData
            | Self::GetAcl
            | Self::GetChildren
            | Self::GetChildren2
            | Self::GetAllChildrenNumber
            | Self::GetEphemerals
            | Self::Sync
            | Self::CheckWatches
            | Self::AddWatch
            | Self::WhoAmI
            | Self::Ping => unnumbered(true),
            Self::MultiRead => OperationFacts { is_batch: true, ..unnumbered(true) },
            Self::ListPage | Self::GetSubtree => {
                OperationFacts { extension: Some(Extensions::PAGES), ..unnumbered(true) }
            }
            Self::DeleteContainer
            | Self::Check
            | Self::Reconfig
            | Self::RemoveWatches
            | Self::SetWatches
            | Self::SetWatches2
            | Self::Auth
            | Self::Sasl
            | Self::Notification
            | Self::CreateSession
            | Self::CloseSession
            | Self::Error => unnumbered(false),
        }
    }
}

/// A write of znodes, which is numbered.
const fn write(kept_reply_factor: usize) -> OperationFacts {
    OperationFacts {
        extension: None,
        exactly_once: true,
        kept_reply_factor,
        repeatable: false,
        is_batch: false,
    }
}

/// An operation whose writes, if it has any, are not numbered.
const fn unnumbered(repeatable: bool) -> OperationFacts {
    OperationFacts {
        extension: None,
        exactly_once: false,
        kept_reply_factor: 0,
        repeatable,
        is_batch: false,
    }
}
