//! Access control: who may do what to a node, and which lists may be set.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use jute_proto::{Acl, Id, Perms};

use super::acl_index::AclIndex;
use super::digest;
use super::error::OpError;
use super::policy::Policy;
use super::scheme::{self, is_anyone};
use crate::limits::{APPLIED_ACL_LEN_MAX, APPLIED_ACLS_LEN_MAX};

/// Lists of more entries are looked up, shorter ones gone through.
const SCANNED_MAX: usize = 8;

/// An access control list that nodes share.
pub struct AclList {
    entries: Box<[Acl]>,
    hash: u64,
    /// Where the list is long.
    index: Option<Box<AclIndex>>,
}

/// A shared access control list: one pointer in each node that has it.
pub type AclRef = Arc<AclList>;

impl AclList {
    /// The list on its own, not shared with the nodes of a tree.
    #[must_use]
    pub fn new(entries: &[Acl]) -> Self {
        let index = (entries.len() > SCANNED_MAX).then(|| Box::new(AclIndex::new(entries)));
        Self { entries: entries.into(), hash: digest::hash_acl(entries), index }
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

impl PartialEq for AclList {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for AclList {}

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
    let allowed = match &list.index {
        None => list.entries.iter().any(allows),
        Some(index) => index.allows(&list.entries, identities, needed, policy),
    };
    if allowed || identities.iter().any(is_super) { Ok(()) } else { Err(OpError::NoAuth) }
}

/// The length of a list as clients send it, in bytes.
#[must_use]
pub fn encoded_len(entries: &[Acl]) -> usize {
    entries.iter().map(entry_len).sum()
}

/// Permissions, and two strings with their lengths.
fn entry_len(acl: &Acl) -> usize {
    id_len(&acl.id) + size_of::<i32>()
}

fn id_len(id: &Id) -> usize {
    2 * size_of::<i32>() + id.scheme.len() + id.id.len()
}

/// What one `auth` entry becomes: how many entries, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// How many entries.
    pub entries: usize,
    /// How many bytes they take.
    pub len: usize,
}

impl Expansion {
    /// For a connection that has proved these identities.
    #[must_use]
    pub fn new(identities: &[Id], policy: Policy) -> Self {
        let proved = identities.iter().filter(|id| scheme::is_proof(&id.scheme, policy));
        proved.fold(Self::default(), |all, id| Self {
            entries: all.entries + 1,
            len: all.len + id_len(id) + size_of::<i32>(),
        })
    }
}

/// Entries of a list that were not there before.
struct Distinct<'a>(Option<HashSet<&'a Acl>>);

impl<'a> Distinct<'a> {
    fn of(list: &[Acl]) -> Self {
        Self((list.len() > SCANNED_MAX).then(|| HashSet::with_capacity(list.len())))
    }

    /// Whether the entry at this place is not among those before it; to be asked in their order.
    fn is_new(&mut self, list: &'a [Acl], at: usize) -> bool {
        match &mut self.0 {
            Some(known) => known.insert(&list[at]),
            None => !list[..at].contains(&list[at]),
        }
    }
}

/// What becomes of a list that a client sends: duplicates go, and `auth` becomes the identities
/// that the connection has proved.
///
/// # Errors
/// [`OpError::InvalidAcl`] where the list is empty, an entry's scheme is unknown or its id is not
/// one of the scheme's, `auth` is asked for by a connection that proved nothing, or the list would become
/// longer than [`APPLIED_ACL_LEN_MAX`].
pub fn fixup<'a>(
    requested: Option<&'a [Acl]>,
    identities: &[Id],
    policy: Policy,
) -> Result<Cow<'a, [Acl]>, OpError> {
    let requested = requested.unwrap_or_default();
    if requested.is_empty() {
        return Err(OpError::InvalidAcl);
    }
    if let [only] = requested
        && is_anyone(&only.id)
    {
        return Ok(Cow::Borrowed(requested));
    }
    let (mut as_is, mut distinct, mut expanded) = (true, Distinct::of(requested), 0);
    for (at, acl) in requested.iter().enumerate() {
        if !distinct.is_new(requested, at) {
            as_is = false;
        } else if acl.id.scheme == "auth" {
            as_is = false;
            expanded += 1;
        } else if !is_anyone(&acl.id) && !scheme::is_valid(&acl.id, policy) {
            return Err(OpError::InvalidAcl);
        }
    }
    if as_is {
        return Ok(Cow::Borrowed(requested));
    }
    let expansion = Expansion::new(identities, policy);
    let is_unproved = expanded > 0 && expansion.entries == 0;
    if is_unproved || expansion.len.saturating_mul(expanded) > APPLIED_ACL_LEN_MAX {
        return Err(OpError::InvalidAcl);
    }
    Ok(Cow::Owned(expand(requested, identities, policy)))
}

