//! TLS settings: with clients (`ssl.*`) and between servers (`ssl.quorum.*`).

use super::{Key, Setting, ignore, ignore_unless, refuse, refuse_unless, set};
use crate::config::draft::Draft;
use crate::config::error::Problem;

const KEY_PASSWORD: &str = "the key in a PEM file is read only without a password";
const TRUST_PASSWORD: &str = "certificates in a PEM file have no password";
const CLIENT_REVOCATION: &str = "revoked certificates are not looked up; use short-lived ones and \
                                 client.certReload=true";
const REVOCATION: &str = "revoked certificates are not looked up; use short-lived ones and \
                          sslQuorumReloadCertFiles=true";

pub(super) static KEYS: &[Key] = &[
    set("secureClientPort", "2281", secure::port),
    set("secureClientPortAddress", "0.0.0.0", secure::host),
    set("client.portUnification", "false", secure::accept_both),
    set("client.certReload", "false", secure::reload),
    set("ssl.authProvider", "x509", secure::provider),
    set("X509AuthenticationProvider.superUser", "CN=admin", secure::super_user),
    set("ssl.keyStore.location", "/etc/zookeeper/key.pem", both::key_location),
    set("ssl.keyStore.type", "PEM", both::key_type),
    ignore("ssl.keyStore.password", "secret", KEY_PASSWORD),
    ignore("ssl.keyStore.passwordPath", "/etc/zookeeper/key.password", KEY_PASSWORD),
    set("ssl.trustStore.location", "/etc/zookeeper/trust.pem", both::trust_location),
    set("ssl.trustStore.type", "PEM", both::trust_type),
    ignore("ssl.trustStore.password", "secret", TRUST_PASSWORD),
    ignore("ssl.trustStore.passwordPath", "/etc/zookeeper/trust.password", TRUST_PASSWORD),
    set("ssl.protocol", "TLSv1.3", both::protocol),
    set("ssl.enabledProtocols", "TLSv1.3,TLSv1.2", both::enabled_protocols),
    set("ssl.ciphersuites", "TLS_AES_128_GCM_SHA256", both::cipher_suites),
    refuse(
        "ssl.context.supplier.class",
        "com.example.Supplier",
        "there is no Java here to load a class; use ssl.keyStore.location with a PEM file",
    ),
    set("ssl.hostnameVerification", "true", both::verify_host),
    set("ssl.clientHostnameVerification", "false", both::verify_client_host),
    ignore_unless(
        "ssl.allowReverseDnsLookup",
        "false",
        "a certificate of a client is compared with its address alone",
    ),
    refuse_unless("ssl.crl", "false", CLIENT_REVOCATION),
    refuse_unless("ssl.ocsp", "false", CLIENT_REVOCATION),
    set("ssl.clientAuth", "need", both::client_auth),
    set("ssl.handshakeDetectionTimeoutMillis", "5000", both::handshake_timeout),
    ignore("ssl.sslProvider", "JDK", "there is one implementation of TLS here, rustls"),
    refuse_unless("ssl.tcnative.ocsp.stapling", "false", CLIENT_REVOCATION),
    set("sslQuorum", "false", quorum::dial),
    set("portUnification", "false", quorum::accept_both),
    set("sslQuorumReloadCertFiles", "false", quorum::reload),
    set("ssl.quorum.keyStore.location", "/etc/zookeeper/key.pem", both::key_location),
    set("ssl.quorum.keyStore.type", "PEM", both::key_type),
    ignore("ssl.quorum.keyStore.password", "secret", KEY_PASSWORD),
    ignore("ssl.quorum.keyStore.passwordPath", "/etc/zookeeper/key.password", KEY_PASSWORD),
    set("ssl.quorum.trustStore.location", "/etc/zookeeper/trust.pem", both::trust_location),
    set("ssl.quorum.trustStore.type", "PEM", both::trust_type),
    ignore("ssl.quorum.trustStore.password", "secret", TRUST_PASSWORD),
    ignore("ssl.quorum.trustStore.passwordPath", "/etc/zookeeper/trust.password", TRUST_PASSWORD),
    set("ssl.quorum.protocol", "TLSv1.3", both::protocol),
    set("ssl.quorum.enabledProtocols", "TLSv1.3,TLSv1.2", both::enabled_protocols),
    set("ssl.quorum.ciphersuites", "TLS_AES_128_GCM_SHA256", both::cipher_suites),
    refuse(
        "ssl.quorum.context.supplier.class",
        "com.example.Supplier",
        "there is no Java here to load a class; use ssl.quorum.keyStore.location with a PEM file",
    ),
    set("ssl.quorum.hostnameVerification", "true", both::verify_host),
    set("ssl.quorum.clientHostnameVerification", "true", both::verify_client_host),
    ignore_unless(
        "ssl.quorum.allowReverseDnsLookup",
        "false",
        "a certificate may also be made out to the host of the server's address in the ensemble",
    ),
    refuse_unless("ssl.quorum.crl", "false", REVOCATION),
    refuse_unless("ssl.quorum.ocsp", "false", REVOCATION),
    set("ssl.quorum.clientAuth", "need", both::client_auth),
    set("ssl.quorum.handshakeDetectionTimeoutMillis", "5000", both::handshake_timeout),
];

