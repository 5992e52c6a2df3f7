//! The error codes of the protocol.

use crate::error::UnknownValue;
use crate::numbered::numbered;

/// What the header of a reply says about the request's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// No error.
    Ok = 0,
    /// The server failed in a way that has no code of its own.
    SystemError = -1,
    /// In a failed multi: an operation behind the one that failed.
    RuntimeInconsistency = -2,
    /// Stored data contradicts itself.
    DataInconsistency = -3,
    /// The connection broke; made up by clients.
    ConnectionLoss = -4,
    /// The request could not be decoded.
    MarshallingError = -5,
    /// The operation is unknown or switched off.
    Unimplemented = -6,
    /// The operation took too long.
    OperationTimeout = -7,
    /// An argument is not valid, for example a path.
    BadArguments = -8,
    /// The handle is closed; made up by the C client.
    InvalidState = -9,
    /// The server does not know the session.
    UnknownSession = -12,
    /// No quorum of the new members is in touch with the leader.
    NewConfigNoQuorum = -13,
    /// Another change of the members is under way.
    ReconfigInProgress = -14,
    /// TLS failed; made up by the C client.
    SslConnectionError = -15,
    /// The boundary between system and API errors; not an error itself.
    ApiError = -100,
    /// There is no such znode.
    NoNode = -101,
    /// The ACL does not allow it.
    NoAuth = -102,
    /// The version is not the one expected.
    BadVersion = -103,
    /// Ephemeral znodes have no children.
    NoChildrenForEphemerals = -108,
    /// The znode is already there.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session has ended.
    SessionExpired = -112,
    /// A callback is not valid; made up by clients.
    InvalidCallback = -113,
    /// The ACL is empty or has an entry that means nothing.
    InvalidAcl = -114,
    /// Authentication failed.
    AuthFailed = -115,
    /// The handle is closing; made up by the C client.
    Closing = -116,
    /// No response to process; made up by the C client.
    Nothing = -117,
    /// The session is attached to another server.
    SessionMoved = -118,
    /// The server is in read-only mode.
    NotReadOnly = -119,
    /// A local session cannot own ephemeral znodes.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// No answer in time; made up by clients.
    RequestTimeout = -122,
    /// Changing the members is switched off.
    ReconfigDisabled = -123,
    /// The server demands authentication first.
    SessionClosedRequireSaslAuth = -124,
    /// A hard quota stands in the way.
    QuotaExceeded = -125,
    /// The request waited too long and was dropped.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// Every value, in the order of the declaration.
    pub const ALL: &'static [Self] = &[
        Self::Ok,
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::DataInconsistency,
        Self::ConnectionLoss,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::OperationTimeout,
        Self::BadArguments,
        Self::InvalidState,
        Self::UnknownSession,
        Self::NewConfigNoQuorum,
        Self::ReconfigInProgress,
        Self::SslConnectionError,
        Self::ApiError,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidCallback,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::Closing,
        Self::Nothing,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::EphemeralOnLocalSession,
        Self::NoWatcher,
        Self::RequestTimeout,
        Self::ReconfigDisabled,
        Self::SessionClosedRequireSaslAuth,
        Self::QuotaExceeded,
        Self::ThrottledOp,
    ];

    /// The name that Apache ZooKeeper uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::SystemError => "SYSTEMERROR",
            Self::RuntimeInconsistency => "RUNTIMEINCONSISTENCY",
            Self::DataInconsistency => "DATAINCONSISTENCY",
            Self::ConnectionLoss => "CONNECTIONLOSS",
            Self::MarshallingError => "MARSHALLINGERROR",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::OperationTimeout => "OPERATIONTIMEOUT",
            Self::BadArguments => "BADARGUMENTS",
            Self::InvalidState => "INVALIDSTATE",
            Self::UnknownSession => "UNKNOWNSESSION",
            Self::NewConfigNoQuorum => "NEWCONFIGNOQUORUM",
            Self::ReconfigInProgress => "RECONFIGINPROGRESS",
            Self::SslConnectionError => "SSLCONNECTIONERROR",
            Self::ApiError => "APIERROR",
            Self::NoNode => "NONODE",
            Self::NoAuth => "NOAUTH",
            Self::BadVersion => "BADVERSION",
            Self::NoChildrenForEphemerals => "NOCHILDRENFOREPHEMERALS",
            Self::NodeExists => "NODEEXISTS",
            Self::NotEmpty => "NOTEMPTY",
            Self::SessionExpired => "SESSIONEXPIRED",
            Self::InvalidCallback => "INVALIDCALLBACK",
            Self::InvalidAcl => "INVALIDACL",
            Self::AuthFailed => "AUTHFAILED",
            Self::Closing => "CLOSING",
            Self::Nothing => "NOTHING",
            Self::SessionMoved => "SESSIONMOVED",
            Self::NotReadOnly => "NOTREADONLY",
            Self::EphemeralOnLocalSession => "EPHEMERALONLOCALSESSION",
            Self::NoWatcher => "NOWATCHER",
            Self::RequestTimeout => "REQUESTTIMEOUT",
            Self::ReconfigDisabled => "RECONFIGDISABLED",
            Self::SessionClosedRequireSaslAuth => "SESSIONCLOSEDREQUIRESASLAUTH",
            Self::QuotaExceeded => "QUOTAEXCEEDED",
            Self::ThrottledOp => "THROTTLEDOP",
        }
    }
}

