//! What the settings of TLS between servers and those of TLS with clients have in common.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Problem};
use super::located::Located;
use crate::tls::{ClientAuth, TlsOptions, TlsVersion};

/// What the lines said so far: `ssl.*` or `ssl.quorum.*`.
#[derive(Debug)]
pub(super) struct TlsDraft {
    /// Line and key of the first of them.
    pub(super) first: Option<Located<String>>,
    /// `keyStore.*`
    pub(super) key_store: StoreDraft,
    /// `trustStore.*`
    pub(super) trust_store: StoreDraft,
    /// `protocol`
    pub(super) protocol: Vec<TlsVersion>,
    /// `enabledProtocols`
    pub(super) enabled_protocols: Option<Vec<TlsVersion>>,
    /// `ciphersuites`
    pub(super) cipher_suites: Vec<String>,
    /// `hostnameVerification`
    pub(super) verify_host: bool,
    /// `clientHostnameVerification`
    pub(super) verify_client_host: bool,
    /// `clientAuth`
    pub(super) client_auth: ClientAuth,
    /// `handshakeDetectionTimeoutMillis`
    pub(super) handshake_timeout_ms: u64,
    /// `sslQuorumReloadCertFiles`, `client.certReload`
    pub(super) reload: bool,
}

/// A file with keys or certificates.
#[derive(Debug, Default)]
pub(super) struct StoreDraft {
    /// `location`
    pub(super) location: Option<Located<String>>,
    /// `type`
    pub(super) kind: Option<Located<String>>,
}

impl Default for TlsDraft {
    fn default() -> Self {
        Self {
            first: None,
            key_store: StoreDraft::default(),
            trust_store: StoreDraft::default(),
            protocol: TlsVersion::ALL.to_vec(),
            enabled_protocols: None,
            cipher_suites: Vec::new(),
            verify_host: true,
            verify_client_host: false,
            client_auth: ClientAuth::default(),
            handshake_timeout_ms: 5000,
            reload: false,
        }
    }
}

impl TlsDraft {
    /// Whether a peer that connects needs a certificate for its address. Without the other check this one
    /// is off too, as in ZooKeeper.
    pub(super) fn verifies_client_host(&self) -> bool {
        self.verify_client_host && self.verify_host
    }

    pub(super) fn options(self, key_store: PathBuf, trust_store: Option<PathBuf>) -> TlsOptions {
        TlsOptions {
            key_store,
            trust_store,
            verify_host: self.verify_host,
            client_auth: self.client_auth,
            versions: self.enabled_protocols.unwrap_or(self.protocol),
            cipher_suites: self.cipher_suites,
            reload: self.reload,
        }
    }
}

/// Finds the files that the settings name.
pub(super) struct Stores<'a> {
    /// The configuration file.
    pub(super) file: &'a Path,
    /// What the keys begin with.
    pub(super) prefix: &'static str,
    /// Line and key that make them necessary.
    pub(super) wanted_by: (usize, &'static str),
}

impl Stores<'_> {
    /// The PEM file that `name` says.
    pub(super) fn find(&self, store: &StoreDraft, name: &str) -> Result<PathBuf, ConfigError> {
        let name = format!("{}.{name}", self.prefix);
        let Some(location) = &store.location else {
            let (line, key) = self.wanted_by;
            let problem = format!("it is set, so {name}.location must name a PEM file");
            return Err(Problem::value(problem).at(self.file, line, key));
        };
        pem_file(&location.value, store.kind.as_ref()).map_err(|(line, key, problem)| {
            problem.at(self.file, line.unwrap_or(location.line), &format!("{name}.{key}"))
        })
    }
}

/// Line, last word of the key, and what is wrong there.
type StoreProblem = (Option<usize>, &'static str, Problem);

/// The file, if it is said to be PEM, or its name says so.
fn pem_file(location: &str, kind: Option<&Located<String>>) -> Result<PathBuf, StoreProblem> {
    let path = PathBuf::from(location);
    let (line, key, kind) = if let Some(Located { line, value }) = kind {
        (Some(*line), "type", value.to_ascii_uppercase())
    } else {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let kind = match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
            "pem" => "PEM",
            "jks" => "JKS",
            "p12" | "pfx" => "PKCS12",
            "bcfks" => "BCFKS",
            _ => "",
        };
        (None, "location", kind.to_owned())
    };
    let to_pem = "`openssl pkcs12 -in store.p12 -nodes -out store.pem`";
    let problem = match kind.as_str() {
        "PEM" => return Ok(path),
        "PKCS12" => Problem::refused(format!("only PEM files are read; convert it: {to_pem}")),
        "JKS" | "BCFKS" => Problem::refused(format!(
            "only PEM files are read; convert it: `keytool -importkeystore -srckeystore {location} \
             -destkeystore store.p12 -deststoretype PKCS12`, then {to_pem}"
        )),
        "" => Problem::value("the name does not end with .pem; set the type to PEM if it is"),
        other => Problem::value(format!("expected PEM, found \"{other}\"")),
    };
    Err((line, key, problem))
}