fn expand(requested: &[Acl], identities: &[Id], policy: Policy) -> Vec<Acl> {
    let mut distinct = Distinct::of(requested);
    let mut expanded = Vec::with_capacity(requested.len());
    for (at, acl) in requested.iter().enumerate() {
        if !distinct.is_new(requested, at) {
            continue;
        }
        if acl.id.scheme == "auth" {
            let proved = identities.iter().filter(|id| scheme::is_proof(&id.scheme, policy));
            expanded.extend(proved.map(|id| Acl { perms: acl.perms, id: id.clone() }));
        } else {
            expanded.push(acl.clone());
        }
    }
    expanded
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
    /// Each behind its hash.
    lists: HashTable<(u64, AclRef)>,
    /// Seeded anew in each process, so that no client can choose lists that collide.
    hasher: DefaultHashBuilder,
    /// `world:anyone:cdrwa`, which most nodes have.
    open: AclRef,
    /// What the lists weigh together.
    weight: usize,
    /// Lists that no node has any more are dropped when the table reaches this weight.
    purge_at: usize,
    /// Bytes of the lists that the write at hand made of shorter ones.
    expanded_len: usize,
}

const PURGE_AT_MIN: usize = 1 << 20;

impl AclTable {
    pub(super) fn new() -> Self {
        Self {
            lists: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            open: Arc::new(AclList::new(&Acl::open())),
            weight: 0,
            purge_at: PURGE_AT_MIN,
            expanded_len: 0,
        }
    }

    /// Another write begins, which may expand lists up to the limit again.
    pub(super) fn begin_write(&mut self) {
        self.expanded_len = 0;
    }

    /// What becomes of a list that a client sends, see [`fixup`].
    ///
    /// # Errors
    /// As there; also where the lists of the write at hand became longer than [`APPLIED_ACLS_LEN_MAX`]
    /// together. A `multi` of many short lists must not fill the memory.
    pub(super) fn fix_up<'a>(
        &mut self,
        requested: Option<&'a [Acl]>,
        identities: &[Id],
        policy: Policy,
    ) -> Result<Cow<'a, [Acl]>, OpError> {
        let list = fixup(requested, identities, policy)?;
        if let Cow::Owned(list) = &list {
            self.expanded_len += encoded_len(list);
        }
        if self.expanded_len > APPLIED_ACLS_LEN_MAX { Err(OpError::InvalidAcl) } else { Ok(list) }
    }

    /// The shared list with these entries.
    pub(super) fn intern(&mut self, entries: &[Acl]) -> AclRef {
        if *self.open.entries == *entries {
            return Arc::clone(&self.open);
        }
        let hash = self.hasher.hash_one(entries);
        if let Some((_, known)) = self.lists.find(hash, |(_, list)| *list.entries == *entries) {
            return Arc::clone(known);
        }
        self.purge();
        let list = Arc::new(AclList::new(entries));
        self.weight += weight(&list);
        self.lists.insert_unique(hash, (hash, Arc::clone(&list)), |(hash, _)| *hash);
        list
    }

    fn purge(&mut self) {
        if self.weight < self.purge_at {
            return;
        }
        let mut left = 0;
        self.lists.retain(|(_, list)| {
            let is_used = Arc::strong_count(list) > 1;
            left += if is_used { weight(list) } else { 0 };
            is_used
        });
        self.weight = left;
        self.purge_at = PURGE_AT_MIN.max(2 * left);
    }
}

/// About what a list takes in memory, in bytes.
fn weight(list: &AclList) -> usize {
    size_of::<AclList>() + list.entries.len() * size_of::<Acl>() + encoded_len(&list.entries)
}

#[cfg(test)]
#[path = "acl_test.rs"]
mod tests;
