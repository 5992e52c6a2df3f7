//! A connection with or without TLS, of clients and of peers.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::env::net::TcpStream;
use crate::env::net::{OwnedReadHalf, OwnedWriteHalf};

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP, readable to all.
    Plain(TcpStream),
    /// The same, where others write too.
    Shared(OwnedReadHalf, Arc<OwnedWriteHalf>),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Lets others write to it, where what is written goes out as it is; once.
    pub(crate) fn share(self) -> (Self, Option<Arc<OwnedWriteHalf>>) {
        match self {
            Self::Plain(stream) => {
                let (input, output) = stream.into_split();
                let output = Arc::new(output);
                (Self::Shared(input, Arc::clone(&output)), Some(output))
            }
            Self::Shared(..) | Self::Tls(_) => (self, None),
        }
    }

    /// Whether what was written may be held back until it is flushed.
    pub(crate) fn wants_flush(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Shared(stream, _) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Shared(_, stream) => poll_write(stream, cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            // Nothing is held back.
            Self::Shared(..) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Shared(_, stream) => {
                Poll::Ready(SockRef::from(stream.as_ref().as_ref()).shutdown(Shutdown::Write))
            }
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn poll_write(
    stream: &OwnedWriteHalf,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let stream: &TcpStream = stream.as_ref();
    loop {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(stream.poll_write_ready(cx))?;
            }
            written => return Poll::Ready(written),
        }
    }
}
