//! The identity of a session: its id, its password, and the last zxid that this client has seen.

use bytes::Bytes;
use jute_proto::{SessionId, Zxid};

use super::status::SavedSession;

/// The password of a client that has no session.
const NO_PASSWORD: [u8; 16] = [0; 16];

/// The session's id and password, and how much of the history the client has seen.
#[derive(Debug)]
pub(super) struct SessionIdentity {
    /// Zero while there is none.
    id: SessionId,
    password: Bytes,
    /// Whether a read-only server made the session up, because the client came without one. Only
    /// that server knows it, so it is never shown to another. It is set by the first connection of
    /// a session and cleared by the first server that takes writes, which gives the session its
    /// real id.
    made_up: bool,
    /// The newest transaction that an answer told of. A server that is behind it refuses the
    /// connection, so that time does not go backwards. It outlives sessions.
    last_zxid: Zxid,
}

impl SessionIdentity {
    pub(super) fn new(resume: Option<SavedSession>) -> Self {
        match resume {
            Some(SavedSession { id, password, last_zxid }) => {
                Self { id, password, made_up: false, last_zxid }
            }
            None => Self {
                id: SessionId(0),
                password: Bytes::new(),
                made_up: false,
                last_zxid: Zxid(0),
            },
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Whether servers that take writes can know the session.
    pub(super) fn is_established(&self) -> bool {
        !self.made_up && self.id != SessionId(0)
    }

    /// The id and password that the handshake shows: zeros ask for a new session.
    pub(super) fn to_show(&self) -> (SessionId, &[u8]) {
        if self.is_established() { (self.id, &self.password) } else { (SessionId(0), &NO_PASSWORD) }
    }

    /// A server has taken up the session, or begun one.
    pub(super) fn granted(&mut self, id: SessionId, password: &[u8], read_only: bool) {
        self.made_up = read_only && !self.is_established();
        self.id = id;
        self.password = Bytes::copy_from_slice(password);
    }

    /// The session is lost.
    pub(super) fn forget(&mut self) {
        self.id = SessionId(0);
        self.password = Bytes::new();
    }

    /// An answer told of this transaction. Events do not count: a transaction can have several, and
    /// those still missing would not be asked for after a reconnect.
    pub(super) fn saw(&mut self, zxid: Zxid) {
        self.last_zxid = self.last_zxid.max(zxid);
    }

    /// All that it takes to take up the session again.
    pub(super) fn save(&self) -> SavedSession {
        SavedSession { id: self.id, password: self.password.clone(), last_zxid: self.last_zxid }
    }
}
