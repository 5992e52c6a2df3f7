//! The proof by which a peer is believed to be a server of the ensemble: none, or a certificate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;

use crate::env::net::TcpStream;
use crate::tls::{PeerTlsOptions, TlsContext, TlsError, Transport};

/// How long a greeting may take where the configuration does not say.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first byte of TLS: a handshake record. A hello begins with another one.
const TLS_FIRST_BYTE: u8 = 0x16;

/// Opens and accepts connections, with TLS or without. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    tls: Option<Arc<(PeerTlsOptions, TlsContext)>>,
}

/// A connection that was accepted, before its greeting.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) transport: Transport,
    /// Why it is not heard, which it is to be told.
    pub(super) refusal: Option<&'static str>,
    /// What shows who it is.
    pub(super) proof: Proof,
}

/// What a connecting server showed of itself.
#[derive(Debug)]
pub(crate) enum Proof {
    /// Nothing was asked for.
    Unasked,
    /// TLS without a certificate.
    Nothing,
    /// A certificate that is valid.
    Certificate(CertificateDer<'static>),
}

impl Security {
    /// Reads keys and certificates; no options are no TLS.
    ///
    /// # Errors
    ///
    /// As [`TlsContext::load`].
    pub(crate) fn load(options: Option<PeerTlsOptions>) -> Result<Self, TlsError> {
        let Some(options) = options else { return Ok(Self::default()) };
        let context = TlsContext::load(options.tls.clone())?;
        Ok(Self { tls: Some(Arc::new((options, context))) })
    }

    /// How long a connecting server may take to greet.
    pub(super) fn handshake_timeout(&self) -> Duration {
        let tls = self.tls.as_deref();
        tls.map_or(HANDSHAKE_TIMEOUT, |(options, _)| {
            Duration::from_millis(options.handshake_timeout_ms)
        })
    }

    /// Opens a connection to `address`, host and port.
    pub(super) async fn open(&self, stream: TcpStream, address: &str) -> io::Result<Transport> {
        let Some((_, context)) = self.tls.as_deref().filter(|(options, _)| options.dial) else {
            return Ok(Transport::Plain(stream));
        };
        let name = name(address)?;
        let connector = context.connector().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no authority of servers is trusted")
        })?;
        let stream = connector.connect(name, stream).await?;
        Ok(Transport::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// Accepts a connection. The first byte tells whether it is TLS.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the other side has nothing to say; those of the handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_tls = first[0] == TLS_FIRST_BYTE;
        let plain = |stream, refusal| {
            let transport = Transport::Plain(stream);
            Ok(Accepted { transport, refusal, proof: Proof::Unasked })
        };
        match self.tls.as_deref() {
            None if is_tls => {
                let what = "it talks TLS, this server does not: check `sslQuorum`";
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
            None => plain(stream, None),
            Some((options, _)) if !is_tls => {
                let refusal = "only TLS is talked here: check `sslQuorum`";
                plain(stream, (!options.accept_plain).then_some(refusal))
            }
            Some((_, context)) => {
                let stream = context.acceptor().accept(stream).await?;
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(|shown| Proof::Certificate(shown.clone()));
                let proof = certificate.unwrap_or(Proof::Nothing);
                let transport = Transport::Tls(Box::new(TlsStream::Server(stream)));
                Ok(Accepted { transport, refusal: None, proof })
            }
        }
    }

    /// Why a server is not believed to be the one that it says, if that is to be checked: its certificate
    /// must be made out to one of the hosts where that one is `known` to be. Of one that is known nowhere only
    /// the certificate's authority counts.
    pub(super) fn doubt(&self, proof: &Proof, known: &[String]) -> Option<String> {
        self.tls.as_deref().filter(|(options, _)| options.verify_client_host)?;
        let certificate = match proof {
            // `clientAuth` says whether one is demanded.
            Proof::Unasked | Proof::Nothing => return None,
            Proof::Certificate(certificate) => certificate,
        };
        let Ok(certificate) = ParsedCertificate::try_from(certificate) else {
            return Some("its certificate cannot be read".to_owned());
        };
        let mut names = known.iter().filter_map(|address| name(address).ok());
        if known.is_empty() || names.any(|name| verify_server_name(&certificate, &name).is_ok()) {
            return None;
        }
        let known = known.join(" or ");
        Some(format!("its certificate is not made out to {known}, where that server is known"))
    }
}

/// The host of an address, as certificates name it.
fn name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| {
        let what = format!("no certificate can be made out to \"{bare}\"");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}
