//! Authorities, keys and certificates drawn for tests, as PEM files in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use integration::{ServerOptions, free_port};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

/// An authority: `FILE.pem` has its certificate.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path, file: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, file);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        fs::write(folder.join(format!("{file}.pem")), issuer.pem()).expect("written");
        Self { issuer, folder: folder.to_owned() }
    }

    /// Draws a key for `CN=NAME,O=Example, Inc.` whose certificate is made out to `hosts`;
    /// `NAME.pem` has both.
    pub(crate) fn draw(&self, name: &str, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pem = key.serialize_pem() + &certificate.pem();
        fs::write(self.folder.join(format!("{name}.pem")), pem).expect("written");
    }
}

/// Settings of a server with a secure port, whose key is `server.pem` and which trusts `trust.pem`;
/// and the port.
pub(crate) fn secured(options: ServerOptions, folder: &Path) -> (ServerOptions, u16) {
    let port = free_port();
    let file = |name: &str| folder.join(name).display().to_string();
    let options = options
        .set("secureClientPort", &port.to_string())
        .set("secureClientPortAddress", "127.0.0.1")
        .set("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory")
        .set("ssl.keyStore.location", &file("server.pem"))
        .set("ssl.trustStore.location", &file("trust.pem"));
    (options, port)
}
