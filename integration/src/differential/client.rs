//! A connection that sends any bytes and reads whole frames.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::next_frame;

/// No answer of a server is longer.
const FRAME_LEN_MAX: usize = 64 << 20;

/// How long an answer may take before it counts as silence.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole frame, without its length.
    Frame(Bytes),
    /// The server closed the connection.
    Closed,
    /// Nothing within the patience of a test.
    Silence,
}

/// A connection to a server.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    input: BytesMut,
}

impl RawConnection {
    /// Connects, without sending anything.
    ///
    /// # Errors
    /// Where the server does not accept.
    pub fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: BytesMut::new() })
    }

    /// Sends bytes as they are. A server that has closed the connection shows when it is read from.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Ends the sending side.
    pub fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits for a frame.
    pub fn receive(&mut self) -> Received {
        loop {
            if let Ok(Some(frame)) = next_frame(&mut self.input, FRAME_LEN_MAX) {
                return Received::Frame(frame);
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Received::Closed,
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Received::Silence;
                }
                Err(_) => return Received::Closed,
            }
        }
    }
}
