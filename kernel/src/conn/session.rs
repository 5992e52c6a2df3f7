//! The session that a connection speaks for, and what was agreed on in the handshake.

use bytes::{BufMut, BytesMut};
use jute_proto::{ConnectResponse, Encode, Extensions, LeaderHint, SessionId};

use super::settings::Settings;

/// What ZooKeeper's servers say, and what its clients are told.
const PROTOCOL_VERSION: i32 = 0;

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// The session is being made or resumed; no request is taken before it is.
    Opening,
    /// The session is the connection's.
    Open,
}

/// The session of a connection.
///
/// * The phase only advances: `Fresh`, `Opening`, `Open`, or from `Fresh` to `Open` for a local session.
/// * A connection never changes to another session. A session that is refused becomes 0, and the connection ends.
#[derive(Debug)]
pub(super) struct ConnSession {
    phase: Phase,
    id: SessionId,
    timeout_ms: u32,
    /// When the handshake for a new session came, in microseconds of the server's clock; `None`
    /// where the session is resumed, or its creation was counted.
    creating_us: Option<u64>,
    is_local: bool,
}

impl ConnSession {
    /// No session yet.
    pub(super) fn none() -> Self {
        Self {
            phase: Phase::Fresh,
            id: SessionId(0),
            timeout_ms: 0,
            creating_us: None,
            is_local: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// Whether the session was made without a quorum: only this server knows it, and it ends with the connection.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Takes the timeout that the client asks for, within the limits of the server; returns what became of it.
    pub(super) fn negotiate_timeout(&mut self, wanted_ms: i32, settings: &Settings) -> u32 {
        let (min, max) = (settings.session_timeout_ms_min, settings.session_timeout_ms_max);
        self.timeout_ms = u32::try_from(wanted_ms).unwrap_or(0).clamp(min, max);
        self.timeout_ms
    }

    /// The session is being made.
    pub(super) fn begin_create(&mut self, id: SessionId, now_us: u64) {
        (self.id, self.phase, self.creating_us) = (id, Phase::Opening, Some(now_us));
    }

    /// The session is being resumed.
    pub(super) fn begin_resume(&mut self, id: SessionId) {
        (self.id, self.phase) = (id, Phase::Opening);
    }

    /// The session is one that only this server knows. It needs no outcome to be [open](Self::open).
    pub(super) fn begin_local(&mut self, id: SessionId) {
        (self.id, self.is_local) = (id, true);
    }

    /// The session is the connection's; returns how long it took to make it, where it is new.
    pub(super) fn open(&mut self, timeout_ms: u32, now_us: u64) -> Option<u64> {
        (self.phase, self.timeout_ms) = (Phase::Open, timeout_ms);
        self.creating_us.take().map(|start_us| now_us.saturating_sub(start_us))
    }

    /// The session is gone, or never was.
    pub(super) fn refuse(&mut self) {
        self.id = SessionId(0);
    }
}

/// What client and server agreed on.
#[derive(Debug)]
pub(super) struct Agreement {
    /// Whether the client sent the read-only byte, and so expects it in the answer.
    speaks_read_only: bool,
    /// What was granted of what the client asked for beyond ZooKeeper; `None` for one that knows only
    /// that.
    extensions: Option<Extensions>,
    /// Where the leader was when the session was asked for, for a client that wants to know.
    leader: Option<LeaderHint<'static>>,
}

impl Agreement {
    /// Before the handshake.
    pub(super) fn none() -> Self {
        Self { speaks_read_only: true, extensions: None, leader: None }
    }

    /// Takes note of whether the client sent the read-only byte.
    pub(super) fn set_speaks_read_only(&mut self, speaks: bool) {
        self.speaks_read_only = speaks;
    }

    /// Grants what the client asks for in its protocol version, as far as it is among `known`.
    pub(super) fn grant(&mut self, protocol_version: i32, known: Extensions) {
        let wanted = Extensions::of_protocol_version(protocol_version);
        self.extensions = wanted.map(|wanted| wanted.and(known));
    }

    /// Whether the extension was granted.
    pub(super) fn has(&self, extension: Extensions) -> bool {
        self.extensions.is_some_and(|granted| granted.contains(extension))
    }

    /// Takes note of where the leader is, for a client that wants to know.
    pub(super) fn set_leader(&mut self, leader: LeaderHint<'static>) {
        self.leader = Some(leader);
    }

    /// Whether the client wants the leader, and this server is not.
    pub(super) fn wants_another_server(&self) -> bool {
        let elsewhere = self.leader.as_ref().is_some_and(|leader| *leader != LeaderHint::Here);
        elsewhere && self.has(Extensions::LEADER_ONLY)
    }

    /// Appends the answer to the handshake, once. `write_number` is the highest that was applied in the session, where
    /// the client numbers its writes.
    pub(super) fn put_response(
        &mut self,
        out: &mut BytesMut,
        (session_id, timeout_ms): (SessionId, u32),
        password: &[u8; 16],
        is_local: bool,
        write_number: Option<u64>,
    ) {
        let response = ConnectResponse {
            protocol_version: self
                .extensions
                .map_or(PROTOCOL_VERSION, Extensions::protocol_version),
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            session_id,
            password,
            read_only: self.speaks_read_only.then_some(is_local),
        };
        response.encode(out);
        if let Some(leader) = self.leader.take() {
            leader.encode(out);
        }
        if let Some(write_number) = write_number {
            out.put_u64(write_number);
        }
    }
}
