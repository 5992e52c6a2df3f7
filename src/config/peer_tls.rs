//! Puts the settings of TLS between servers together.

use std::path::Path;

use super::draft::Draft;
use super::error::ConfigError;
use super::tls::Stores;
use crate::tls::PeerTlsOptions;

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
    let stores = Stores { file, prefix: "ssl.quorum", wanted_by: (line, key) };
    let key_store = stores.find(&tls.tls.key_store, "keyStore")?;
    let trust_store = stores.find(&tls.tls.trust_store, "trustStore")?;
    draft.config.ensemble.tls = Some(PeerTlsOptions {
        dial: tls.dial.value,
        accept_plain: !tls.dial.value || tls.accept_both.value,
        verify_client_host: tls.tls.verifies_client_host(),
        handshake_timeout_ms: tls.tls.handshake_timeout_ms,
        tls: tls.tls.options(key_store, Some(trust_store)),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Config;
    use super::*;
    use crate::tls::{ClientAuth, TlsVersion};

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
        assert_eq!((plain.handshake_timeout_ms, plain.verify_client_host), (5000, true));
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
        let lax =
            lines.replace("clientHostnameVerification=true", "clientHostnameVerification=false");
        assert!(!load(&lax).unwrap().unwrap().verify_client_host);
        let careless = format!("{lines}\nssl.quorum.hostnameVerification=false");
        assert!(!load(&careless).unwrap().unwrap().verify_client_host);
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        // Missing files, stores of Java and old protocols are told with line, key and a way out.
        let key = "ssl.quorum.keyStore.location";
        for (lines, expected) in [
            ("sslQuorum=true".to_owned(), format!("zoo.cfg:3: sslQuorum: it is set, so {key}")),
            ("portUnification=true".to_owned(), format!("portUnification: it is set, so {key}")),
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