impl TryFrom<i32> for ErrorCode {
    type Error = UnknownValue;

    fn try_from(value: i32) -> Result<Self, UnknownValue> {
        match value {
            0 => Ok(Self::Ok),
            -1 => Ok(Self::SystemError),
            -2 => Ok(Self::RuntimeInconsistency),
            -3 => Ok(Self::DataInconsistency),
            -4 => Ok(Self::ConnectionLoss),
            -5 => Ok(Self::MarshallingError),
            -6 => Ok(Self::Unimplemented),
            -7 => Ok(Self::OperationTimeout),
            -8 => Ok(Self::BadArguments),
            -9 => Ok(Self::InvalidState),
            -12 => Ok(Self::UnknownSession),
            -13 => Ok(Self::NewConfigNoQuorum),
            -14 => Ok(Self::ReconfigInProgress),
            -15 => Ok(Self::SslConnectionError),
            -100 => Ok(Self::ApiError),
            -101 => Ok(Self::NoNode),
            -102 => Ok(Self::NoAuth),
            -103 => Ok(Self::BadVersion),
            -108 => Ok(Self::NoChildrenForEphemerals),
            -110 => Ok(Self::NodeExists),
            -111 => Ok(Self::NotEmpty),
            -112 => Ok(Self::SessionExpired),
            -113 => Ok(Self::InvalidCallback),
            -114 => Ok(Self::InvalidAcl),
            -115 => Ok(Self::AuthFailed),
            -116 => Ok(Self::Closing),
            -117 => Ok(Self::Nothing),
            -118 => Ok(Self::SessionMoved),
            -119 => Ok(Self::NotReadOnly),
            -120 => Ok(Self::EphemeralOnLocalSession),
            -121 => Ok(Self::NoWatcher),
            -122 => Ok(Self::RequestTimeout),
            -123 => Ok(Self::ReconfigDisabled),
            -124 => Ok(Self::SessionClosedRequireSaslAuth),
            -125 => Ok(Self::QuotaExceeded),
            -127 => Ok(Self::ThrottledOp),
            _ => Err(UnknownValue { what: "error code", value }),
        }
    }
}

numbered!(ErrorCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_means_one_value() {
        // Number and value convert into each other, and no two values share a number.
        for &value in ErrorCode::ALL {
            assert_eq!(ErrorCode::try_from(i32::from(value)), Ok(value));
        }
    }
}
