//! What a Raft entry carries: a batch of commands, judged when applied.
//!
//! ```text
//! format u8 | policy u8 | count u32 le | time_ms i64 le | count x command (postcard)
//! ```
//!
//! Commands are encoded one behind the other into the buffer that becomes the entry; the header is
//! written over reserved bytes when the batch is sealed. A client's request stays the bytes that
//! the client sent.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use jute_proto::{Id, OpCode, Reader, Request, SessionId};
use serde::{Deserialize, Serialize};

use crate::ensemble::ServerId;
use crate::session::ConnId;
use crate::time::WallTime;
use crate::tree::Policy;

/// The version of this encoding. A server refuses entries of a version that it does not know.
pub const FORMAT: u8 = 1;

/// The bytes that a batch buffer reserves for its header.
pub const HEADER_LEN: usize = 14;

/// What the leader stamps on a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryHeader {
    /// The leader's clock; in entries of this format it never goes back.
    pub wall_time: WallTime,
    /// The leader's settings that decide outcomes.
    pub policy: Policy,
    /// How many commands follow.
    pub count: u32,
}

/// Where a command comes from and where its outcome is wanted.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The session that the command speaks for.
    #[serde(with = "session_id")]
    pub session: SessionId,
    /// The connection that sent it; [`ConnId::NONE`] where a server speaks.
    pub conn: ConnId,
    /// The command's number among those of the connection.
    pub seq: u64,
}

/// One command of a batch.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Command<'a> {
    /// Where it comes from.
    pub origin: Origin,
    /// Who the connection proved to be, as [`encode_identities`] wrote it.
    #[serde(borrow, with = "raw_bytes")]
    pub identities: &'a [u8],
    /// What to do.
    #[serde(borrow)]
    pub op: Op<'a>,
}

impl<'a> Command<'a> {
    /// What a server wants on its own: it speaks for no session, and no connection waits for the outcome.
    pub fn of_server(op: Op<'a>) -> Self {
        Self::of_server_for(SessionId(0), op)
    }

    /// What a server wants for a session that is not asked.
    pub fn of_server_for(session: SessionId, op: Op<'a>) -> Self {
        Self { origin: Origin { session, conn: ConnId::NONE, seq: 0 }, identities: &[], op }
    }
}

/// What a command does.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Op<'a> {
    /// A client's write request: its operation code and the bytes of its record.
    Request {
        /// The operation, by number.
        op_code: i32,
        /// The record as it came.
        #[serde(borrow, with = "raw_bytes")]
        body: &'a [u8],
    },
    /// Makes the session of the origin.
    CreateSession {
        /// The negotiated timeout in milliseconds.
        timeout_ms: u32,
    },
    /// Gives the session of the origin to the connection of the origin.
    AttachSession {
        /// The newly negotiated timeout in milliseconds.
        timeout_ms: u32,
    },
    /// Ends the session of the origin with all its ephemeral nodes, because its client says so.
    CloseSession,
    /// Ends the session of the origin, because its client was silent for too long. If another
    /// connection than `owner` has it by now, the client came back and the session stays.
    ExpireSession {
        /// Whose silence it was.
        owner: ConnId,
    },
    /// Removes a container or TTL node if it still has no child.
    DeleteContainer {
        /// The node.
        path: &'a str,
    },
    /// Names the ensemble, for ever: only the first one counts.
    NameEnsemble {
        /// The name, drawn at random.
        name: u128,
    },
    /// Says who belongs to an ensemble that does not know it yet: only the first one counts.
    SetMembers {
        /// A [`Configuration`](crate::ensemble::Configuration) as text.
        text: &'a str,
    },
    /// The change of members that a client asked for was carried out, or cannot be.
    FinishReconfig {
        /// The zxid of the request.
        zxid: i64,
        /// Whether it was carried out.
        done: bool,
    },
    /// A client's write request with the number that it has in its session, see
    /// [`once`](jute_proto::once).
    Numbered {
        /// Its number.
        number: u64,
        /// The client waits for no answer up to this number.
        answered: u64,
        /// The operation, by number.
        op_code: i32,
        /// The record as it came, without the number.
        body: &'a [u8],
    },
    /// From here on entries, rows and messages may be of this version: every member can read it. It never goes
    /// back.
    RaiseVersion {
        /// The version.
        version: u16,
    },
    /// A process of a server begins to number what it wants written.
    RegisterServer {
        /// The number of the server.
        server: ServerId,
        /// The random number of the process.
        process: u64,
    },
    /// As [`Op::ExpireSession`], in this term or never.
    ExpireSessionIn {
        /// Whose silence it was.
        owner: ConnId,
        /// The term of the leader that found it silent.
        term: u64,
    },
    /// Removes a container or TTL node if it is still the same one and has no child, in this term or never.
    DeleteContainerIn {
        /// The node.
        path: &'a str,
        /// The zxid of its creation.
        czxid: i64,
        /// The zxid of the last change of its data.
        mzxid: i64,
        /// The term of the leader that found its life to be over.
        term: u64,
    },
    /// As [`Op::FinishReconfig`], in this term or never.
    FinishReconfigIn {
        /// The zxid of the request.
        zxid: i64,
        /// Whether it was carried out.
        done: bool,
        /// The term of the leader that says so.
        term: u64,
    },
}

