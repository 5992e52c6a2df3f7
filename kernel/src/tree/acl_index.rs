//! Long access control lists, prepared so that a check does not go through them.
//!
//! A list may have thousands of entries and a request may name thousands of nodes that have it. So a
//! check costs as much as the connection has identities, however long the list is.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use jute_proto::{Acl, Id, Perms};

use super::policy::Policy;
use super::scheme::{self, Address, Mask, Network, NetworkKey};

/// The permissions of a list by whom they are for.
///
/// A check asks whether any matching entry has one of the permissions that are needed. So the permissions of
/// the entries that match the same identities can be joined.
#[derive(Debug, Default)]
pub(super) struct AclIndex {
    anyone: Joined,
    /// An identity of the scheme `sasl` that is called `super`.
    sasl: Joined,
    /// Entry and joined permissions of each id that stands for itself.
    named: HashTable<(u32, Joined)>,
    networks: HashMap<NetworkKey, Joined>,
    /// The kinds of `networks`: how many bits count, of which family.
    masks: Vec<Mask>,
    hasher: DefaultHashBuilder,
}

/// Permissions of several entries.
#[derive(Clone, Copy, Debug, Default)]
struct Joined(i32);

impl Joined {
    fn add(&mut self, perms: Perms) {
        self.0 |= perms.0;
    }

    fn intersects(self, needed: Perms) -> bool {
        Perms(self.0).intersects(needed)
    }
}

impl AclIndex {
    pub(super) fn new(entries: &[Acl]) -> Self {
        let mut index = Self::default();
        for (at, Acl { perms, id }) in (0..).zip(entries) {
            if scheme::is_anyone(id) {
                index.anyone.add(*perms);
            } else if id.scheme == "ip" {
                index.add_network(*perms, id);
            } else {
                if id.scheme == "sasl" {
                    index.sasl.add(*perms);
                }
                index.add_named(entries, at, *perms);
            }
        }
        index
    }

    fn add_network(&mut self, perms: Perms, id: &Id) {
        // What cannot be read matches nobody.
        let Some(key) = Network::parse(&id.id).map(|network| network.key()) else { return };
        if !self.masks.contains(&key.mask()) {
            self.masks.push(key.mask());
        }
        self.networks.entry(key).or_default().add(perms);
    }

    fn add_named(&mut self, entries: &[Acl], at: u32, perms: Perms) {
        let id = &entries[at as usize].id;
        let Self { named, hasher, .. } = self;
        let is_it = |(other, _): &(u32, Joined)| entries[*other as usize].id == *id;
        let rehash = |(other, _): &(u32, Joined)| hasher.hash_one(&entries[*other as usize].id);
        let entry = named.entry(hasher.hash_one(id), is_it, rehash);
        entry.or_insert((at, Joined::default())).get_mut().1.add(perms);
    }

    /// Whether one of the identities has one of the permissions `needed`. `entries` are those that the index
    /// was made of.
    pub(super) fn allows(
        &self,
        entries: &[Acl],
        identities: &[Id],
        needed: Perms,
        policy: Policy,
    ) -> bool {
        self.anyone.intersects(needed)
            || identities.iter().any(|id| self.allows_one(entries, id, needed, policy))
    }

    fn allows_one(&self, entries: &[Acl], identity: &Id, needed: Perms, policy: Policy) -> bool {
        let is_known = match identity.scheme.as_str() {
            "ip" => return self.allows_address(&identity.id, needed),
            "digest" => !policy.no_digest_scheme,
            "x509" => policy.x509_scheme,
            "sasl" => policy.sasl_scheme,
            _ => false,
        };
        if !is_known {
            return false;
        }
        if identity.scheme == "sasl" && identity.id == "super" && self.sasl.intersects(needed) {
            return true;
        }
        let is_it = |(at, _): &(u32, Joined)| entries[*at as usize].id == *identity;
        let found = self.named.find(self.hasher.hash_one(identity), is_it);
        found.is_some_and(|(_, perms)| perms.intersects(needed))
    }

    fn allows_address(&self, address: &str, needed: Perms) -> bool {
        let Some(address) = Address::parse(address) else { return false };
        let networks = self.masks.iter().filter_map(|mask| mask.network_of(address));
        networks.filter_map(|key| self.networks.get(&key)).any(|perms| perms.intersects(needed))
    }
}
