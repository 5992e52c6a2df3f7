//! What an `auth` packet proves: credentials become identities of the connection.
//!
//! Identities belong to the connection and not to the session; a client sends its credentials again
//! after each reconnect (ZooKeeper's `AuthPacket`, answered outside of the request order).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jute_proto::Id;
use sha1::Digest;

/// Hash of the scheme `digest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-1, ZooKeeper's default.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-512.
    Sha3_512,
}

/// Which credentials a server accepts, and what they make of a connection.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Whether the `digest` scheme exists at all.
    pub digest_enabled: bool,
    /// The hash of the `digest` scheme.
    pub digest_algorithm: DigestAlgorithm,
    /// `user:base64hash` of the super user, who may do everything.
    pub super_digest: Option<String>,
    /// The subject of the certificate of the super user.
    pub super_subject: Option<String>,
    /// The names that the `ensemble` scheme accepts; `None` where the scheme does not exist.
    pub ensemble_names: Option<Vec<String>>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            digest_enabled: true,
            digest_algorithm: DigestAlgorithm::Sha1,
            super_digest: None,
            super_subject: None,
            ensemble_names: None,
        }
    }
}

/// Why credentials were refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthFailure {
    /// No provider has this name; answered with `AUTHFAILED`, then the connection is closed.
    #[error("no authentication provider for scheme {0:?}")]
    UnknownScheme(String),
    /// The provider did not take the credentials; answered likewise.
    #[error("scheme {0:?} refused the credentials")]
    Refused(String),
    /// More identities than a connection may have; answered likewise.
    #[error("a connection cannot have that many identities")]
    TooMany,
    /// Identities that would take more room than those of a connection may; answered likewise.
    #[error("the identities of a connection cannot be that long")]
    TooLong,
    /// The client meant another ensemble; the connection is closed without an answer.
    #[error("the client expected another ensemble: {0:?}")]
    OtherEnsemble(String),
}

/// The identity that every connection has from the start.
pub fn ip_identity(address: IpAddr) -> Id {
    Id { scheme: "ip".to_owned(), id: address.to_canonical().to_string() }
}

/// The id that the `digest` scheme makes of `user:password`.
pub fn digest_id(algorithm: DigestAlgorithm, user_and_password: &[u8]) -> String {
    let user = user_and_password.split(|byte| *byte == b':').next().unwrap_or_default();
    let hash = BASE64.encode(hash(algorithm, user_and_password));
    format!("{}:{hash}", String::from_utf8_lossy(user))
}

fn hash(algorithm: DigestAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
        DigestAlgorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        DigestAlgorithm::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        DigestAlgorithm::Sha3_256 => sha3::Sha3_256::digest(bytes).to_vec(),
        DigestAlgorithm::Sha3_512 => sha3::Sha3_512::digest(bytes).to_vec(),
    }
}

/// Turns the credentials of an `auth` packet into identities.
///
/// # Errors
/// [`AuthFailure`] says why they were refused. A wrong password is not an error: it makes another,
/// useless identity (`DigestAuthenticationProvider.handleAuthentication`).
pub fn authenticate(
    settings: &AuthSettings,
    address: IpAddr,
    scheme: &str,
    credentials: Option<&[u8]>,
) -> Result<Vec<Id>, AuthFailure> {
    if credentials.is_none() && scheme == "digest" {
        return Err(AuthFailure::Refused(scheme.to_owned()));
    }
    let credentials = credentials.unwrap_or_default();
    match scheme {
        "ip" => Ok(vec![ip_identity(address)]),
        "digest" if settings.digest_enabled => Ok(digest_identities(settings, credentials)),
        "ensemble" => match &settings.ensemble_names {
            Some(names) => check_ensemble(names, credentials),
            None => Err(AuthFailure::UnknownScheme(scheme.to_owned())),
        },
        "x509" => Err(AuthFailure::Refused(scheme.to_owned())),
        _ => Err(AuthFailure::UnknownScheme(scheme.to_owned())),
    }
}

/// The `ensemble` scheme proves nothing about the client: it lets the client leave an ensemble that
/// it did not mean (`EnsembleAuthenticationProvider`).
fn check_ensemble(names: &[String], credentials: &[u8]) -> Result<Vec<Id>, AuthFailure> {
    let wanted = String::from_utf8_lossy(credentials);
    if wanted.is_empty() || names.iter().any(|name| *name == wanted) {
        Ok(Vec::new())
    } else {
        Err(AuthFailure::OtherEnsemble(wanted.into_owned()))
    }
}

/// The identities of a client whose certificate has this subject
/// (`X509AuthenticationProvider.handleAuthentication`).
pub fn subject_identities(settings: &AuthSettings, subject: String) -> Vec<Id> {
    let mut identities = Vec::with_capacity(2);
    if settings.super_subject.as_deref() == Some(&subject) {
        identities.push(Id { scheme: "super".to_owned(), id: subject.clone() });
    }
    identities.push(Id { scheme: "x509".to_owned(), id: subject });
    identities
}

fn digest_identities(settings: &AuthSettings, credentials: &[u8]) -> Vec<Id> {
    let id = digest_id(settings.digest_algorithm, credentials);
    let mut identities = Vec::with_capacity(2);
    if settings.super_digest.as_deref() == Some(&id) {
        identities.push(Id { scheme: "super".to_owned(), id: String::new() });
    }
    identities.push(Id { scheme: "digest".to_owned(), id });
    identities
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn digest_ids_are_those_of_zookeeper() {
        // The id of a user is the one that ZooKeeper's own tool computes.
        assert_eq!(
            digest_id(DigestAlgorithm::Sha1, b"super:test"),
            "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
        );
    }

    #[test]
    fn the_super_user_is_recognised() {
        // The digest named in the configuration adds the super identity, another password does not.
        let settings = AuthSettings {
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
            ..AuthSettings::default()
        };
        let schemes = |credentials: &[u8]| -> Vec<String> {
            let ids =
                authenticate(&settings, ADDRESS, "digest", Some(credentials)).expect("accepted");
            ids.into_iter().map(|id| id.scheme).collect()
        };
        assert_eq!(schemes(b"super:test"), ["super", "digest"]);
        assert_eq!(schemes(b"super:other"), ["digest"]);
    }

    #[test]
    fn the_certificate_of_the_super_user_is_recognised() {
        // A client whose certificate has the subject of the configuration is the superuser too.
        let settings = AuthSettings {
            super_subject: Some("CN=admin,O=x".to_owned()),
            ..AuthSettings::default()
        };
        let ids = |subject: &str| subject_identities(&settings, subject.to_owned());
        let admin = "CN=admin,O=x";
        assert_eq!(ids(admin), [Id::new("super", admin), Id::new("x509", admin)]);
        assert_eq!(ids("CN=admin"), [Id::new("x509", "CN=admin")]);
    }

    #[test]
    fn unknown_schemes_fail() {
        // A scheme without a provider is AUTHFAILED; `world` and `auth` are no providers.
        for scheme in ["world", "auth", "nosuch", "sasl", ""] {
            let result = authenticate(&AuthSettings::default(), ADDRESS, scheme, Some(b"x"));
            assert_eq!(result, Err(AuthFailure::UnknownScheme(scheme.to_owned())));
        }
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        // A dual-stack listener reports ::ffff:1.2.3.4; ACLs name 1.2.3.4.
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().expect("an address");
        assert_eq!(ip_identity(mapped).id, "1.2.3.4");
    }
}
