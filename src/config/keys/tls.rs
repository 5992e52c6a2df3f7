//! TLS settings. Those between servers are used; the others are kept as written, with a notice,
//! because no TLS port is open that would use them.

use super::{Key, Setting, ignore, ignore_unless, refuse, refuse_unless, set};
use crate::config::draft::Draft;
use crate::config::error::Problem;
use crate::config::types::Notice;

const KEY_PASSWORD: &str = "the key in a PEM file is read only without a password";
const TRUST_PASSWORD: &str = "certificates in a PEM file have no password";
const REVOCATION: &str = "revoked certificates are not looked up; use short-lived ones and \
                          sslQuorumReloadCertFiles=true";

fn keep(draft: &mut Draft, setting: &Setting<'_>) -> Result<(), Problem> {
    let value = setting.value.text()?.to_owned();
    draft.config.tls.settings.push((setting.key.to_owned(), value));
    draft.config.notices.push(Notice {
        line: setting.line,
        key: setting.key.to_owned(),
        reason: "TLS is not supported yet, so no port uses this setting".to_owned(),
    });
    Ok(())
}

const fn tls(name: &'static str, sample: &'static str) -> Key {
    set(name, sample, keep)
}

pub(super) static KEYS: &[Key] = &[
    tls("ssl.authProvider", "x509"),
    tls("ssl.keyStore.location", "/etc/zookeeper/key.pem"),
    tls("ssl.keyStore.password", "secret"),
    tls("ssl.keyStore.passwordPath", "/etc/zookeeper/key.password"),
    tls("ssl.keyStore.type", "PEM"),
    tls("ssl.trustStore.location", "/etc/zookeeper/trust.pem"),
    tls("ssl.trustStore.password", "secret"),
    tls("ssl.trustStore.passwordPath", "/etc/zookeeper/trust.password"),
    tls("ssl.trustStore.type", "PEM"),
    tls("ssl.protocol", "TLSv1.3"),
    tls("ssl.enabledProtocols", "TLSv1.3,TLSv1.2"),
    tls("ssl.ciphersuites", "TLS_AES_128_GCM_SHA256"),
    tls("ssl.context.supplier.class", "com.example.Supplier"),
    tls("ssl.hostnameVerification", "true"),
    tls("ssl.clientHostnameVerification", "false"),
    tls("ssl.allowReverseDnsLookup", "false"),
    tls("ssl.crl", "false"),
    tls("ssl.ocsp", "false"),
    tls("ssl.clientAuth", "need"),
    tls("ssl.handshakeDetectionTimeoutMillis", "5000"),
    tls("ssl.sslProvider", "JDK"),
    tls("ssl.tcnative.ocsp.stapling", "false"),
    tls("X509AuthenticationProvider.superUser", "CN=admin"),
    set("sslQuorum", "false", quorum::dial),
    set("portUnification", "false", quorum::accept_both),
    set("sslQuorumReloadCertFiles", "false", quorum::reload),
    set("ssl.quorum.keyStore.location", "/etc/zookeeper/key.pem", quorum::key_location),
    set("ssl.quorum.keyStore.type", "PEM", quorum::key_type),
    ignore("ssl.quorum.keyStore.password", "secret", KEY_PASSWORD),
    ignore("ssl.quorum.keyStore.passwordPath", "/etc/zookeeper/key.password", KEY_PASSWORD),
    set("ssl.quorum.trustStore.location", "/etc/zookeeper/trust.pem", quorum::trust_location),
    set("ssl.quorum.trustStore.type", "PEM", quorum::trust_type),
    ignore("ssl.quorum.trustStore.password", "secret", TRUST_PASSWORD),
    ignore("ssl.quorum.trustStore.passwordPath", "/etc/zookeeper/trust.password", TRUST_PASSWORD),
    set("ssl.quorum.protocol", "TLSv1.3", quorum::protocol),
    set("ssl.quorum.enabledProtocols", "TLSv1.3,TLSv1.2", quorum::enabled_protocols),
    set("ssl.quorum.ciphersuites", "TLS_AES_128_GCM_SHA256", quorum::cipher_suites),
    refuse(
        "ssl.quorum.context.supplier.class",
        "com.example.Supplier",
        "there is no Java here to load a class; use ssl.quorum.keyStore.location with a PEM file",
    ),
    set("ssl.quorum.hostnameVerification", "true", quorum::verify_host),
    set("ssl.quorum.clientHostnameVerification", "false", quorum::verify_client_host),
    ignore_unless(
        "ssl.quorum.allowReverseDnsLookup",
        "false",
        "a certificate may also be made out to the host of the server's address in the ensemble",
    ),
    refuse_unless("ssl.quorum.crl", "false", REVOCATION),
    refuse_unless("ssl.quorum.ocsp", "false", REVOCATION),
    set("ssl.quorum.clientAuth", "need", quorum::client_auth),
    set("ssl.quorum.handshakeDetectionTimeoutMillis", "5000", quorum::handshake_timeout),
    tls("client.certReload", "false"),
];

