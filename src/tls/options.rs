//! What the configuration says about TLS.

use std::path::PathBuf;

/// Keys, certificates and what is demanded of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the private key and the certificates from the own one upwards
    /// (`keyStore.location`).
    pub key_store: PathBuf,
    /// PEM file with the certificates of the authorities that are trusted (`trustStore.location`);
    /// without one nobody is, so nobody can be asked for a certificate.
    pub trust_store: Option<PathBuf>,
    /// Whether a server's certificate must be made out to the host that was asked for
    /// (`hostnameVerification`).
    pub verify_host: bool,
    /// What is demanded of a peer that connects (`clientAuth`).
    pub client_auth: ClientAuth,
    /// The versions of TLS that are talked (`enabledProtocols`).
    pub versions: Vec<TlsVersion>,
    /// The cipher suites that are allowed, by their IANA names (`ciphersuites`); none are all.
    pub cipher_suites: Vec<String>,
    /// Whether changed files are read again for new connections.
    pub reload: bool,
}

/// Whether a peer that connects must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is not asked for one.
    None,
    /// If it shows one, that must be valid.
    Want,
    /// It must show a valid one.
    #[default]
    Need,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

impl TlsVersion {
    /// All that are talked.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// The name that Java gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }
}

/// TLS between clients and this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTlsOptions {
    /// Keys and certificates.
    pub tls: TlsOptions,
    /// Whether the certificate of a client must be made out to its address
    /// (`clientHostnameVerification`).
    pub verify_client_host: bool,
    /// How long a client may take for its part of the handshake, in milliseconds
    /// (`handshakeDetectionTimeoutMillis`).
    pub handshake_timeout_ms: u64,
}

/// TLS between the servers of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTlsOptions {
    /// Keys and certificates.
    pub tls: TlsOptions,
    /// Whether connections to other servers are opened with TLS (`sslQuorum`).
    pub dial: bool,
    /// Whether connections without TLS are accepted too: while an ensemble changes over
    /// (`portUnification`), server by server.
    pub accept_plain: bool,
    /// Whether the certificate of a server that connects must be made out to the host where the
    /// ensemble knows it (`clientHostnameVerification`).
    pub verify_client_host: bool,
    /// How long a connecting server may take to say whether it talks TLS, and to greet, in
    /// milliseconds (`handshakeDetectionTimeoutMillis`).
    pub handshake_timeout_ms: u64,
}
