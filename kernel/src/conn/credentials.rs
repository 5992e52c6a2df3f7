//! Who the client proves to be.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use jute_proto::{Id, Perms};

use super::settings::Settings;
use crate::limits::{IDENTITIES_LEN_MAX, IDENTITIES_MAX};
use crate::replica::entry::encode_identities;
use crate::session::auth::{AuthFailure, ip_identity};
use crate::tree::{AclList, Policy, acl};

/// The identities of a connection: its address, and what its client has proved, in the order in which it did.
///
/// * None is there twice, none is ever taken away, and together they stay within the limits.
/// * `encoded` is always the encoding of `identities`: each command carries it, and none encodes it again.
#[derive(Debug)]
pub(super) struct Credentials {
    identities: Vec<Id>,
    encoded: Vec<u8>,
}

impl Credentials {
    /// A client of which only the address is known.
    pub(super) fn of_address(address: IpAddr) -> Self {
        let identities = vec![ip_identity(address)];
        Self { encoded: encode_identities(&identities), identities }
    }

    pub(super) fn identities(&self) -> &[Id] {
        &self.identities
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Adds identities that were proved.
    ///
    /// # Errors
    /// Where there is no room for all of them; none is added then.
    pub(super) fn add(&mut self, identities: Vec<Id>) -> Result<(), AuthFailure> {
        let mut new = identities;
        new.retain(|identity| !self.identities.contains(identity));
        if new.is_empty() {
            return Ok(());
        }
        let all = [&self.identities[..], &new].concat();
        if all.len() > IDENTITIES_MAX {
            return Err(AuthFailure::TooMany);
        }
        let encoded = encode_identities(&all);
        if encoded.len() > IDENTITIES_LEN_MAX {
            return Err(AuthFailure::TooLong);
        }
        (self.identities, self.encoded) = (all, encoded);
        Ok(())
    }

    /// Whether one of the enforced schemes was proved, where there are any.
    pub(super) fn suffice(&self, settings: &Settings) -> bool {
        settings.enforced_schemes.as_ref().is_none_or(|schemes| {
            schemes.iter().any(|scheme| self.identities.iter().any(|id| id.scheme == *scheme))
        })
    }

    /// Whether a node with this access control list may be read.
    pub(super) fn may_read(&self, list: &AclList, policy: Policy) -> bool {
        acl::check(list, &self.identities, Perms::READ, policy).is_ok()
    }
}
