//! The files read: ready to open and to accept connections.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::error::TlsError;
use super::options::{ClientAuth, TlsOptions, TlsVersion};
use crate::env::fs;
use crate::env::time::SystemTime;

/// Keys and certificates in use. Reads its files again when they change, if that is wanted.
pub struct TlsContext {
    options: TlsOptions,
    current: Mutex<Loaded>,
}

/// What the files held when they were read.
struct Loaded {
    seen: [Option<Stamp>; 2],
    /// Absent where no authority is trusted.
    connector: Option<TlsConnector>,
    acceptor: TlsAcceptor,
}

/// Tells versions of a file apart.
type Stamp = (SystemTime, u64);

impl TlsContext {
    /// Reads keys and certificates.
    ///
    /// # Errors
    ///
    /// [`TlsError`]: they cannot be read, do not fit together, or the settings leave nothing to
    /// talk.
    pub fn load(options: TlsOptions) -> Result<Self, TlsError> {
        let current = Mutex::new(load(&options)?);
        Ok(Self { options, current })
    }

    /// Opens connections, for the next one to be opened; `None` without a trust store.
    pub fn connector(&self) -> Option<TlsConnector> {
        self.refresh();
        self.current.lock().connector.clone()
    }

    /// Accepts connections, for the next one to be accepted.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.refresh();
        self.current.lock().acceptor.clone()
    }

    /// Reads changed files; while they cannot be used, what was read before stays in use.
    fn refresh(&self) {
        if !self.options.reload {
            return;
        }
        let mut current = self.current.lock();
        let seen = stamps(&self.options);
        if seen == current.seen {
            return;
        }
        match load(&self.options) {
            Ok(loaded) => {
                *current = loaded;
                tracing::info!("changed keys and certificates are in use");
            }
            Err(error) => {
                // Said once for each change.
                current.seen = seen;
                tracing::warn!("changed keys or certificates are not used: {error}");
            }
        }
    }
}

impl std::fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsContext").field("options", &self.options).finish_non_exhaustive()
    }
}

