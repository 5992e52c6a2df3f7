//! One connection of a client that keeps its session alive and gives up on a silent server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    ConnectRequest, ConnectResponse, Encode, OpCode, Reader, ReplyHeader, RequestHeader, SessionId,
    Xid, Zxid, next_frame,
};

use super::world::World;
use crate::raw::{self, Reply, SessionKey};

/// How long a server may take to accept and to answer the handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_millis(2_500);

/// How often a waiting client looks at the clock.
const GLANCE: Duration = Duration::from_millis(50);

/// The longest frame that is read, in bytes.
const FRAME_MAX: usize = 64 << 20;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server says that the session is gone.
    Expired,
    /// The server cannot be reached, does not answer, or closed the connection.
    Lost,
}

/// What the handshake agreed on.
#[derive(Debug)]
pub(super) struct Welcome {
    pub(super) key: SessionKey,
    pub(super) timeout: Duration,
}

/// An open connection with a session.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    world: Arc<World>,
    /// The session timeout.
    timeout: Duration,
    /// When the last bytes came.
    heard: Duration,
    /// When a ping was sent that is not yet answered.
    pinged: Option<Duration>,
    /// When the last ping that was answered was sent.
    pub(super) ping_proof: Duration,
}

impl Connection {
    /// Connects and resumes the session `key`, or asks for a new one.
    pub(super) fn open(
        addr: SocketAddr,
        key: Option<&SessionKey>,
        last_zxid_seen: Zxid,
        timeout: Duration,
        world: &Arc<World>,
    ) -> Result<(Self, Welcome), Refusal> {
        let mut stream = raw::open(addr).map_err(|_| Refusal::Lost)?;
        let _ = stream.set_read_timeout(Some(HANDSHAKE_PATIENCE));
        let _ = stream.set_write_timeout(Some(HANDSHAKE_PATIENCE));
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            session_id: key.map_or(SessionId(0), |key| key.id),
            password: key.map_or(&[0; 16], |key| &key.password),
            read_only: Some(false),
        };
        stream.write_all(&raw::frame(|out| request.encode(out))).map_err(|_| Refusal::Lost)?;
        let body = raw::read_frame(&mut stream).map_err(|_| Refusal::Lost)?;
        let response: ConnectResponse<'_> =
            Reader::new(&body).record().map_err(|_| Refusal::Lost)?;
        let timeout = match u64::try_from(response.timeout_ms) {
            Ok(0) | Err(_) => return Err(Refusal::Expired),
            Ok(millis) => Duration::from_millis(millis),
        };
        let key = SessionKey { id: response.session_id, password: response.password.to_owned() };
        let _ = stream.set_read_timeout(Some(GLANCE));
        let heard = world.now();
        let connection = Self {
            stream,
            input: BytesMut::new(),
            world: Arc::clone(world),
            timeout,
            heard,
            pinged: None,
            ping_proof: Duration::ZERO,
        };
        Ok((connection, Welcome { key, timeout }))
    }

    /// Sends whole frames.
    pub(super) fn send(&mut self, frames: &[u8]) -> Result<(), Refusal> {
        self.stream.write_all(frames).map_err(|_| Refusal::Lost)
    }

    /// Waits for the next packet that is no answer to a ping. Pings after a third of the session
    /// timeout, and gives up after two thirds without a byte, as ZooKeeper's clients do.
    pub(super) fn packet(&mut self) -> Result<Reply, Refusal> {
        loop {
            while let Some(frame) = self.frame()? {
                let reply = parse(&frame)?;
                if reply.header.xid == Xid::PING {
                    self.ping_proof = self.pinged.take().unwrap_or(self.ping_proof);
                } else {
                    return Ok(reply);
                }
            }
            self.read_some()?;
        }
    }

    /// Reads what has come without waiting long; pings when it is time.
    fn read_some(&mut self) -> Result<(), Refusal> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(Refusal::Lost),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                self.heard = self.world.now();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Err(Refusal::Lost),
        }
        let now = self.world.now();
        let silence = now.saturating_sub(self.heard);
        if silence > self.timeout * 2 / 3 || self.world.abandoned() {
            return Err(Refusal::Lost);
        }
        if self.pinged.is_none() && silence > self.timeout / 3 {
            self.pinged = Some(now);
            let ping = RequestHeader { xid: Xid::PING, op: OpCode::Ping.into() };
            self.send(&raw::frame(|out| ping.encode(out)))?;
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<Option<Bytes>, Refusal> {
        next_frame(&mut self.input, FRAME_MAX).map_err(|_| Refusal::Lost)
    }
}

fn parse(frame: &Bytes) -> Result<Reply, Refusal> {
    let mut reader = Reader::new(frame);
    let header: ReplyHeader = reader.record().map_err(|_| Refusal::Lost)?;
    let start = reader.position();
    Ok(Reply { header, body: frame.slice(start..) })
}
