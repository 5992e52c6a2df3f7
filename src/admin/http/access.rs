//! Access to the privileged commands: it takes all permissions on `/`.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use jute_proto::{Id, Perms};
use kernel::conn::Settings;
use kernel::session::auth::authenticate;
use kernel::tree::Tree;

use super::answer::Answer;
use crate::admin::NodeView;

/// Why a command is not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denied {
    /// There are no credentials.
    Missing,
    /// They prove nothing.
    NotAuthenticated,
    /// What they prove is not enough.
    NotAuthorized,
}

impl Denied {
    pub(super) fn answer(self, command: &str) -> Answer {
        let (status, error) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, "Auth info is missing for the command"),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "Not authenticated"),
            Self::NotAuthorized => (StatusCode::FORBIDDEN, "Not authorized"),
        };
        Answer::error(command, status, error)
    }
}

/// Judges the credentials of a request.
pub(super) async fn check(
    view: &NodeView,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<(), Denied> {
    let credentials = headers.get(header::AUTHORIZATION).ok_or(Denied::Missing)?;
    let credentials = credentials.to_str().map_err(|_| Denied::NotAuthenticated)?;
    let identities = identities(&view.core.settings, credentials, peer)?;
    authorize(view.core.replica.read().await.tree(), &view.core.settings, &identities)
}

/// `scheme` or `scheme credentials`, as an `auth` packet would carry them.
fn identities(settings: &Settings, credentials: &str, peer: IpAddr) -> Result<Vec<Id>, Denied> {
    let parts: Vec<&str> = credentials.split(' ').collect();
    let (scheme, secret) = match parts[..] {
        [scheme] => (scheme, None),
        [scheme, secret] => (scheme, Some(secret.as_bytes())),
        _ => return Err(Denied::NotAuthenticated),
    };
    let identities = authenticate(&settings.auth, peer, scheme, secret);
    let identities = identities.map_err(|_| Denied::NotAuthenticated)?;
    if identities.is_empty() { Err(Denied::NotAuthenticated) } else { Ok(identities) }
}

/// Each permission has to be granted by itself (ZOOKEEPER-4964).
fn authorize(tree: &Tree, settings: &Settings, identities: &[Id]) -> Result<(), Denied> {
    let root = tree.get("/").ok_or(Denied::NotAuthorized)?;
    let needed = [Perms::READ, Perms::WRITE, Perms::CREATE, Perms::DELETE, Perms::ADMIN];
    let granted = |perm| tree.check_acl(root, identities, perm, settings.policy).is_ok();
    if needed.into_iter().all(granted) { Ok(()) } else { Err(Denied::NotAuthorized) }
}

#[cfg(test)]
mod tests {
    use jute_proto::{Acl, SessionId, Zxid};
    use kernel::time::WallTime;
    use kernel::tree::{OpContext, Policy, WriteOp};

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn credentials_are_a_scheme_and_a_secret() {
        // digest and ip prove something; anything else does not.
        let settings = Settings::default();
        let schemes = |text| identities(&settings, text, PEER).map(|ids| ids[0].scheme.clone());
        assert_eq!(schemes("digest ann:pw").as_deref(), Ok("digest"));
        assert_eq!(schemes("ip").as_deref(), Ok("ip"));
        for wrong in ["", "bogus", "digest a b", "x509 cert", "ensemble name"] {
            assert_eq!(schemes(wrong), Err(Denied::NotAuthenticated), "{wrong}");
        }
    }

    #[test]
    fn all_permissions_are_needed() {
        // Who may do everything but administer the root is turned away.
        let settings = Settings::default();
        let ids = identities(&settings, "digest ann:pw", PEER).unwrap();
        let mut tree = Tree::new();
        assert_eq!(authorize(&tree, &settings, &ids), Ok(()));
        let perms = Perms(Perms::ALL.0 & !Perms::ADMIN.0);
        let acl = [Acl { perms, id: ids[0].clone() }];
        let context = OpContext {
            zxid: Zxid(1),
            wall_time: WallTime(0),
            session: SessionId(1),
            identities: &ids,
            policy: Policy::default(),
        };
        let set = WriteOp::SetAcl { path: "/", acl: Some(&acl), version: -1 };
        tree.apply(&context, &set, &mut Vec::new()).unwrap();
        assert_eq!(authorize(&tree, &settings, &ids), Err(Denied::NotAuthorized));
    }
}
