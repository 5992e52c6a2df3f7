//! TLS with clients: the handshake, and whom the certificate of a client names.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;

use crate::env::net::TcpStream;
use crate::env::time::timeout;
use crate::tls::{ClientTlsOptions, TlsContext, TlsError, Transport, subject};

/// The first byte of TLS. A request begins with its length, which never begins so: it would be longer
/// than any limit.
const TLS_FIRST_BYTE: u8 = 0x16;

/// Accepts clients with TLS.
#[derive(Debug)]
pub(super) struct Secure {
    options: ClientTlsOptions,
    context: TlsContext,
}

/// A client that may go on.
#[derive(Debug)]
pub(super) struct AcceptedStream {
    pub(super) stream: Transport,
    /// Whether its bytes are encrypted.
    pub(super) is_secure: bool,
    /// Whom its certificate names, if it showed one.
    pub(super) subject: Option<String>,
}

impl AcceptedStream {
    /// A client without TLS.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Transport::Plain(stream), is_secure: false, subject: None }
    }
}

impl Secure {
    /// Reads keys and certificates.
    pub(super) fn load(options: &ClientTlsOptions) -> Result<Self, TlsError> {
        let context = TlsContext::load(options.tls.clone())?;
        Ok(Self { options: options.clone(), context })
    }

    /// Shakes hands. Where `also_plain`, a client that does not talk TLS is welcome too.
    ///
    /// # Errors
    /// `UnexpectedEof` where the client has left; `InvalidData` and others say what it did wrong.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        also_plain: bool,
    ) -> io::Result<AcceptedStream> {
        let mut first = [0];
        if self.in_time(stream.peek(&mut first)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] != TLS_FIRST_BYTE {
            if also_plain {
                return Ok(AcceptedStream::plain(stream));
            }
            return Err(invalid("it does not talk TLS, which this port is for"));
        }
        let stream = self.in_time(self.context.acceptor().accept(stream)).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let subject = shown.map(|certificate| self.subject_of(certificate, peer)).transpose()?;
        Ok(AcceptedStream {
            stream: Transport::Tls(Box::new(stream.into())),
            is_secure: true,
            subject,
        })
    }

    async fn in_time<T>(&self, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let patience = Duration::from_millis(self.options.handshake_timeout_ms);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it did not shake hands in time");
        timeout(patience, step).await.unwrap_or_else(|_| Err(late()))
    }

    /// Whom a certificate names that an authority stands for.
    fn subject_of(&self, certificate: &CertificateDer<'_>, peer: SocketAddr) -> io::Result<String> {
        if self.options.verify_client_host {
            let parsed = ParsedCertificate::try_from(certificate);
            let parsed = parsed.map_err(|_| invalid("its certificate cannot be read"))?;
            let address = peer.ip().to_canonical();
            if verify_server_name(&parsed, &ServerName::from(address)).is_err() {
                return Err(invalid("its certificate is not made out to its address"));
            }
        }
        subject(certificate).ok_or_else(|| invalid("its certificate names nobody"))
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
