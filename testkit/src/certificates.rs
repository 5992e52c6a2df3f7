//! Authorities, keys and certificates drawn for tests, as PEM files in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

/// An authority: `NAME.pem` has its certificate.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// A new authority that writes to `folder`, which is made where it is missing.
    ///
    /// # Panics
    ///
    /// When it cannot write there.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        let file = folder.join(format!("{name}.pem"));
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        // Authorities are told apart by their names.
        params.distinguished_name.push(DnType::CommonName, file.display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(file, issuer.pem()).expect("written");
        Self { issuer, folder: folder.to_owned() }
    }

    /// Draws a key for `CN=NAME,O=Example, Inc.` whose certificate is made out to `hosts`;
    /// `NAME.pem` has both.
    ///
    /// # Panics
    ///
    /// When a host is no name, or the file cannot be written.
    pub fn issue(&self, name: &str, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name = subject(&[("CN", name), ("O", "Example, Inc.")]);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pem = key.serialize_pem() + &certificate.pem();
        fs::write(self.folder.join(format!("{name}.pem")), pem).expect("written");
    }

    /// A certificate with a subject of these parts, each `CN` or `O`, in DER.
    ///
    /// # Panics
    ///
    /// When the library refuses the subject.
    #[must_use]
    pub fn certificate(&self, parts: &[(&str, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.distinguished_name = subject(parts);
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, &self.issuer).expect("a certificate").der().to_vec()
    }
}

fn subject(parts: &[(&str, &str)]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for (kind, value) in parts {
        let kind = if *kind == "CN" { DnType::CommonName } else { DnType::OrganizationName };
        subject.push(kind, *value);
    }
    subject
}