/// An entry that this server cannot understand.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// It is shorter than its header.
    #[error("a log entry of {0} bytes has no header")]
    Truncated(usize),
    /// A newer server wrote it.
    #[error(
        "a log entry has format {found}; this server reads formats up to {}: upgrade it",
        super::section::FORMAT
    )]
    Format {
        /// The version found.
        found: u8,
    },
    /// A section is shorter than it says, or has more than its commands.
    #[error("a section of a log entry makes no sense, {0} bytes before its end")]
    Section(usize),
    /// A command without a number is one that may not be applied twice.
    #[error("a command of a log entry has no number, and must not be applied twice")]
    Unnumbered,
    /// A command in it does not decode.
    #[error("command {number} of a log entry does not decode: {reason}")]
    Command {
        /// Counting from 0.
        number: u32,
        /// What the decoder said.
        reason: String,
    },
    /// The configuration of the ensemble in it makes no sense.
    #[error("the log has a configuration of the ensemble that cannot be read: {0}")]
    Configuration(String),
    /// The identities of a command do not decode.
    #[error("the identities of a command in the log do not decode: {0}")]
    Identities(String),
    /// A request in it does not decode, although the connection that took it had decoded it.
    #[error("a request of type {op_code} in the log does not decode: {reason}")]
    Request {
        /// The operation, by number.
        op_code: i32,
        /// What the decoder said.
        reason: String,
    },
}

/// Starts a batch in an empty buffer.
pub fn begin_batch(buffer: &mut BytesMut) {
    buffer.put_bytes(0, HEADER_LEN);
}

/// Adds a command to a batch.
pub fn push_command(buffer: &mut BytesMut, command: &Command<'_>) {
    let appended = postcard::serialize_with_flavor(command, Append(buffer));
    debug_assert!(appended.is_ok(), "appending to a buffer cannot fail");
}

/// Writes identities down for the commands of a connection.
pub fn encode_identities(identities: &[Id]) -> Vec<u8> {
    let pairs: Vec<(&str, &str)> =
        identities.iter().map(|id| (id.scheme.as_str(), id.id.as_str())).collect();
    postcard::to_stdvec(&pairs).unwrap_or_default()
}

/// Reads what [`encode_identities`] wrote.
///
/// # Errors
/// [`EntryError::Identities`] for anything else.
pub fn decode_identities(bytes: &[u8]) -> Result<Vec<Id>, EntryError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<(&str, &str)> =
        postcard::from_bytes(bytes).map_err(|error| EntryError::Identities(error.to_string()))?;
    Ok(pairs.into_iter().map(|(scheme, id)| Id::new(scheme, id)).collect())
}

/// Writes the header over the reserved bytes and ends the batch.
pub fn seal_batch(mut buffer: BytesMut, header: &EntryHeader) -> Bytes {
    assert!(buffer.len() >= HEADER_LEN, "begin_batch reserved the header");
    buffer[0] = FORMAT;
    buffer[1] = header.policy.to_bits();
    buffer[2..6].copy_from_slice(&header.count.to_le_bytes());
    buffer[6..14].copy_from_slice(&header.wall_time.0.to_le_bytes());
    buffer.freeze()
}

/// Reads the header of an entry; what follows it are the commands.
///
/// # Errors
/// [`EntryError`] where the bytes are too few or of another format.
pub fn open_entry(entry: &[u8]) -> Result<(EntryHeader, &[u8]), EntryError> {
    let Some((head, commands)) = entry.split_first_chunk::<HEADER_LEN>() else {
        return Err(EntryError::Truncated(entry.len()));
    };
    if head[0] != FORMAT {
        return Err(EntryError::Format { found: head[0] });
    }
    let count = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
    let mut time = [0; 8];
    time.copy_from_slice(&head[6..14]);
    let wall_time = WallTime(i64::from_le_bytes(time));
    Ok((EntryHeader { wall_time, policy: Policy::from_bits(head[1]), count }, commands))
}

/// Takes the next command off the front of `rest`; `number` is for the error message.
///
/// # Errors
/// [`EntryError::Command`] where it does not decode.
pub fn next_command<'a>(rest: &mut &'a [u8], number: u32) -> Result<Command<'a>, EntryError> {
    let (command, left) = postcard::take_from_bytes(rest)
        .map_err(|error| EntryError::Command { number, reason: error.to_string() })?;
    *rest = left;
    Ok(command)
}

