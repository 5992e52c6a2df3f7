//! Why a connection ends.

use alloc::string::String;

use super::close_kind::CloseKind;

/// Why a connection ends; said once in the log, where it is the client's or the operator's business.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CloseReason {
    /// The client closed its session.
    #[error("the client closed its session")]
    SessionClosed,
    /// The session expired, or was closed by an operator.
    #[error("the session ended")]
    SessionEnded,
    /// The session belongs to another connection by now.
    #[error("the session moved to another connection")]
    SessionMoved,
    /// The handshake named a session that is gone, or the wrong password.
    #[error("the session asked for does not exist, or its password is wrong")]
    SessionRefused,
    /// The client has seen a later state than this server: it must try another one.
    #[error("the client has seen zxid {seen}, this server's last is {last}: it must try another")]
    ClientAhead {
        /// What the client has seen.
        seen: jute_proto::Zxid,
        /// What this server has.
        last: jute_proto::Zxid,
    },
    /// The first packet is no handshake.
    #[error("the first packet is no connect request: {0}")]
    BadHandshake(jute_proto::DecodeError),
    /// A packet has no readable header.
    #[error("a packet without a readable header: {0}")]
    BadHeader(jute_proto::DecodeError),
    /// An operation code without a meaning.
    #[error("an operation that clients cannot ask for: {0}")]
    UnknownOperation(i32),
    /// More connection requests came than the connection throttle lets in.
    #[error("too many connection requests at once (connection_throttle_tokens)")]
    Throttled,
    /// Credentials were refused.
    #[error("authentication failed: {0}")]
    AuthFailed(crate::session::auth::AuthFailure),
    /// The server wants credentials before anything else.
    #[error("the client did not authenticate with one of the enforced schemes")]
    AuthRequired,
    /// Commands cannot be written now, so no session can be made or resumed, and a write that its
    /// client repeats elsewhere is not answered with an error here.
    #[error("nothing can be written to the log now")]
    Unavailable,
    /// The client numbers its writes as it must not.
    #[error("a write has a number of no use, or too many writes wait for their answers")]
    BadWriteNumber,
    /// The client reads too slowly for what it asked for.
    #[error("the client does not read: {waiting} bytes wait for it")]
    SlowReader {
        /// Bytes that wait.
        waiting: usize,
    },
    /// The reply to a write is longer than any may be. Counted as [`CloseKind::SlowReader`].
    #[error("a reply of {0} bytes is too long to be sent")]
    ReplyTooLong(usize),
    /// A frame is negative or over the limit.
    #[error("{0}")]
    BadFrame(String),
    /// Large requests take more memory together than they may.
    #[error(
        "a request of {len} bytes, while large requests take {in_flight} bytes already, is over \
         largeRequestMaxBytes ({max})"
    )]
    LargeRequests {
        /// The length of this one in bytes.
        len: u64,
        /// Bytes of the others that are not answered.
        in_flight: u64,
        /// What all may take together.
        max: u64,
    },
    /// Its requests waited for longer than its session lasts without a word.
    #[error("requests waited for {0} ms, longer than the session timeout, and were dropped")]
    Stale(u64),
    /// Nothing came for too long.
    #[error("the client was silent for {0} ms")]
    Idle(u64),
    /// A packet was begun and not finished in time. Counted as [`CloseKind::Idle`].
    #[error("after {received} bytes of a packet the client was silent for {silent_ms} ms")]
    HalfPacket {
        /// Bytes of the packet that came.
        received: usize,
        /// For how long the rest was waited for.
        silent_ms: u64,
    },
    /// The socket ended or failed.
    #[error("the client went away")]
    Disconnected,
    /// An operator had this server let some of its clients go.
    #[error("an operator shed the connection")]
    Shed,
    /// The server stops, or took over the whole state of another one.
    #[error("the server stops")]
    ServerStops,
    /// The client wants the leader, and was told where it is.
    #[error("the client wants the leader, which is another server")]
    NotLeader,
    /// The server has no contact to a majority of its ensemble.
    #[error("this server has no contact to a majority of its ensemble")]
    NotServing,
    /// The server was removed from its ensemble.
    #[error("this server does not belong to the ensemble any more")]
    NotMember,
}

impl CloseReason {
    /// Whether an operator should read of it at the default log level: something is wrong with the
    /// client, or was tried that must not be.
    pub fn is_suspicious(&self) -> bool {
        match self {
            Self::BadHandshake(_)
            | Self::BadHeader(_)
            | Self::UnknownOperation(_)
            | Self::BadWriteNumber
            | Self::AuthFailed(_)
            | Self::AuthRequired
            | Self::Unavailable
            | Self::SlowReader { .. }
            | Self::ReplyTooLong(_)
            | Self::LargeRequests { .. }
            | Self::HalfPacket { .. }
            | Self::BadFrame(_) => true,
            Self::SessionClosed
            | Self::SessionEnded
            | Self::SessionMoved
            | Self::SessionRefused
            | Self::ClientAhead { .. }
            | Self::Throttled
            | Self::Stale(_)
            | Self::Idle(_)
            | Self::Disconnected
            | Self::Shed
            | Self::ServerStops
            | Self::NotLeader
            | Self::NotServing
            | Self::NotMember => false,
        }
    }

    /// The kind under which it is counted.
    pub fn kind(&self) -> CloseKind {
        match self {
            Self::SessionClosed => CloseKind::SessionClosed,
            Self::SessionEnded => CloseKind::SessionEnded,
            Self::SessionMoved => CloseKind::SessionMoved,
            Self::SessionRefused => CloseKind::SessionRefused,
            Self::ClientAhead { .. } => CloseKind::ClientAhead,
            Self::BadHandshake(_)
            | Self::BadHeader(_)
            | Self::UnknownOperation(_)
            | Self::BadWriteNumber
            | Self::BadFrame(_) => CloseKind::Malformed,
            Self::Throttled => CloseKind::Throttled,
            Self::LargeRequests { .. } => CloseKind::LargeRequests,
            Self::Stale(_) => CloseKind::Stale,
            Self::AuthFailed(_) | Self::AuthRequired => CloseKind::NotAuthenticated,
            Self::Unavailable => CloseKind::Unavailable,
            Self::SlowReader { .. } | Self::ReplyTooLong(_) => CloseKind::SlowReader,
            Self::Idle(_) | Self::HalfPacket { .. } => CloseKind::Idle,
            Self::Disconnected => CloseKind::Disconnected,
            Self::Shed => CloseKind::Shed,
            Self::ServerStops => CloseKind::ServerStops,
            Self::NotServing | Self::NotMember => CloseKind::NotServing,
            Self::NotLeader => CloseKind::NotLeader,
        }
    }
}
