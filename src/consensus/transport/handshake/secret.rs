//! What the servers of an ensemble know, and others do not: who may be one, where there are no certificates.
//!
//! Each side sends a number drawn for this connection, and shows that it knows the secret by an HMAC over both
//! numbers, who is who, and what the connection is for. The secret itself does not travel. What is said behind it
//! is neither encrypted nor protected: that takes TLS.
//!
//! Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::hello::Purpose;
use crate::env::fs;
use crate::env::random;

/// The shortest secret that is taken, in bytes.
pub(crate) const SECRET_LEN_MIN: usize = 16;

/// The bytes of a number drawn for a connection.
pub(crate) const NONCE_LEN: usize = 32;

/// The bytes of what shows that the secret is known.
pub(crate) const PROOF_LEN: usize = 32;

/// Stands for one where there is no secret.
pub(crate) const NO_PROOF: [u8; PROOF_LEN] = [0; PROOF_LEN];

/// The secret of an ensemble, if it has one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Secret(Option<Arc<[u8]>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Secret" } else { "no secret" })
    }
}

/// Two servers on a connection, and its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandshakeParties {
    /// The member that connects.
    pub(crate) dialler: u64,
    /// The number of the server that it connects to.
    pub(crate) acceptor: u64,
    pub(crate) purpose: Purpose,
    /// Whether this server is the one that connects.
    pub(crate) dials: bool,
}

/// The numbers drawn for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nonces {
    pub(crate) own: [u8; NONCE_LEN],
    pub(crate) theirs: [u8; NONCE_LEN],
}

impl Secret {
    /// Reads the secret from a file; white space around it does not count.
    ///
    /// # Errors
    /// The file cannot be read; `InvalidData` where it is shorter than [`SECRET_LEN_MIN`].
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let secret = bytes.trim_ascii();
        if secret.len() < SECRET_LEN_MIN {
            let what = format!(
                "a secret has at least {SECRET_LEN_MIN} bytes, this one has {}",
                secret.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self(Some(secret.into())))
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// What shows the other side that this one knows the secret.
    pub(crate) fn prove(&self, parties: &HandshakeParties, nonces: &Nonces) -> [u8; PROOF_LEN] {
        let mac = self.mac(parties, nonces, parties.dials);
        mac.map_or(NO_PROOF, |mac| mac.finalize().into_bytes().into())
    }

    /// Whether the other side knows the secret, or there is none.
    pub(crate) fn accepts(
        &self,
        parties: &HandshakeParties,
        nonces: &Nonces,
        proof: &[u8],
    ) -> bool {
        let nonces = Nonces { own: nonces.theirs, theirs: nonces.own };
        let mac = self.mac(parties, &nonces, !parties.dials);
        mac.is_none_or(|mac| mac.verify_slice(proof).is_ok())
    }

    /// Over what the prover, who dials or does not, says.
    fn mac(
        &self,
        parties: &HandshakeParties,
        nonces: &Nonces,
        dials: bool,
    ) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()?).ok()?;
        mac.update(b"grovekeeper peer");
        mac.update(&[u8::from(dials), parties.purpose.encode()]);
        mac.update(&parties.dialler.to_be_bytes());
        mac.update(&parties.acceptor.to_be_bytes());
        mac.update(&nonces.own);
        mac.update(&nonces.theirs);
        Some(mac)
    }
}

/// A number that was not drawn before and cannot be foretold.
pub(crate) fn nonce() -> [u8; NONCE_LEN] {
    random::bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{BUILD_5DE72FB, assert_written, golden};

    #[test]
    fn only_who_knows_the_secret_can_prove_it() {
        // Not with another secret, nor with what either side said on this or another connection.
        let secret = |text: &str| Secret(Some(text.as_bytes().into()));
        let (ours, others) = (secret("a secret of ours"), secret("one of somebody else"));
        let here =
            HandshakeParties { dialler: 1, acceptor: 2, purpose: Purpose::Raft, dials: true };
        let there = HandshakeParties { dials: false, ..here };
        let at_here = Nonces { own: nonce(), theirs: nonce() };
        let at_there = Nonces { own: at_here.theirs, theirs: at_here.own };
        let proof = ours.prove(&here, &at_here);
        assert!(ours.accepts(&there, &at_there, &proof));
        assert!(ours.accepts(&here, &at_here, &ours.prove(&there, &at_there)));
        assert!(!ours.accepts(&here, &at_here, &proof), "its own word comes back");
        assert!(!ours.accepts(&there, &at_there, &others.prove(&here, &at_here)));
        assert!(!ours.accepts(&there, &at_there, &NO_PROOF));
        assert!(!ours.accepts(&HandshakeParties { dialler: 3, ..there }, &at_there, &proof));
        assert!(!ours.accepts(
            &HandshakeParties { purpose: Purpose::Forward, ..there },
            &at_there,
            &proof
        ));
        let later = Nonces { own: nonce(), ..at_there };
        assert!(!ours.accepts(&there, &later, &proof), "what was said once is said again");
        assert!(Secret::default().accepts(&there, &at_there, &proof), "where there is none");
    }

    #[test]
    fn a_secret_that_is_too_short_is_refused() {
        // White space does not make it longer.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "  short one        \n").unwrap();
        let error = Secret::read(&file).unwrap_err();
        assert!(error.to_string().contains("at least 16 bytes"), "{error}");
        std::fs::write(&file, "sixteen bytes it is\n").unwrap();
        assert!(Secret::read(&file).unwrap().is_some());
    }

    #[test]
    fn proofs_of_earlier_builds_are_accepted() {
        // What shows that the secret is known is the same in all builds that know secrets.
        let secret = Secret(Some(Arc::from(&b"a secret of ours"[..])));
        let parties =
            HandshakeParties { dialler: 3, acceptor: 2, purpose: Purpose::Raft, dials: true };
        let nonces = Nonces { own: [1; NONCE_LEN], theirs: [2; NONCE_LEN] };
        assert_written(BUILD_5DE72FB, "introduction.proof", &secret.prove(&parties, &nonces));
        let parties = HandshakeParties { dials: false, ..parties };
        let nonces = Nonces { own: nonces.theirs, theirs: nonces.own };
        assert!(secret.accepts(&parties, &nonces, &golden(BUILD_5DE72FB, "introduction.proof")));
    }
}
