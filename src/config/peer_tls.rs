//! Puts the settings of TLS between servers together.

use std::path::{Path, PathBuf};

use super::draft::{Draft, Located};
use super::error::{ConfigError, Problem};
use crate::tls::{ClientAuth, PeerTlsOptions, TlsOptions, TlsVersion};

/// What the lines said so far about TLS between servers.
#[derive(Debug)]
pub(super) struct PeerTlsDraft {
    /// `sslQuorum`
    pub(super) dial: Located<bool>,
    /// `portUnification`
    pub(super) accept_both: Located<bool>,
    /// `ssl.quorum.keyStore.*`
    pub(super) key_store: StoreDraft,
    /// `ssl.quorum.trustStore.*`
    pub(super) trust_store: StoreDraft,
    /// `ssl.quorum.protocol`
    pub(super) protocol: Vec<TlsVersion>,
    /// `ssl.quorum.enabledProtocols`
    pub(super) enabled_protocols: Option<Vec<TlsVersion>>,
    /// `ssl.quorum.ciphersuites`
    pub(super) cipher_suites: Vec<String>,
    /// `ssl.quorum.hostnameVerification`
    pub(super) verify_host: bool,
    /// `ssl.quorum.clientHostnameVerification`
    pub(super) verify_client_host: bool,
    /// `ssl.quorum.clientAuth`
    pub(super) client_auth: ClientAuth,
    /// `ssl.quorum.handshakeDetectionTimeoutMillis`
    pub(super) handshake_timeout_ms: u64,
    /// `sslQuorumReloadCertFiles`
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

impl Default for PeerTlsDraft {
    fn default() -> Self {
        Self {
            dial: Located::default(),
            accept_both: Located::default(),
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

/// The settings of TLS between servers, where it is wanted.
pub(super) fn peer_tls(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    let tls = std::mem::take(&mut draft.peer_tls);
    if !tls.dial.value && !tls.accept_both.value {
        return Ok(());
    }
    let (line, key) = match tls.dial.value {
        true => (tls.dial.line, "sslQuorum"),
        false => (tls.accept_both.line, "portUnification"),
    };
    let store = |store: &StoreDraft, name: &str| {
        let Some(location) = &store.location else {
            let problem = format!("it is true, so {name}.location must name a PEM file");
            return Err(Problem::value(problem).at(file, line, key));
        };
        let location_line = location.line;
        pem_file(&location.value, store.kind.as_ref()).map_err(|(line, key, p)| {
            p.at(file, line.unwrap_or(location_line), &format!("{name}.{key}"))
        })
    };
    let key_store = store(&tls.key_store, "ssl.quorum.keyStore")?;
    let trust_store = store(&tls.trust_store, "ssl.quorum.trustStore")?;
    draft.config.ensemble.tls = Some(PeerTlsOptions {
        tls: TlsOptions {
            key_store,
            trust_store,
            verify_host: tls.verify_host,
            client_auth: tls.client_auth,
            versions: tls.enabled_protocols.unwrap_or(tls.protocol),
            cipher_suites: tls.cipher_suites,
            reload: tls.reload,
        },
        dial: tls.dial.value,
        accept_plain: !tls.dial.value || tls.accept_both.value,
        // Without the other check this one is off too, as in ZooKeeper.
        verify_client_host: tls.verify_client_host && tls.verify_host,
        handshake_timeout_ms: tls.handshake_timeout_ms,
    });
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn written(lines: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        let data = dir.path().join("data");
        let text = format!("dataDir={}\nclientPort=2181\n{lines}\n", data.display());
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    fn load(lines: &str) -> Result<Option<PeerTlsOptions>, ConfigError> {
        let (_dir, file) = written(lines);
        Config::load(&file).map(|config| config.ensemble.tls)
    }

    const STORES: &str =
        "ssl.quorum.keyStore.location=/k.pem\nssl.quorum.trustStore.location=/t.PEM";

    #[test]
    fn two_switches_say_who_talks_tls() {
        // The steps of a change-over: accept both, dial with TLS, accept only TLS.
        let ways = |dial: bool, both: bool| {
            let lines = format!("sslQuorum={dial}\nportUnification={both}\n{STORES}");
            load(&lines).unwrap().map(|tls| (tls.dial, tls.accept_plain))
        };
        assert_eq!(ways(false, false), None);
        assert_eq!(ways(false, true), Some((false, true)));
        assert_eq!(ways(true, true), Some((true, true)));
        assert_eq!(ways(true, false), Some((true, false)));
    }

    #[test]
    fn settings_arrive_as_they_were_meant() {
        // ZooKeeper's defaults where nothing is set, and each setting where it is.
        let plain = load(&format!("sslQuorum=true\n{STORES}")).unwrap().unwrap();
        assert_eq!((plain.handshake_timeout_ms, plain.verify_client_host), (5000, false));
        assert_eq!(plain.tls.versions, TlsVersion::ALL);
        assert_eq!((plain.tls.client_auth, plain.tls.verify_host), (ClientAuth::Need, true));
        let lines = "sslQuorum=true\nzookeeper.ssl.quorum.keyStore.location=/k\n\
                     ssl.quorum.keyStore.type=pem\nssl.quorum.trustStore.location=/t.pem\n\
                     ssl.quorum.protocol=TLSv1.2\nssl.quorum.ciphersuites=A,B\n\
                     ssl.quorum.clientAuth=WANT\nsslQuorumReloadCertFiles=true\n\
                     ssl.quorum.clientHostnameVerification=true";
        let tls = load(lines).unwrap().unwrap();
        assert_eq!(tls.tls.key_store, Path::new("/k"));
        assert_eq!(tls.tls.versions, [TlsVersion::V1_2]);
        assert_eq!(tls.tls.cipher_suites, ["A", "B"]);
        assert_eq!((tls.tls.client_auth, tls.tls.reload), (ClientAuth::Want, true));
        assert!(tls.verify_client_host);
        let careless = format!("{lines}\nssl.quorum.hostnameVerification=false");
        assert!(!load(&careless).unwrap().unwrap().verify_client_host);
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        // Missing files, stores of Java and old protocols are told with line, key and a way out.
        let key = "ssl.quorum.keyStore.location";
        for (lines, expected) in [
            ("sslQuorum=true".to_owned(), format!("zoo.cfg:3: sslQuorum: it is true, so {key}")),
            ("portUnification=true".to_owned(), format!("portUnification: it is true, so {key}")),
            (format!("sslQuorum=true\n{key}=/k.jks"), format!("zoo.cfg:4: {key}: refused")),
            (format!("sslQuorum=true\n{key}=/k.jks"), "keytool -importkeystore".to_owned()),
            (format!("sslQuorum=true\n{key}=/k.p12"), "openssl pkcs12".to_owned()),
            (format!("sslQuorum=true\n{key}=/k"), "set the type to PEM".to_owned()),
            (
                format!("sslQuorum=true\n{STORES}\nssl.quorum.trustStore.type=JKS"),
                "zoo.cfg:6: ssl.quorum.trustStore.type: refused".to_owned(),
            ),
            ("ssl.quorum.enabledProtocols=TLSv1.1".to_owned(), "use TLSv1.3".to_owned()),
            ("ssl.quorum.clientAuth=maybe".to_owned(), "none, want or need".to_owned()),
        ] {
            let error = load(&lines).unwrap_err().to_string();
            assert!(error.contains(&expected), "{lines}: {error}");
        }
        // Stores of Java are no error where nothing uses them.
        assert_eq!(load("ssl.quorum.keyStore.location=/k.jks").unwrap(), None);
    }
}
