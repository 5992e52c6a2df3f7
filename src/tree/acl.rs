//! Access control: who may do what to a node, and which lists may be set.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use jute_proto::{Acl, Id, Perms};

use super::digest;
use super::error::OpError;
use super::policy::Policy;
use super::scheme;

/// An access control list that nodes share.
#[derive(PartialEq, Eq)]
pub struct AclList {
    entries: Box<[Acl]>,
    hash: u64,
}

/// A shared access control list: one pointer in each node that has it.
pub type AclRef = Arc<AclList>;

impl AclList {
    /// The list on its own, not shared with the nodes of a tree.
    #[must_use]
    pub fn new(entries: &[Acl]) -> Self {
        Self { entries: entries.into(), hash: digest::hash_acl(entries) }
    }

    /// Its entries, in the order in which they were set.
    #[must_use]
    pub fn entries(&self) -> &[Acl] {
        &self.entries
    }

    /// Its part in the digest of a node.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

impl fmt::Debug for AclList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(ToString::to_string)).finish()
    }
}

/// Checks that one of `identities` has one of the permissions `needed`.
///
/// # Errors
/// [`OpError::NoAuth`] where none has.
pub fn check(
    list: &AclList,
    identities: &[Id],
    needed: Perms,
    policy: Policy,
) -> Result<(), OpError> {
    if policy.skip_acl || list.entries.is_empty() {
        return Ok(());
    }
    let is_super = |id: &Id| id.scheme == "super";
    let allows = |acl: &Acl| {
        acl.perms.intersects(needed)
            && (is_anyone(&acl.id)
                || identities.iter().any(|id| scheme::matches(&acl.id, id, policy)))
    };
    if list.entries.iter().any(allows) || identities.iter().any(is_super) {
        Ok(())
    } else {
        Err(OpError::NoAuth)
    }
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

/// What becomes of a list that a client sends: duplicates go, and `auth` becomes the identities
/// that the connection has proved.
///
/// # Errors
/// [`OpError::InvalidAcl`] where the list is empty, an entry's scheme is unknown or its id is not
/// one of the scheme's, or `auth` is asked for by a connection that proved nothing.
pub fn fixup<'a>(
    requested: Option<&'a [Acl]>,
    identities: &[Id],
    policy: Policy,
) -> Result<Cow<'a, [Acl]>, OpError> {
    let requested = requested.unwrap_or_default();
    if requested.is_empty() {
        return Err(OpError::InvalidAcl);
    }
    let mut as_is = true;
    for (at, acl) in requested.iter().enumerate() {
        if requested[..at].contains(acl) || acl.id.scheme == "auth" {
            as_is = false;
        } else if !is_anyone(&acl.id) && !scheme::is_valid(&acl.id, policy) {
            return Err(OpError::InvalidAcl);
        }
    }
    if as_is {
        return Ok(Cow::Borrowed(requested));
    }
    expand(requested, identities, policy).map(Cow::Owned)
}

fn expand(requested: &[Acl], identities: &[Id], policy: Policy) -> Result<Vec<Acl>, OpError> {
    let mut expanded = Vec::with_capacity(requested.len());
    for (at, acl) in requested.iter().enumerate() {
        if requested[..at].contains(acl) {
            continue;
        }
        if acl.id.scheme != "auth" {
            expanded.push(acl.clone());
            continue;
        }
        let before = expanded.len();
        let proved = identities.iter().filter(|id| scheme::is_proof(&id.scheme, policy));
        expanded.extend(proved.map(|id| Acl { perms: acl.perms, id: id.clone() }));
        if expanded.len() == before {
            return Err(OpError::InvalidAcl);
        }
    }
    Ok(expanded)
}

/// The list as callers without the permission `ADMIN` see it: digests show their users only.
#[must_use]
pub fn masked(list: &AclList) -> Vec<Acl> {
    let mask = |acl: &Acl| {
        let mut acl = acl.clone();
        if acl.id.scheme == "digest"
            && let Some(colon) = acl.id.id.find(':')
        {
            acl.id.id.replace_range(colon.., ":x");
        }
        acl
    };
    list.entries.iter().map(mask).collect()
}

/// The lists of a tree, each kept once however many nodes have it.
#[derive(Debug)]
pub(super) struct AclTable {
    lists: HashTable<AclRef>,
    /// `world:anyone:cdrwa`, which most nodes have.
    open: AclRef,
    /// Lists that no node has any more are dropped when the table reaches this length.
    purge_at: usize,
}

const PURGE_AT_MIN: usize = 1024;

impl AclTable {
    pub(super) fn new() -> Self {
        Self {
            lists: HashTable::new(),
            open: Arc::new(AclList::new(&Acl::open())),
            purge_at: PURGE_AT_MIN,
        }
    }

    /// The shared list with these entries.
    pub(super) fn intern(&mut self, entries: &[Acl]) -> AclRef {
        if *self.open.entries == *entries {
            return Arc::clone(&self.open);
        }
        let hash = digest::hash_acl(entries);
        if let Some(known) = self.lists.find(hash, |list| *list.entries == *entries) {
            return Arc::clone(known);
        }
        self.purge();
        let list = Arc::new(AclList { entries: entries.into(), hash });
        self.lists.insert_unique(hash, Arc::clone(&list), |list| list.hash);
        list
    }

    fn purge(&mut self) {
        if self.lists.len() >= self.purge_at {
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.purge_at = PURGE_AT_MIN.max(self.lists.len() * 2);
        }
    }
}

#[cfg(test)]
#[path = "acl_test.rs"]
mod tests;