/// TLS between the servers of an ensemble.
mod quorum {
    use super::{Draft, Problem, Setting};
    use crate::config::draft::Located;
    use crate::config::value::POSITIVE;
    use crate::tls::{ClientAuth, TlsVersion};

    type Done = Result<(), Problem>;

    pub(super) fn dial(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.dial = Located::new(setting.line, setting.value.bool()?);
        Ok(())
    }

    pub(super) fn accept_both(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.accept_both = Located::new(setting.line, setting.value.bool()?);
        Ok(())
    }

    pub(super) fn reload(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.reload = setting.value.bool()?;
        Ok(())
    }

    fn text(setting: &Setting<'_>) -> Result<Option<Located<String>>, Problem> {
        Ok(Located::some(setting.line, setting.value.text()?.to_owned()))
    }

    pub(super) fn key_location(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.key_store.location = text(setting)?;
        Ok(())
    }

    pub(super) fn key_type(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.key_store.kind = text(setting)?;
        Ok(())
    }

    pub(super) fn trust_location(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.trust_store.location = text(setting)?;
        Ok(())
    }

    pub(super) fn trust_type(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.trust_store.kind = text(setting)?;
        Ok(())
    }

    fn version(name: &str) -> Result<TlsVersion, Problem> {
        let known = TlsVersion::ALL.into_iter().find(|version| version.name() == name);
        known.ok_or_else(|| {
            Problem::refused(format!("\"{name}\" is not talked here; use TLSv1.3 and TLSv1.2"))
        })
    }

    pub(super) fn protocol(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        let name = setting.value.text()?;
        // Java's name for any version.
        if name != "TLS" {
            draft.peer_tls.protocol = vec![version(name)?];
        }
        Ok(())
    }

    pub(super) fn enabled_protocols(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        setting.value.text()?;
        let versions: Result<Vec<_>, _> =
            setting.value.list().iter().map(|name| version(name)).collect();
        draft.peer_tls.enabled_protocols = Some(versions?);
        Ok(())
    }

    pub(super) fn cipher_suites(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        setting.value.text()?;
        draft.peer_tls.cipher_suites = setting.value.list();
        Ok(())
    }

    pub(super) fn verify_host(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.verify_host = setting.value.bool()?;
        Ok(())
    }

    pub(super) fn verify_client_host(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.verify_client_host = setting.value.bool()?;
        Ok(())
    }

    pub(super) fn client_auth(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.client_auth = match setting.value.0.to_ascii_lowercase().as_str() {
            "none" => ClientAuth::None,
            "want" => ClientAuth::Want,
            "need" => ClientAuth::Need,
            other => {
                let problem = format!("expected none, want or need, found \"{other}\"");
                return Err(Problem::value(problem));
            }
        };
        Ok(())
    }

    pub(super) fn handshake_timeout(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.peer_tls.handshake_timeout_ms = setting.value.int(POSITIVE)?;
        Ok(())
    }
}
