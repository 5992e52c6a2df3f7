//! The operations of the protocol and their numbers.

use crate::error::UnknownValue;
use crate::numbered::numbered;

/// An operation, as the request header names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum OpCode {
    /// A watch event; never sent by a client.
    Notification = 0,
    /// Create a znode.
    Create = 1,
    /// Delete a znode.
    Delete = 2,
    /// Read the `Stat` of a znode, or watch for its creation.
    Exists = 3,
    /// Read data and `Stat`.
    GetData = 4,
    /// Replace the data.
    SetData = 5,
    /// Read the ACL and `Stat`.
    GetAcl = 6,
    /// Replace the ACL.
    SetAcl = 7,
    /// List the children.
    GetChildren = 8,
    /// Catch up with the leader.
    Sync = 9,
    /// Keep the session alive.
    Ping = 11,
    /// List the children, with `Stat`.
    GetChildren2 = 12,
    /// Compare a version; inside a multi only.
    Check = 13,
    /// Several writes that succeed or fail together.
    Multi = 14,
    /// Create a znode and return its `Stat`.
    Create2 = 15,
    /// Change the members of the ensemble.
    Reconfig = 16,
    /// Ask whether a watch is set.
    CheckWatches = 17,
    /// Remove watches.
    RemoveWatches = 18,
    /// Create a container, which goes when its last child has gone.
    CreateContainer = 19,
    /// Delete an empty container; servers only.
    DeleteContainer = 20,
    /// Create a znode that goes after a time without change.
    CreateTtl = 21,
    /// Several reads in one request.
    MultiRead = 22,
    /// Add an identity to the connection.
    Auth = 100,
    /// Re-arm one-shot watches after a reconnect.
    SetWatches = 101,
    /// A step of SASL authentication.
    Sasl = 102,
    /// List the session's ephemeral znodes.
    GetEphemerals = 103,
    /// Count all znodes below one.
    GetAllChildrenNumber = 104,
    /// Re-arm watches of all kinds after a reconnect.
    SetWatches2 = 105,
    /// Add a persistent watch.
    AddWatch = 106,
    /// List the connection's identities.
    WhoAmI = 107,
    /// List some of the children; where [`Extensions::PAGES`](crate::Extensions::PAGES) was granted.
    ListPage = 600,
    /// Read some of the znodes below one; likewise.
    GetSubtree = 601,
    /// Create a session; not a request, the handshake does it.
    CreateSession = -10,
    /// End the session.
    CloseSession = -11,
    /// A failed transaction, or a failed part of a multi; never sent by a client.
    Error = -1,
}

impl OpCode {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[
        Self::Notification,
        Self::Create,
        Self::Delete,
        Self::Exists,
        Self::GetData,
        Self::SetData,
        Self::GetAcl,
        Self::SetAcl,
        Self::GetChildren,
        Self::Sync,
        Self::Ping,
        Self::GetChildren2,
        Self::Check,
        Self::Multi,
        Self::Create2,
        Self::Reconfig,
        Self::CheckWatches,
        Self::RemoveWatches,
        Self::CreateContainer,
        Self::DeleteContainer,
        Self::CreateTtl,
        Self::MultiRead,
        Self::Auth,
        Self::SetWatches,
        Self::Sasl,
        Self::GetEphemerals,
        Self::GetAllChildrenNumber,
        Self::SetWatches2,
        Self::AddWatch,
        Self::WhoAmI,
        Self::ListPage,
        Self::GetSubtree,
        Self::CreateSession,
        Self::CloseSession,
        Self::Error,
    ];

    /// The name that Apache ZooKeeper uses, or would use for an operation that only Grovekeeper has.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Exists => "exists",
            Self::GetData => "getData",
            Self::SetData => "setData",
            Self::GetAcl => "getACL",
            Self::SetAcl => "setACL",
            Self::GetChildren => "getChildren",
            Self::Sync => "sync",
            Self::Ping => "ping",
            Self::GetChildren2 => "getChildren2",
            Self::Check => "check",
            Self::Multi => "multi",
            Self::Create2 => "create2",
            Self::Reconfig => "reconfig",
            Self::CheckWatches => "checkWatches",
            Self::RemoveWatches => "removeWatches",
            Self::CreateContainer => "createContainer",
            Self::DeleteContainer => "deleteContainer",
            Self::CreateTtl => "createTTL",
            Self::MultiRead => "multiRead",
            Self::Auth => "auth",
            Self::SetWatches => "setWatches",
            Self::Sasl => "sasl",
            Self::GetEphemerals => "getEphemerals",
            Self::GetAllChildrenNumber => "getAllChildrenNumber",
            Self::SetWatches2 => "setWatches2",
            Self::AddWatch => "addWatch",
            Self::WhoAmI => "whoAmI",
            Self::ListPage => "listPage",
            Self::GetSubtree => "getSubtree",
            Self::CreateSession => "createSession",
            Self::CloseSession => "closeSession",
            Self::Error => "error",
        }
    }
}

impl TryFrom<i32> for OpCode {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            0 => Ok(Self::Notification),
            1 => Ok(Self::Create),
            2 => Ok(Self::Delete),
            3 => Ok(Self::Exists),
            4 => Ok(Self::GetData),
            5 => Ok(Self::SetData),
            6 => Ok(Self::GetAcl),
            7 => Ok(Self::SetAcl),
            8 => Ok(Self::GetChildren),
            9 => Ok(Self::Sync),
            11 => Ok(Self::Ping),
            12 => Ok(Self::GetChildren2),
            13 => Ok(Self::Check),
            14 => Ok(Self::Multi),
            15 => Ok(Self::Create2),
            16 => Ok(Self::Reconfig),
            17 => Ok(Self::CheckWatches),
            18 => Ok(Self::RemoveWatches),
            19 => Ok(Self::CreateContainer),
            20 => Ok(Self::DeleteContainer),
            21 => Ok(Self::CreateTtl),
            22 => Ok(Self::MultiRead),
            100 => Ok(Self::Auth),
            101 => Ok(Self::SetWatches),
            102 => Ok(Self::Sasl),
            103 => Ok(Self::GetEphemerals),
            104 => Ok(Self::GetAllChildrenNumber),
            105 => Ok(Self::SetWatches2),
            106 => Ok(Self::AddWatch),
            107 => Ok(Self::WhoAmI),
            600 => Ok(Self::ListPage),
            601 => Ok(Self::GetSubtree),
            -10 => Ok(Self::CreateSession),
            -11 => Ok(Self::CloseSession),
            -1 => Ok(Self::Error),
            _ => Err(UnknownValue { what: "operation", value }),
        }
    }
}

numbered!(OpCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_means_one_value() {
        // Number and value convert into each other, and no two values share a number.
        for &value in OpCode::ALL {
            assert_eq!(OpCode::try_from(i32::from(value)), Ok(value));
        }
    }
}
