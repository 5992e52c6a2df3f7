//! A connection to a server, whatever it runs over.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dial::Host;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// How connections are secured: not at all, or with TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    /// TLS, where it is wanted.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

/// The stream that carries the bytes.
pub(super) enum Stream {
    /// TCP, readable to all.
    Plain(TcpStream),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Security {
    /// Makes a connection to `host` a secure one, if that is wanted.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_async, reason = "only a handshake takes time")
    )]
    pub(super) async fn secure(&self, stream: TcpStream, host: &Host) -> io::Result<Stream> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let shaken = tls.shake_hands(stream, &host.name).await;
            return shaken.map(|stream| Stream::Tls(Box::new(stream))).inspect_err(|error| {
                // It will not get better by trying again, so an operator should find it in the log.
                tracing::warn!("TLS with {}: {error}", host.name);
            });
        }
        let _ = host;
        Ok(Stream::Plain(stream))
    }
}

impl Stream {
    /// Writes what there is to write, and returns after the first read. Nothing is lost when it is
    /// dropped half-way: all progress is in the buffers.
    pub(super) async fn exchange(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => {
                let (mut reader, mut writer) = stream.split();
                while !output.is_empty() {
                    tokio::select! {
                        biased;
                        written = writer.write_buf(output) => not_nothing(written?)?,
                        read = reader.read_buf(input) => return read,
                    }
                }
                reader.read_buf(input).await
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (mut reader, mut writer) = tokio::io::split(&mut **stream);
                while !output.is_empty() {
                    tokio::select! {
                        biased;
                        written = writer.write_buf(output) => not_nothing(written?)?,
                        read = reader.read_buf(input) => return read,
                    }
                }
                // TLS may not have sent all that it has encrypted.
                tokio::select! {
                    biased;
                    flushed = writer.flush() => flushed?,
                    read = reader.read_buf(input) => return read,
                }
                reader.read_buf(input).await
            }
        }
    }

    /// Writes as much as the connection takes at once. What is wrong with it comes up again with
    /// the next [`exchange`](Self::exchange).
    pub(super) async fn send_some(&mut self, output: &mut BytesMut) {
        poll_fn(|cx| {
            while !output.is_empty() {
                let written = match self {
                    Self::Plain(stream) => Pin::new(stream).poll_write(cx, output),
                    #[cfg(feature = "tls")]
                    Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, output),
                };
                match written {
                    Poll::Ready(Ok(len)) if len > 0 => output.advance(len),
                    Poll::Ready(_) | Poll::Pending => break,
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Asks with a few bytes, and reads the answer up to its end or to `max` bytes.
    pub(super) async fn ask(&mut self, question: &[u8], max: u64) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        match self {
            Self::Plain(stream) => {
                stream.write_all(question).await?;
                stream.take(max).read_to_end(&mut answer).await?;
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.write_all(question).await?;
                stream.flush().await?;
                stream.take(max).read_to_end(&mut answer).await?;
            }
        }
        Ok(answer)
    }
}

fn not_nothing(written: usize) -> io::Result<()> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
}
