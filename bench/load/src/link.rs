//! One connection: the handshake, and frames out and in.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, OpCode, Reader, ReplyHeader, SessionId, Xid, Zxid,
    begin_frame, end_frame, frame_len,
};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use super::error::BenchError;
use super::scripts::frame;

/// Session timeout that is asked for; a run never leaves a measured connection idle that long.
const SESSION_TIMEOUT_MS: i32 = 30_000;
/// The largest reply that is read, in bytes: listings may be long.
const FRAME_LEN_MAX: usize = 256 * 1024 * 1024;
/// Room for one read, in bytes.
const READ_CHUNK: usize = 64 * 1024;
/// Bytes of a frame's length.
const PREFIX_LEN: usize = 4;

/// A connection with a session.
#[derive(Debug)]
pub(super) struct Link {
    /// The server.
    pub(super) addr: SocketAddr,
    stream: TcpStream,
    /// Bytes read and not yet looked at.
    input: BytesMut,
    /// Bytes to be sent.
    out: BytesMut,
    /// Xid of the next request.
    next_xid: i32,
    /// Xid of the oldest request without a reply.
    due_xid: i32,
}

/// One packet from the server.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    /// The reply to the oldest request.
    Reply(ReplyHeader, &'a [u8]),
    /// A watch event.
    Event(&'a [u8]),
}

impl Link {
    /// Connects and opens a session.
    pub(super) async fn open(addr: SocketAddr) -> Result<Self, BenchError> {
        let connect = |source| BenchError::Connect { addr, source };
        let stream = TcpStream::connect(addr).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let (input, out) = (BytesMut::with_capacity(READ_CHUNK), BytesMut::new());
        let mut link = Self { addr, stream, input, out, next_xid: 1, due_xid: 1 };
        link.handshake().await?;
        Ok(link)
    }

    async fn handshake(&mut self) -> Result<(), BenchError> {
        let frame = begin_frame(&mut self.out);
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout_ms: SESSION_TIMEOUT_MS,
            session_id: SessionId(0),
            password: &[0; 16],
            read_only: Some(false),
        }
        .encode(&mut self.out);
        end_frame(&mut self.out, frame);
        let addr = self.addr;
        let len = loop {
            self.pump().await?;
            if let Some(len) = self.whole_frame()? {
                break len;
            }
        };
        let mut reader = Reader::new(&self.input[PREFIX_LEN..PREFIX_LEN + len]);
        let response: ConnectResponse<'_> =
            reader.record().map_err(|source| BenchError::Reply { addr, source })?;
        if response.timeout_ms <= 0 || response.session_id == SessionId(0) {
            return Err(BenchError::NoSession { addr });
        }
        self.input.advance(PREFIX_LEN + len);
        Ok(())
    }

    /// Writes a request to `out` with the next xid; false if `write` had none to write.
    pub(super) fn request(&mut self, write: impl FnOnce(Xid, &mut BytesMut) -> bool) -> bool {
        let written = write(Xid(self.next_xid), &mut self.out);
        if written {
            self.next_xid = following(self.next_xid);
        }
        written
    }

    /// Sends what is in `out` as far as the socket takes it, and waits until bytes have come.
    pub(super) async fn pump(&mut self) -> Result<(), BenchError> {
        let Self { addr, stream, input, out, .. } = self;
        let addr = *addr;
        input.reserve(READ_CHUNK);
        let read = poll_fn(|cx| {
            while !out.is_empty() {
                match Pin::new(&mut *stream).poll_write(cx, out) {
                    Poll::Ready(Ok(written)) => out.advance(written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            poll_read_buf(Pin::new(&mut *stream), cx, input)
        });
        match read.await {
            Ok(0) => Err(BenchError::Closed { addr }),
            Ok(_) => Ok(()),
            Err(source) => Err(BenchError::Io { addr, source }),
        }
    }

    /// Looks at the next whole packet that has come, if there is one, and passes it to `look`.
    pub(super) fn next_packet<T>(
        &mut self,
        look: impl FnOnce(Packet<'_>) -> T,
    ) -> Result<Option<T>, BenchError> {
        let Some(len) = self.whole_frame()? else { return Ok(None) };
        let addr = self.addr;
        let mut reader = Reader::new(&self.input[PREFIX_LEN..PREFIX_LEN + len]);
        let header: ReplyHeader =
            reader.record().map_err(|source| BenchError::Reply { addr, source })?;
        let looked = if header.xid == Xid::NOTIFICATION {
            look(Packet::Event(reader.rest()))
        } else {
            let expected = Xid(self.due_xid);
            if header.xid != expected || self.due_xid == self.next_xid {
                return Err(BenchError::OutOfOrder { addr, expected, found: header.xid });
            }
            self.due_xid = following(self.due_xid);
            look(Packet::Reply(header, reader.rest()))
        };
        self.input.advance(PREFIX_LEN + len);
        Ok(Some(looked))
    }

    fn whole_frame(&self) -> Result<Option<usize>, BenchError> {
        frame_len(&self.input, FRAME_LEN_MAX)
            .map_err(|source| BenchError::Frame { addr: self.addr, source })
    }

    /// Closes the session and waits for the server to close the connection.
    ///
    /// No request may be in flight.
    pub(super) async fn close(mut self) -> Result<(), BenchError> {
        self.request(|xid, out| {
            frame(out, xid, OpCode::CloseSession, |_| ());
            true
        });
        let mut answered = false;
        loop {
            match self.pump().await {
                Ok(()) => {}
                // Some servers reset instead of closing; the session is closed either way.
                Err(BenchError::Closed { .. } | BenchError::Io { .. }) if answered => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(is_reply) = self.next_packet(|p| matches!(p, Packet::Reply(..)))? {
                answered |= is_reply;
            }
        }
    }
}

/// Xids are positive and wrap around.
fn following(xid: i32) -> i32 {
    xid.checked_add(1).unwrap_or(1)
}
