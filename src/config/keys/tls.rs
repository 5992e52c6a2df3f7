//! TLS settings: kept as written, with a notice, because no TLS port is open that would use them.

use super::{Key, Setting, set};
use crate::config::draft::Draft;
use crate::config::error::Problem;
use crate::config::types::Notice;

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
    tls("ssl.quorum.keyStore.location", "/etc/zookeeper/key.pem"),
    tls("ssl.quorum.keyStore.password", "secret"),
    tls("ssl.quorum.keyStore.passwordPath", "/etc/zookeeper/key.password"),
    tls("ssl.quorum.keyStore.type", "PEM"),
    tls("ssl.quorum.trustStore.location", "/etc/zookeeper/trust.pem"),
    tls("ssl.quorum.trustStore.password", "secret"),
    tls("ssl.quorum.trustStore.passwordPath", "/etc/zookeeper/trust.password"),
    tls("ssl.quorum.trustStore.type", "PEM"),
    tls("ssl.quorum.protocol", "TLSv1.3"),
    tls("ssl.quorum.enabledProtocols", "TLSv1.3,TLSv1.2"),
    tls("ssl.quorum.ciphersuites", "TLS_AES_128_GCM_SHA256"),
    tls("ssl.quorum.context.supplier.class", "com.example.Supplier"),
    tls("ssl.quorum.hostnameVerification", "true"),
    tls("ssl.quorum.clientHostnameVerification", "false"),
    tls("ssl.quorum.allowReverseDnsLookup", "false"),
    tls("ssl.quorum.crl", "false"),
    tls("ssl.quorum.ocsp", "false"),
    tls("ssl.quorum.clientAuth", "need"),
    tls("ssl.quorum.handshakeDetectionTimeoutMillis", "5000"),
    tls("X509AuthenticationProvider.superUser", "CN=admin"),
    tls("sslQuorumReloadCertFiles", "false"),
    tls("client.certReload", "false"),
];
