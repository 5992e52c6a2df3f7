//! The kinds of ends of a connection that are counted.

/// Why a connection ended, as far as it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseKind {
    /// The client closed its session.
    SessionClosed,
    /// The session expired or was closed by an operator.
    SessionEnded,
    /// The session moved to another connection.
    SessionMoved,
    /// The session asked for does not exist, or its password was wrong.
    SessionRefused,
    /// The client has seen a later state than this server.
    ClientAhead,
    /// Bytes that are no request.
    Malformed,
    /// Connections came faster than they may.
    Throttled,
    /// Large requests over what all may take together.
    LargeRequests,
    /// A request had waited for longer than its session lasts.
    Stale,
    /// Credentials were refused or missing.
    NotAuthenticated,
    /// The session could not be written to the log.
    Unavailable,
    /// The client did not read what was sent, or a reply was longer than any may be
    /// ([`CloseReason::ReplyTooLong`](super::CloseReason::ReplyTooLong)).
    SlowReader,
    /// Nothing came for too long, or a packet was begun and not finished in time
    /// ([`CloseReason::HalfPacket`](super::CloseReason::HalfPacket)).
    Idle,
    /// The client went away.
    Disconnected,
    /// An operator shed it.
    Shed,
    /// The server stopped.
    ServerStops,
    /// The server had no contact to a majority of its ensemble.
    NotServing,
    /// The client wanted the leader, and was told where it is.
    NotLeader,
}

impl CloseKind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::SessionClosed,
        Self::SessionEnded,
        Self::SessionMoved,
        Self::SessionRefused,
        Self::ClientAhead,
        Self::Malformed,
        Self::Throttled,
        Self::LargeRequests,
        Self::Stale,
        Self::NotAuthenticated,
        Self::Unavailable,
        Self::SlowReader,
        Self::Idle,
        Self::Disconnected,
        Self::Shed,
        Self::ServerStops,
        Self::NotServing,
        Self::NotLeader,
    ];

    /// The name of its metric, and what it says.
    pub fn metric(self) -> (&'static str, &'static str) {
        match self {
            Self::SessionClosed => ("connection_closed_by_client", "the client closed its session"),
            Self::SessionEnded => ("connection_closed_session_ended", "the session ended"),
            Self::SessionMoved => {
                ("connection_closed_session_moved", "the session moved to another connection")
            }
            Self::SessionRefused => {
                ("connection_closed_session_refused", "the session was gone or its password wrong")
            }
            Self::ClientAhead => {
                ("connection_closed_client_ahead", "the client had seen a later zxid")
            }
            Self::Malformed => ("connection_closed_malformed", "the bytes were no valid request"),
            Self::Throttled => ("connection_closed_throttled", "connections came too fast"),
            Self::LargeRequests => {
                ("connection_closed_large_requests", "large requests took too much together")
            }
            Self::Stale => ("connection_closed_stale", "a request had waited for too long"),
            Self::NotAuthenticated => {
                ("connection_closed_not_authenticated", "credentials were refused or missing")
            }
            Self::Unavailable => {
                ("connection_closed_unavailable", "the session could not be written to the log")
            }
            Self::SlowReader => ("connection_closed_slow_reader", "the client did not read"),
            Self::Idle => ("connection_closed_idle", "the client was silent for too long"),
            Self::Disconnected => ("connection_closed_disconnected", "the client went away"),
            Self::Shed => ("connection_closed_shed", "an operator shed the connection"),
            Self::ServerStops => ("connection_closed_server_stops", "the server stopped"),
            Self::NotLeader => {
                ("connection_closed_not_leader", "the client was sent to the leader")
            }
            Self::NotServing => (
                "connection_closed_not_serving",
                "the server had no contact to a majority of its ensemble",
            ),
        }
    }
}