fn stamps(options: &TlsOptions) -> [Option<Stamp>; 2] {
    [Some(&options.key_store), options.trust_store.as_ref()].map(|path| {
        let metadata = fs::metadata(path?).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn load(options: &TlsOptions) -> Result<Loaded, TlsError> {
    // Before the files are read: a change in between is then found later.
    let seen = stamps(options);
    let (chain, key) = key_store(&options.key_store)?;
    let roots = options.trust_store.as_deref().map(Roots::read).transpose()?;
    let provider = Arc::new(provider(options)?);
    let versions = versions(options);
    let of_key = |error: Error| TlsError::File {
        path: options.key_store.clone(),
        problem: format!("its key and its certificates cannot be used: {error}"),
    };
    let settings = |error: Error| TlsError::Settings {
        problem: format!("the versions and cipher suites leave nothing to talk: {error}"),
    };
    let client = match &roots {
        None => None,
        Some(roots) => Some(
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&versions)
                .map_err(settings)?
                .dangerous()
                .with_custom_certificate_verifier(server_verifier(options, roots, &provider)?)
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(of_key)?,
        ),
    };
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(settings)?
        .with_client_cert_verifier(client_verifier(options, roots.as_ref(), provider)?)
        .with_single_cert(chain, key)
        .map_err(of_key)?;
    let connector = client.map(|client| Arc::new(client).into());
    let acceptor = Arc::new(server).into();
    Ok(Loaded { seen, connector, acceptor })
}

type Verifier = Arc<dyn ServerCertVerifier>;

fn server_verifier(
    options: &TlsOptions,
    roots: &Roots<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, TlsError> {
    let trusted = Arc::clone(&roots.trusted);
    let builder = WebPkiServerVerifier::builder_with_provider(trusted, Arc::clone(provider));
    let verifier = builder.build().map_err(|error| unusable(roots.path, &error))?;
    Ok(if options.verify_host { verifier } else { Arc::new(AnyHost(verifier)) })
}

fn client_verifier(
    options: &TlsOptions,
    roots: Option<&Roots<'_>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if options.client_auth == ClientAuth::None {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let Some(Roots { trusted, path }) = roots else {
        let problem = "certificates are asked for, but no authority is trusted".to_owned();
        return Err(TlsError::Settings { problem });
    };
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(trusted), provider);
    if options.client_auth == ClientAuth::Want {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    let problem = format!("its certificates cannot be used: {error}");
    TlsError::File { path: path.to_owned(), problem }
}

fn versions(options: &TlsOptions) -> Vec<&'static SupportedProtocolVersion> {
    let of = |version: &TlsVersion| match version {
        TlsVersion::V1_2 => &version::TLS12,
        TlsVersion::V1_3 => &version::TLS13,
    };
    options.versions.iter().map(of).collect()
}

/// The cryptography, cut down to the cipher suites that are allowed.
fn provider(options: &TlsOptions) -> Result<CryptoProvider, TlsError> {
    let mut provider = ring::default_provider();
    if options.cipher_suites.is_empty() {
        return Ok(provider);
    }
    // rustls puts the version into the names of the suites of TLS 1.3, IANA does not.
    let name = |suite| format!("{suite:?}").replacen("TLS13_", "TLS_", 1);
    let all: Vec<String> = provider.cipher_suites.iter().map(|s| name(s.suite())).collect();
    provider.cipher_suites.retain(|suite| options.cipher_suites.contains(&name(suite.suite())));
    if provider.cipher_suites.is_empty() {
        let problem = format!("none of the cipher suites is known here: {}", all.join(", "));
        return Err(TlsError::Settings { problem });
    }
    Ok(provider)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let problem = |problem: String| TlsError::File { path: path.to_owned(), problem };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| problem(format!("it is no PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(problem("it has no `BEGIN CERTIFICATE`".to_owned()));
    }
    Ok(certificates)
}

/// The authorities of a trust store.
struct Roots<'a> {
    trusted: Arc<RootCertStore>,
    path: &'a Path,
}

impl<'a> Roots<'a> {
    fn read(path: &'a Path) -> Result<Self, TlsError> {
        Ok(Self { trusted: Arc::new(trust_store(path)?), path })
    }
}

fn trust_store(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, &read(path)?)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

type KeyStore = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn key_store(path: &Path) -> Result<KeyStore, TlsError> {
    let problem = |problem: String| TlsError::File { path: path.to_owned(), problem };
    let pem = read(path)?;
    let chain = certificates(path, &pem)?;
    let text = String::from_utf8_lossy(&pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(problem(
            "its private key is encrypted, which is not supported. Write it without a password \
             (`openssl pkey`) and protect the file by its permissions"
                .to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| problem(format!("it has no private key that can be read: {error}")))?;
    Ok((chain, key))
}

/// Accepts certificates of trusted authorities whatever host they are made out to.
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
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        // The name is looked at last: everything else was found right then.
        match verified {
            Err(Error::InvalidCertificate(
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
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::test_keys::Authority;
    use super::*;

    /// Lets two talk: what each of them says in the end.
    async fn talk(
        client: &TlsContext,
        server: &TlsContext,
    ) -> (Result<Vec<u8>, String>, Result<(), String>) {
        let (here, there) = duplex(1 << 14);
        let name = ServerName::try_from("localhost").unwrap();
        let client = async {
            let mut stream = client.connector().unwrap().connect(name, here).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        let server = async {
            let mut stream = server.acceptor().accept(there).await?;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        };
        let (client, server) = tokio::join!(client, server);
        (client.map_err(|e| e.to_string()), server.map_err(|e| e.to_string()))
    }

    async fn talk_with(client: TlsOptions, server: TlsOptions) -> Result<Vec<u8>, String> {
        let client = TlsContext::load(client).unwrap();
        let server = TlsContext::load(server).unwrap();
        let (client, server) = talk(&client, &server).await;
        server.and(client)
    }

    #[tokio::test]
    async fn certificates_decide_who_talks() {
        // Both sides check the other's certificate: authority, and host where it is wanted.
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(&dir.path().join("ours"));
        let others = Authority::new(&dir.path().join("others"));
        let (one, two) = (ours.options("one", "localhost"), ours.options("two", "localhost"));
        assert_eq!(talk_with(one.clone(), two.clone()).await.unwrap(), b"hello");
        let foreign = others.options("foreign", "localhost");
        assert!(talk_with(one.clone(), foreign.clone()).await.is_err());
        assert!(talk_with(foreign.clone(), two.clone()).await.is_err());
        // Trusts our authority, but has no certificate of it.
        let guest = TlsOptions { trust_store: two.trust_store.clone(), ..foreign };
        assert!(talk_with(guest.clone(), two.clone()).await.is_err());
        let lax = TlsOptions { client_auth: ClientAuth::None, ..two };
        assert!(talk_with(guest, lax).await.is_ok());
        let elsewhere = ours.options("elsewhere", "elsewhere.example");
        assert!(talk_with(one.clone(), elsewhere.clone()).await.is_err());
        let careless = TlsOptions { verify_host: false, ..one };
        assert!(talk_with(careless.clone(), elsewhere).await.is_ok());
        assert!(talk_with(careless, others.options("other", "localhost")).await.is_err());
    }

    #[tokio::test]
    async fn versions_and_cipher_suites_are_kept_to() {
        // Two sides without a version or a cipher suite in common do not talk.
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(dir.path());
        let any = ours.options("any", "localhost");
        let old = TlsOptions { versions: vec![TlsVersion::V1_2], ..any.clone() };
        let new = TlsOptions { versions: vec![TlsVersion::V1_3], ..any.clone() };
        assert!(talk_with(old.clone(), any.clone()).await.is_ok());
        assert!(talk_with(new.clone(), any.clone()).await.is_ok());
        assert!(talk_with(new, old).await.is_err());
        let suites =
            |name: &str| TlsOptions { cipher_suites: vec![name.to_owned()], ..any.clone() };
        let (one, other) = (suites("TLS_AES_128_GCM_SHA256"), suites("TLS_AES_256_GCM_SHA384"));
        assert!(talk_with(one.clone(), any.clone()).await.is_ok());
        assert!(talk_with(one, other).await.is_err());
        let unknown = TlsContext::load(suites("TLS_RSA_WITH_NULL_MD5")).unwrap_err();
        assert!(unknown.to_string().contains("TLS_AES_128_GCM_SHA256"), "{unknown}");
    }

    #[tokio::test]
    async fn changed_files_are_read_again() {
        // New keys and authorities serve without a restart; unusable ones change nothing.
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::new(&dir.path().join("a"));
        let options = TlsOptions { reload: true, ..first.options("one", "localhost") };
        let context = TlsContext::load(options.clone()).unwrap();
        assert!(talk(&context, &context).await.0.is_ok());
        std::fs::write(&options.key_store, "nothing").unwrap();
        assert!(talk(&context, &context).await.0.is_ok());
        let second = Authority::new(&dir.path().join("a"));
        second.options("one", "localhost");
        let stranger = TlsContext::load(second.options("two", "localhost")).unwrap();
        assert!(talk(&context, &stranger).await.0.is_ok());
        assert!(talk(&stranger, &context).await.0.is_ok());
    }

    #[test]
    fn unusable_files_are_explained() {
        // The message names the file and what it lacks.
        let dir = tempfile::tempdir().unwrap();
        let good = Authority::new(dir.path()).options("one", "localhost");
        let pem = std::fs::read_to_string(&good.key_store).unwrap();
        let certificate = &pem[pem.find("-----BEGIN CERTIFICATE").unwrap()..];
        let lines = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "AAAA"];
        let end = "-----END ENCRYPTED PRIVATE KEY-----";
        let encrypted = format!("{}\n{}\n{end}\n{certificate}", lines[0], lines[1]);
        let file = dir.path().join("bad.pem");
        for (text, expected) in [
            ("", "BEGIN CERTIFICATE"),
            (certificate, "private key"),
            (encrypted.as_str(), "openssl pkey"),
        ] {
            std::fs::write(&file, text).unwrap();
            let bad = TlsOptions { key_store: file.clone(), ..good.clone() };
            let error = TlsContext::load(bad).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("bad.pem"), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        let missing = TlsOptions { trust_store: Some(file), ..good };
        assert!(matches!(TlsContext::load(missing), Err(TlsError::Read { .. })));
    }
}