/// TLS between the servers of an ensemble.
mod quorum {
    use super::{Draft, Problem, Setting};
    use crate::config::located::Located;

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
        draft.peer_tls.tls.reload = setting.value.bool()?;
        Ok(())
    }
}

/// TLS with clients.
mod secure {
    use super::{Draft, Problem, Setting};
    use crate::config::located::Located;

    type Done = Result<(), Problem>;

    pub(super) fn port(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.secure_port = Located::some(setting.line, setting.value.port()?);
        Ok(())
    }

    pub(super) fn host(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.secure_host = Located::some(setting.line, setting.value.text()?.to_owned());
        Ok(())
    }

    pub(super) fn accept_both(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.accept_both = Located::new(setting.line, setting.value.bool()?);
        Ok(())
    }

    pub(super) fn reload(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.client_tls.reload = setting.value.bool()?;
        Ok(())
    }

    /// ZooKeeper loads a Java class by this name; its own is `x509`.
    pub(super) fn provider(_: &mut Draft, setting: &Setting<'_>) -> Done {
        match setting.value.text()? {
            "x509" => Ok(()),
            other => Err(Problem::refused(format!(
                "\"{other}\" would be a Java class; x509 is built in"
            ))),
        }
    }

    pub(super) fn super_user(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        draft.config.auth.super_subject = Some(setting.value.text()?.to_owned());
        Ok(())
    }
}

/// What is the same for both.
mod both {
    use super::{Draft, Problem, Setting};
    use crate::config::located::Located;
    use crate::config::tls::TlsDraft;
    use crate::config::value::POSITIVE;
    use crate::tls::{ClientAuth, TlsVersion};

    type Done = Result<(), Problem>;

    /// Which of the two a key is about.
    fn of<'a>(draft: &'a mut Draft, setting: &Setting<'_>) -> &'a mut TlsDraft {
        let tls = match setting.key.starts_with("ssl.quorum.") {
            true => &mut draft.peer_tls.tls,
            false => &mut draft.client_tls,
        };
        tls.first.get_or_insert_with(|| Located::new(setting.line, setting.key.to_owned()));
        tls
    }

    fn text(setting: &Setting<'_>) -> Result<Option<Located<String>>, Problem> {
        Ok(Located::some(setting.line, setting.value.text()?.to_owned()))
    }

    pub(super) fn key_location(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).key_store.location = text(setting)?;
        Ok(())
    }

    pub(super) fn key_type(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).key_store.kind = text(setting)?;
        Ok(())
    }

    pub(super) fn trust_location(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).trust_store.location = text(setting)?;
        Ok(())
    }

    pub(super) fn trust_type(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).trust_store.kind = text(setting)?;
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
            of(draft, setting).protocol = vec![version(name)?];
        }
        Ok(())
    }

    pub(super) fn enabled_protocols(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        setting.value.text()?;
        let versions: Result<Vec<_>, _> =
            setting.value.list().iter().map(|name| version(name)).collect();
        of(draft, setting).enabled_protocols = Some(versions?);
        Ok(())
    }

    pub(super) fn cipher_suites(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        setting.value.text()?;
        of(draft, setting).cipher_suites = setting.value.list();
        Ok(())
    }

    pub(super) fn verify_host(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).verify_host = setting.value.bool()?;
        Ok(())
    }

    pub(super) fn verify_client_host(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).verify_client_host = setting.value.bool()?;
        Ok(())
    }

    pub(super) fn client_auth(draft: &mut Draft, setting: &Setting<'_>) -> Done {
        of(draft, setting).client_auth = match setting.value.0.to_ascii_lowercase().as_str() {
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
        of(draft, setting).handshake_timeout_ms = setting.value.int(POSITIVE)?;
        Ok(())
    }
}
