//! Puts the settings of TLS with clients together.

use std::net::SocketAddr;
use std::path::Path;

use super::addresses::{own_line, resolve};
use super::draft::Draft;
use super::error::{ConfigError, Problem};
use super::tls::Stores;
use super::types::{Notice, SecureConfig};
use crate::tls::{ClientAuth, ClientTlsOptions};

const PORT: &str = "secureClientPort";
const HOST: &str = "secureClientPortAddress";
const MIXED: &str = "client.portUnification";

/// The settings of TLS with clients, where it is wanted. To be called once the ensemble is known.
pub(super) fn secure(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    let tls = std::mem::take(&mut draft.client_tls);
    let found = address(draft, file)?;
    let mixed = draft.accept_both.clone();
    let (addr, wanted_by) = match found {
        Some((addr, line)) => (Some(addr), (line, PORT)),
        None if mixed.value => (None, (mixed.line, MIXED)),
        None => {
            if let Some(first) = tls.first {
                let reason = "no port talks TLS with clients, for secureClientPort is not set";
                let (line, key) = (first.line, first.value);
                draft.config.notices.push(Notice { line, key, reason: reason.to_owned() });
            }
            return Ok(());
        }
    };
    let stores = Stores { file, prefix: "ssl", wanted_by };
    let key_store = stores.find(&tls.key_store, "keyStore")?;
    let needs_trust = tls.client_auth != ClientAuth::None || tls.trust_store.location.is_some();
    let trust_store =
        needs_trust.then(|| stores.find(&tls.trust_store, "trustStore")).transpose()?;
    draft.config.clients.secure = Some(SecureConfig {
        addr,
        at_client_port: mixed.value,
        tls: ClientTlsOptions {
            verify_client_host: tls.verifies_client_host(),
            handshake_timeout_ms: tls.handshake_timeout_ms,
            tls: tls.options(key_store, trust_store),
        },
    });
    Ok(())
}

