//! Authorities, keys and certificates drawn for tests.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::options::{ClientAuth, TlsOptions, TlsVersion};

/// An authority, and the directory where its files are.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    /// A new authority that writes to `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        // Authorities are told apart by their names.
        params.distinguished_name.push(DnType::CommonName, dir.display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("trust.pem"), issuer.pem()).unwrap();
        Self { issuer, dir: dir.to_owned() }
    }

    /// A certificate with this subject, in DER.
    pub(crate) fn certificate(&self, subject: &[(&str, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (word, value) in subject {
            let kind = if *word == "CN" { DnType::CommonName } else { DnType::OrganizationName };
            params.distinguished_name.push(kind, *value);
        }
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().to_vec()
    }

    /// Options with a new key, whose certificate is made out to `host`.
    pub(crate) fn options(&self, name: &str, host: &str) -> TlsOptions {
        let key_store = self.dir.join(format!("{name}.pem"));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&key_store, key.serialize_pem() + &certificate.pem()).unwrap();
        TlsOptions {
            key_store,
            trust_store: Some(self.dir.join("trust.pem")),
            verify_host: true,
            client_auth: ClientAuth::Need,
            versions: TlsVersion::ALL.to_vec(),
            cipher_suites: Vec::new(),
            reload: false,
        }
    }
}
