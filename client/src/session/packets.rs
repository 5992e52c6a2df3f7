//! Packets to a server and from it, where the session's parts have them in common.

use bytes::{Buf, BufMut, BytesMut};
use jute_proto::{
    ConnectRequest, ConnectResponse, DecodeError, Encode, Extensions, LeaderHint, OpCode, Reader,
    RequestHeader, WriteNumber, Xid, begin_frame, end_frame,
};
use thiserror::Error;

use super::grants::Grants;

/// Why a packet of the server ends the connection.
#[derive(Debug, Error)]
pub(super) enum ProtocolError {
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("answer {0} to a request that is not the next")]
    OutOfOrder(Xid),
}

/// The length prefix of a frame.
const PREFIX_LEN: usize = 4;

/// Cuts a frame that is known to be whole off the front of `input`, and returns what it holds:
/// `len` bytes.
pub(super) fn take_frame(input: &mut BytesMut, len: usize) -> BytesMut {
    input.advance(PREFIX_LEN);
    input.split_to(len)
}

/// Appends a packet.
pub(super) fn put_packet(out: &mut BytesMut, xid: Xid, op: OpCode, body: &[u8]) {
    put_request(out, (xid, op), None, body);
}

/// Appends a packet that may be a numbered write.
pub(super) fn put_request(
    out: &mut BytesMut,
    (xid, op): (Xid, OpCode),
    number: Option<WriteNumber>,
    body: &[u8],
) {
    let frame = begin_frame(out);
    RequestHeader { xid, op: op.into() }.encode(out);
    if let Some(number) = number {
        number.encode(out);
    }
    out.put_slice(body);
    end_frame(out, frame);
}

/// Appends the handshake, which has no header.
pub(super) fn put_connect_request(out: &mut BytesMut, request: &ConnectRequest<'_>) {
    let frame = begin_frame(out);
    request.encode(out);
    end_frame(out, frame);
}

/// The answer to the handshake.
pub(super) struct ConnectReply<'a> {
    pub(super) response: ConnectResponse<'a>,
    pub(super) grants: Grants,
    hint: Option<LeaderHint<'a>>,
    /// The highest number of a write that was applied in the session, where the server keeps
    /// replies.
    pub(super) applied: Option<u64>,
}

impl<'a> ConnectReply<'a> {
    /// Reads the answer and what extensions add behind it.
    pub(super) fn decode(frame: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(frame);
        let response: ConnectResponse<'_> = reader.record()?;
        let granted = Extensions::of_protocol_version(response.protocol_version);
        let granted = granted.unwrap_or(Extensions::NONE);
        let told = granted.contains(Extensions::TELL_LEADER) && !reader.is_empty();
        let hint = if told { Some(reader.record()?) } else { None };
        let keeps = granted.contains(Extensions::EXACTLY_ONCE) && !reader.is_empty();
        let applied = if keeps { Some(reader.i64()? as u64) } else { None };
        let grants = Grants::new(granted, hint == Some(LeaderHint::Here), applied.is_some());
        Ok(Self { response, grants, hint, applied })
    }

    /// Whether the session was refused only because another server leads. The session is not lost
    /// then.
    pub(super) fn is_misplaced(&self) -> bool {
        let refused = self.response.timeout_ms <= 0;
        refused && self.hint.as_ref().is_some_and(|hint| *hint != LeaderHint::Here)
    }

    /// The `host:port` of the leader, where the server knows it.
    pub(super) fn leader(&self) -> Option<String> {
        match &self.hint {
            Some(LeaderHint::At(address)) => Some(address.to_string()),
            Some(LeaderHint::Here | LeaderHint::Election | LeaderHint::Elsewhere) | None => None,
        }
    }
}