/// Where to listen, and the line that says so: the key, or this server's own line `server.N`.
fn address(draft: &Draft, file: &Path) -> Result<Option<(SocketAddr, usize)>, ConfigError> {
    let (port, host) = (&draft.secure_port, &draft.secure_host);
    let listed =
        own_line(draft).and_then(|line| Some((line.line, line.value.secure_client.clone()?)));
    if let Some((line, address)) = listed {
        let key = format!("server.{}", draft.config.ensemble.number());
        if let Some(port) = port.as_ref().filter(|port| port.value != address.port) {
            let (own, other) = (address.port, port.value);
            let problem = format!("its secure client port {own} is not the {PORT} {other}");
            return Err(Problem::value(problem).at(file, line, &key));
        }
        let addr = resolve(&address.host, address.port).map_err(|p| p.at(file, line, &key))?;
        return Ok(Some((addr, line)));
    }
    match (port, host) {
        (Some(port), Some(host)) => {
            let addr = resolve(&host.value, port.value).map_err(|p| p.at(file, host.line, HOST))?;
            Ok(Some((addr, port.line)))
        }
        (Some(port), None) => {
            let any = draft.config.clients.addr.ip();
            Ok(Some((SocketAddr::new(any, port.value), port.line)))
        }
        (None, Some(host)) => {
            let problem = format!("it is set, so {PORT} must be too");
            Err(Problem::value(problem).at(file, host.line, HOST))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Config;
    use super::*;
    use crate::tls::TlsVersion;

    fn written(lines: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        let text = format!("dataDir={}\n{lines}\n", dir.path().join("data").display());
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    fn load(lines: &str) -> Result<Config, ConfigError> {
        let (_dir, file) = written(lines);
        Config::load(&file)
    }

    const STORES: &str = "ssl.keyStore.location=/k.pem\nssl.trustStore.location=/t.pem";

    /// Where clients are served: with TLS, without, and with it at the port for those without.
    fn ports(lines: &str) -> (Option<String>, Option<String>, bool) {
        let clients = load(&format!("{lines}\n{STORES}")).unwrap().clients;
        let secure = clients.secure.unwrap();
        let plain = clients.plain.then(|| clients.addr.to_string());
        if plain.is_none() {
            assert_eq!(Some(clients.addr), secure.addr);
        }
        (secure.addr.map(|addr| addr.to_string()), plain, secure.at_client_port)
    }

    #[test]
    fn two_ports_or_one_or_one_for_both() {
        // A secure port beside the other one or in its place, at an address of its own; or one port
        // for both ways.
        let text = |addr: &str| Some(addr.to_owned());
        assert_eq!(
            ports("clientPort=1\nsecureClientPort=2"),
            (text("0.0.0.0:2"), text("0.0.0.0:1"), false)
        );
        assert_eq!(ports("secureClientPort=2"), (text("0.0.0.0:2"), None, false));
        assert_eq!(
            ports("clientPort=1\nsecureClientPort=2\nsecureClientPortAddress=127.0.0.7"),
            (text("127.0.0.7:2"), text("0.0.0.0:1"), false)
        );
        assert_eq!(
            ports("clientPort=1\nclient.portUnification=true"),
            (None, text("0.0.0.0:1"), true)
        );
        assert_eq!(
            ports("server.1=127.0.0.1:3:4;1;127.0.0.2:2"),
            (text("127.0.0.2:2"), text("0.0.0.0:1"), false)
        );
    }

    #[test]
    fn settings_arrive_as_they_were_meant() {
        // ZooKeeper's defaults where nothing is set, and each setting where it is.
        let plain = load(&format!("secureClientPort=2\n{STORES}")).unwrap();
        let tls = plain.clients.secure.unwrap().tls;
        assert_eq!((tls.handshake_timeout_ms, tls.verify_client_host), (5000, false));
        assert_eq!((tls.tls.client_auth, tls.tls.reload), (ClientAuth::Need, false));
        let lines = "clientPort=1\nsecureClientPort=2\nssl.keyStore.location=/k\n\
                     ssl.keyStore.type=PEM\nssl.keyStore.password=x\nssl.clientAuth=none\n\
                     ssl.protocol=TLSv1.3\nssl.ciphersuites=A\nclient.certReload=true\n\
                     ssl.clientHostnameVerification=true\nssl.authProvider=x509\n\
                     ssl.handshakeDetectionTimeoutMillis=7\n\
                     X509AuthenticationProvider.superUser=CN=admin";
        let config = load(lines).unwrap();
        assert_eq!(config.auth.super_subject.as_deref(), Some("CN=admin"));
        let tls = config.clients.secure.unwrap().tls;
        assert_eq!((tls.handshake_timeout_ms, tls.verify_client_host), (7, true));
        assert_eq!((tls.tls.client_auth, tls.tls.reload), (ClientAuth::None, true));
        assert_eq!((tls.tls.versions, tls.tls.trust_store), (vec![TlsVersion::V1_3], None));
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        // Missing files, stores of Java and ports that contradict each other are told with line, key
        // and a way out.
        let key = "ssl.keyStore.location";
        for (lines, expected) in [
            ("secureClientPort=2", format!("zoo.cfg:2: {PORT}: it is set, so {key}")),
            (
                "secureClientPort=2\nssl.keyStore.location=/k.jks",
                format!("zoo.cfg:3: {key}: refused"),
            ),
            ("secureClientPort=2\nssl.keyStore.location=/k.jks", "keytool -importkeystore".into()),
            (
                "secureClientPort=2\nssl.keyStore.location=/k.pem",
                "so ssl.trustStore.location must name a PEM file".into(),
            ),
            ("clientPort=1\nsecureClientPortAddress=h", format!("zoo.cfg:3: {HOST}: it is set")),
            ("clientPort=1\nclient.portUnification=true", format!("zoo.cfg:3: {MIXED}: it is set")),
            (
                "secureClientPort=3\nserver.1=127.0.0.1:3:4;1;2",
                "zoo.cfg:3: server.1: its secure client port 2 is not the secureClientPort 3"
                    .into(),
            ),
            ("clientPort=1\nssl.authProvider=mine", "ssl.authProvider: refused".into()),
            ("clientPort=1\nssl.crl=true", "ssl.crl: refused".into()),
        ] {
            let error = load(lines).unwrap_err().to_string();
            assert!(error.contains(&expected), "{lines}: {error}");
        }
        // Settings that no port uses are no error, but said.
        let config = load("clientPort=1\nssl.keyStore.location=/k.jks").unwrap();
        assert_eq!((config.clients.secure, config.notices.len()), (None, 1));
    }
}
