//! The handshake, the only packets without a header.

use bytes::{BufMut, BytesMut};

use crate::codec::{Decode, Encode, Reader, put_buffer};
use crate::error::DecodeError;
use crate::ids::{SessionId, Zxid};

/// A client's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// Zero from ZooKeeper clients.
    pub protocol_version: i32,
    /// The newest transaction the client has seen; a server behind it must not serve the client.
    pub last_zxid_seen: Zxid,
    /// The session timeout asked for, in milliseconds.
    pub timeout_ms: i32,
    /// The session to resume; zero asks for a new one.
    pub session_id: SessionId,
    /// The password of the session to resume, 16 bytes from a client that behaves; null is read as empty.
    pub password: &'a [u8],
    /// Whether a read-only server will do; `None` from clients of 3.3 and older, which leave the byte out and
    /// expect it to be left out of the response too.
    pub read_only: Option<bool>,
}

/// A server's answer to [`ConnectRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectResponse<'a> {
    /// Zero from ZooKeeper servers.
    pub protocol_version: i32,
    /// The session timeout granted, in milliseconds; zero tells the client that its session is gone.
    pub timeout_ms: i32,
    /// The session; zero where it is gone.
    pub session_id: SessionId,
    /// The session's password, 16 bytes, zeroes where the session is gone.
    pub password: &'a [u8],
    /// Whether the server is in read-only mode; `None` leaves the byte out, for clients that did so.
    pub read_only: Option<bool>,
}

impl<'a> Decode<'a> for ConnectRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: r.i32()?,
            last_zxid_seen: r.record()?,
            timeout_ms: r.i32()?,
            session_id: r.record()?,
            password: r.buffer()?.unwrap_or_default(),
            read_only: read_only(r)?,
        })
    }
}

impl Encode for ConnectRequest<'_> {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.protocol_version);
        self.last_zxid_seen.encode(out);
        out.put_i32(self.timeout_ms);
        self.session_id.encode(out);
        put_buffer(out, Some(self.password));
        put_read_only(out, self.read_only);
    }
}

impl<'a> Decode<'a> for ConnectResponse<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: r.i32()?,
            timeout_ms: r.i32()?,
            session_id: r.record()?,
            password: r.buffer()?.unwrap_or_default(),
            read_only: read_only(r)?,
        })
    }
}

impl Encode for ConnectResponse<'_> {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.protocol_version);
        out.put_i32(self.timeout_ms);
        self.session_id.encode(out);
        put_buffer(out, Some(self.password));
        put_read_only(out, self.read_only);
    }
}

fn read_only(r: &mut Reader<'_>) -> Result<Option<bool>, DecodeError> {
    if r.is_empty() { Ok(None) } else { r.bool().map(Some) }
}

fn put_read_only(out: &mut BytesMut, read_only: Option<bool>) {
    if let Some(read_only) = read_only {
        read_only.encode(out);
    }
}
