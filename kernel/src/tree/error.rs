//! Why an operation fails, as clients see it.

use jute_proto::ErrorCode;

/// A client-visible failure. It is a normal outcome of a log entry: nothing changed, a zxid is used
/// up and the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The node or its parent does not exist.
    #[error("no such node")]
    NoNode,
    /// The node to create exists.
    #[error("the node exists")]
    NodeExists,
    /// The node to delete has children.
    #[error("the node has children")]
    NotEmpty,
    /// The version that the client expected is not the current one.
    #[error("another version")]
    BadVersion,
    /// No identity of the connection has the permission.
    #[error("not permitted")]
    NoAuth,
    /// The ACL is empty, or an entry of it means nothing to this server.
    #[error("invalid ACL")]
    InvalidAcl,
    /// An ephemeral node cannot have children.
    #[error("ephemeral nodes have no children")]
    NoChildrenForEphemerals,
    /// The path, a flag or the time to live is not valid, or the node cannot be deleted.
    #[error("bad arguments")]
    BadArguments,
    /// Nodes with a time to live are turned off.
    #[error("not enabled")]
    Unimplemented,
    /// A hard quota would be exceeded.
    #[error("quota exceeded")]
    QuotaExceeded,
    /// The members of the ensemble may not be changed.
    #[error("reconfiguration is not enabled")]
    ReconfigDisabled,
    /// They are being changed already.
    #[error("a reconfiguration is in progress")]
    ReconfigInProgress,
    /// Of the voters asked for no majority is there and has the newest state.
    #[error("no majority of the new configuration is in reach and up to date")]
    NewConfigNoQuorum,
    /// The request as a whole does not make sense, for example a `setACL` within a `multi`.
    #[error("malformed request")]
    Marshalling,
}

impl From<OpError> for ErrorCode {
    fn from(error: OpError) -> Self {
        match error {
            OpError::NoNode => Self::NoNode,
            OpError::NodeExists => Self::NodeExists,
            OpError::NotEmpty => Self::NotEmpty,
            OpError::BadVersion => Self::BadVersion,
            OpError::NoAuth => Self::NoAuth,
            OpError::InvalidAcl => Self::InvalidAcl,
            OpError::NoChildrenForEphemerals => Self::NoChildrenForEphemerals,
            OpError::BadArguments => Self::BadArguments,
            OpError::Unimplemented => Self::Unimplemented,
            OpError::QuotaExceeded => Self::QuotaExceeded,
            OpError::ReconfigDisabled => Self::ReconfigDisabled,
            OpError::ReconfigInProgress => Self::ReconfigInProgress,
            OpError::NewConfigNoQuorum => Self::NewConfigNoQuorum,
            OpError::Marshalling => Self::MarshallingError,
        }
    }
}
