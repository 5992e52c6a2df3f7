//! Authorities, keys and certificates drawn for tests.

use std::path::{Path, PathBuf};

use testkit::certificates;

use super::options::{ClientAuth, TlsOptions, TlsVersion};

/// An authority, and the directory where its files are.
pub(crate) struct Authority {
    authority: certificates::Authority,
    dir: PathBuf,
}

impl Authority {
    /// A new authority that writes to `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { authority: certificates::Authority::new(dir, "trust"), dir: dir.to_owned() }
    }

    /// A certificate with this subject, in DER.
    pub(crate) fn certificate(&self, subject: &[(&str, &str)]) -> Vec<u8> {
        self.authority.certificate(subject)
    }

    /// Options with a new key, whose certificate is made out to `host`.
    pub(crate) fn options(&self, name: &str, host: &str) -> TlsOptions {
        self.authority.issue(name, &[host]);
        TlsOptions {
            key_store: self.dir.join(format!("{name}.pem")),
            trust_store: Some(self.dir.join("trust.pem")),
            verify_host: true,
            client_auth: ClientAuth::Need,
            versions: TlsVersion::ALL.to_vec(),
            cipher_suites: Vec::new(),
            reload: false,
        }
    }
}
