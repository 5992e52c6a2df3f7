//! TLS: whom to trust, and as whom to appear.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::error::Error;

/// TLS with servers, see [`Connector::tls`](crate::Connector::tls). Keys and certificates are PEM,
/// as in the servers' files.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use grovekeeper_client::{Client, Tls};
///
/// let tls = Tls::trusting(&std::fs::read("ca.pem")?)?.identity(&std::fs::read("me.pem")?)?;
/// let client = Client::builder().tls(tls).connect("zk1:2281,zk2:2281,zk3:2281").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tls {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<CertifiedKey>>,
    verify_host: bool,
    config: Arc<ClientConfig>,
}

type CertifiedKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    /// Trusts servers whose certificates come from the authorities in `pem`, and are made out to
    /// the host that the connect string names.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTls`] where `pem` holds no certificates that can be used.
    pub fn trusting(pem: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(invalid("an authority cannot be used"))?;
        }
        let roots = Arc::new(roots);
        let config = configure(&roots, None, true)?;
        Ok(Self { roots, identity: None, verify_host: true, config })
    }

    /// Shows a certificate to servers: `pem` holds it, those above it up to an authority that the
    /// servers trust, and its private key. Servers know the client by the subject of the
    /// certificate, in the scheme `x509`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTls`] where they are not there or do not fit together.
    pub fn identity(mut self, pem: &[u8]) -> Result<Self, Error> {
        let chain = certificates(pem)?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(invalid("there is no private key without a password"))?;
        self.identity = Some(Arc::new((chain, key)));
        self.config = configure(&self.roots, self.identity.as_deref(), self.verify_host)?;
        Ok(self)
    }

    /// Takes any host for the right one as long as its certificate comes from a trusted authority.
    /// The owner of such a certificate can then take the place of a server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTls`].
    pub fn without_host_verification(mut self) -> Result<Self, Error> {
        self.verify_host = false;
        self.config = configure(&self.roots, self.identity.as_deref(), false)?;
        Ok(self)
    }

    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "no certificate can be made out to the host",
            )
        })?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.roots.len())
            .field("has_identity", &self.identity.is_some())
            .field("verify_host", &self.verify_host)
            .finish_non_exhaustive()
    }
}

fn invalid<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::InvalidTls { why: format!("{what}: {error}") }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(invalid("it is no PEM"))?;
    if found.is_empty() {
        return Err(Error::InvalidTls { why: "there is no `BEGIN CERTIFICATE`".to_owned() });
    }
    Ok(found)
}

fn configure(
    roots: &Arc<RootCertStore>,
    identity: Option<&CertifiedKey>,
    verify_host: bool,
) -> Result<Arc<ClientConfig>, Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .build()
            .map_err(invalid("the authorities cannot be used"))?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if verify_host { verifier } else { Arc::new(AnyHost(verifier)) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(invalid("no version of TLS can be talked"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match identity {
        Some((chain, key)) => config
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(invalid("the key and the certificates do not fit together"))?,
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Takes certificates of trusted authorities whatever host they are made out to.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        // The name is looked at last: everything else was found right then.
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_at_once() {
        // Files without a certificate, or with something else in its place, are told before anybody
        // connects.
        for (pem, why) in [
            ("", "there is no `BEGIN CERTIFICATE`"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "no PEM"),
        ] {
            match Tls::trusting(pem.as_bytes()) {
                Err(Error::InvalidTls { why: said }) => assert!(said.contains(why), "{said}"),
                other => panic!("{pem}: {other:?}"),
            }
        }
    }
}