/// Whether a command is one of a client, and applying it cannot fail.
///
/// # Errors
/// [`EntryError`] where its identities or its request do not decode, or it is for leaders alone.
pub(super) fn check_forwarded(number: u32, command: &Command<'_>) -> Result<(), EntryError> {
    decode_identities(command.identities)?;
    match &command.op {
        Op::Request { op_code, body } | Op::Numbered { op_code, body, .. } => {
            decode_request(*op_code, body).map(drop)
        }
        Op::CreateSession { .. } | Op::AttachSession { .. } | Op::CloseSession => Ok(()),
        Op::ExpireSession { .. }
        | Op::DeleteContainer { .. }
        | Op::NameEnsemble { .. }
        | Op::SetMembers { .. }
        | Op::FinishReconfig { .. }
        | Op::RaiseVersion { .. }
        | Op::RegisterServer { .. }
        | Op::ExpireSessionIn { .. }
        | Op::DeleteContainerIn { .. }
        | Op::FinishReconfigIn { .. } => {
            let reason = "only a leader gives that order".to_owned();
            Err(EntryError::Command { number, reason })
        }
    }
}

/// Whether applying a command twice does no harm, so that it needs no number.
pub fn is_repeatable(op: &Op<'_>) -> bool {
    match op {
        Op::NameEnsemble { .. }
        | Op::SetMembers { .. }
        | Op::RaiseVersion { .. }
        | Op::RegisterServer { .. }
        | Op::ExpireSessionIn { .. }
        | Op::DeleteContainerIn { .. }
        | Op::FinishReconfigIn { .. } => true,
        Op::Request { .. }
        | Op::Numbered { .. }
        | Op::CreateSession { .. }
        | Op::AttachSession { .. }
        | Op::CloseSession
        | Op::ExpireSession { .. }
        | Op::DeleteContainer { .. }
        | Op::FinishReconfig { .. } => false,
    }
}

/// Reads a client's request out of a command.
pub(super) fn decode_request(
    op_code: i32,
    body: &[u8],
) -> Result<(OpCode, Request<'_>), EntryError> {
    let undecodable = |reason: String| EntryError::Request { op_code, reason };
    let code = OpCode::try_from(op_code).map_err(|error| undecodable(error.to_string()))?;
    let request = Request::decode(code, &mut Reader::new(body))
        .map_err(|error| undecodable(error.to_string()))?;
    Ok((code, request))
}

/// A session id is written as the number that it is.
mod session_id {
    use super::SessionId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &SessionId, to: S) -> Result<S::Ok, S::Error> {
        id.0.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SessionId, D::Error> {
        i64::deserialize(from).map(SessionId)
    }
}

/// Bytes in one piece: serde takes a slice for a sequence, and writes it number by number. In the log
/// both look the same.
mod raw_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(from)
    }
}

/// Serializes straight behind what the buffer holds.
struct Append<'a>(&'a mut BytesMut);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.put_u8(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.put_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn commands() -> Vec<Command<'static>> {
        let conn = ConnId { server: ServerId(1), boot: u64::MAX, number: 9 };
        let origin = Origin { session: SessionId(-5), conn, seq: 77 };
        vec![
            Command {
                origin,
                identities: b"who",
                op: Op::Request { op_code: 5, body: b"\0\0\0\x01/" },
            },
            Command { origin, identities: b"", op: Op::CreateSession { timeout_ms: 4000 } },
            Command { origin, identities: b"", op: Op::ExpireSession { owner: conn } },
            Command { origin, identities: b"", op: Op::DeleteContainer { path: "/c" } },
            Command {
                origin,
                identities: b"who",
                op: Op::Numbered { number: 1 << 33, answered: 7, op_code: 2, body: b"/" },
            },
        ]
    }

    #[test]
    fn a_batch_comes_back_as_it_went() {
        // Header and commands survive the log, in order.
        let policy = Policy { enforce_quota: true, ..Policy::default() };
        let header = EntryHeader { wall_time: WallTime(-3), policy, count: 5 };
        let mut buffer = BytesMut::new();
        begin_batch(&mut buffer);
        for command in commands() {
            push_command(&mut buffer, &command);
        }
        let entry = seal_batch(buffer, &header);
        let (found, mut rest) = open_entry(&entry).expect("its own encoding");
        assert_eq!(found, header);
        for (number, command) in (0..).zip(commands()) {
            assert_eq!(next_command(&mut rest, number), Ok(command));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn identities_come_back() {
        // Who asked is the same on every replica.
        let ids = vec![Id::new("ip", "::1"), Id::new("digest", "a:b=")];
        assert_eq!(decode_identities(&encode_identities(&ids)), Ok(ids));
        assert_eq!(decode_identities(b""), Ok(Vec::new()));
        assert!(decode_identities(b"\x05").is_err());
    }

    #[test]
    fn foreign_bytes_are_errors() {
        // Too short, too new and cut entries are told apart and never panic.
        assert_eq!(open_entry(b"abc"), Err(EntryError::Truncated(3)));
        assert_eq!(open_entry(&[9; 20]), Err(EntryError::Format { found: 9 }));
        let mut buffer = BytesMut::new();
        push_command(&mut buffer, &commands()[0]);
        for len in 0..buffer.len() {
            assert!(next_command(&mut &buffer[..len], 0).is_err());
        }
    }
}
