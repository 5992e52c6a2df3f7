//! A connection to a peer, whatever it runs over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::env::net::TcpStream;
use crate::tls::Transport;

/// After so much silence the system asks whether the other side is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// Bytes both ways.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection to a peer, behind the handshake.
///
/// Split it with [`tokio::io::split`]. Flush what was written: TLS may keep it back otherwise.
#[derive(Debug)]
pub(crate) struct PeerStream {
    transport: Transport,
    version: u16,
}

/// Prepares a socket: latency matters more than the number of packets, and a server that is gone
/// without a word is to be noticed where nothing is written.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl PeerStream {
    pub(super) fn new(transport: Transport, version: u16) -> Self {
        Self { transport, version }
    }

    /// The version that both sides agreed on.
    pub(crate) fn version(&self) -> u16 {
        self.version
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}
