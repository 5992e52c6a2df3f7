//! Reading: by path, by session, and with the access checks of each read operation.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use jute_proto::{Acl, Id, Perms, SessionId};

use super::acl;
use super::error::OpError;
use super::node::{Node, NodeKind};
use super::path;
use super::policy::Policy;
use super::tree::Tree;

/// Which containers and nodes with a time to live are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpirySettings {
    /// How long a container may be without ever having had a child, in milliseconds; 0 is for ever.
    pub container_never_used_ms_max: i64,
    /// Whether nodes with a time to live end at all (`extendedTypesEnabled`).
    pub extended_types: bool,
}

impl Tree {
    /// The node of a path, whoever asks. Any string may be asked for; the empty one is the root.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.find(path).map(|id| self.nodes.get(id))
    }

    /// The node, for `getData`, `getChildren`, `getChildren2` and `check`.
    ///
    /// # Errors
    /// [`OpError::NoNode`], [`OpError::NoAuth`] without `READ`.
    pub fn read(&self, path: &str, identities: &[Id], policy: Policy) -> Result<&Node, OpError> {
        let node = self.get(path).ok_or(OpError::NoNode)?;
        self.check_acl(node, identities, Perms::READ, policy)?;
        Ok(node)
    }

    /// The node, for `exists`.
    ///
    /// # Errors
    /// [`OpError::BadArguments`] for a path with NUL, [`OpError::NoNode`], and where the node exists
    /// [`OpError::NoAuth`] without `READ`.
    pub fn exists(&self, path: &str, identities: &[Id], policy: Policy) -> Result<&Node, OpError> {
        if path::has_nul(path) {
            return Err(OpError::BadArguments);
        }
        self.read(path, identities, policy)
    }

    /// The node and its access control list, for `getACL`. Who may not set the list sees no hashes
    /// of passwords.
    ///
    /// # Errors
    /// [`OpError::NoNode`], [`OpError::NoAuth`] without `READ` or `ADMIN`.
    pub fn read_acl(
        &self,
        path: &str,
        identities: &[Id],
        policy: Policy,
    ) -> Result<(&Node, Cow<'_, [Acl]>), OpError> {
        let node = self.get(path).ok_or(OpError::NoNode)?;
        self.check_acl(node, identities, Perms::READ | Perms::ADMIN, policy)?;
        let list = match self.check_acl(node, identities, Perms::ADMIN, policy) {
            Ok(()) => Cow::Borrowed(node.acl().entries()),
            Err(_) => Cow::Owned(acl::masked(node.acl())),
        };
        Ok((node, list))
    }

    /// How many nodes are below a node, for `getAllChildrenNumber`. The number is kept, not counted.
    ///
    /// # Errors
    /// [`OpError::NoNode`], [`OpError::NoAuth`] without `READ`.
    pub fn count_descendants(
        &self,
        path: &str,
        identities: &[Id],
        policy: Policy,
    ) -> Result<u64, OpError> {
        let id = self.find(path).ok_or(OpError::NoNode)?;
        self.check_acl(self.nodes.get(id), identities, Perms::READ, policy)?;
        Ok(self.nodes.descendants(id).nodes)
    }

    /// Checks that one of the identities has one of the permissions on a node.
    ///
    /// # Errors
    /// [`OpError::NoAuth`] where none has.
    pub fn check_acl(
        &self,
        node: &Node,
        identities: &[Id],
        needed: Perms,
        policy: Policy,
    ) -> Result<(), OpError> {
        acl::check(node.acl(), identities, needed, policy)
    }

    /// The ephemeral nodes of a session whose path starts with a prefix, sorted, for
    /// `getEphemerals`. A null, blank or root prefix means all; `/a` also means `/ab`.
    pub fn ephemerals<'a>(
        &'a self,
        session: SessionId,
        prefix: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let prefix = prefix.filter(|prefix| !matches!(prefix.trim(), "" | path::ROOT));
        let prefix = prefix.unwrap_or_default();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let paths = self.ephemerals.get(&session).into_iter();
        let paths = paths.flat_map(move |paths| paths.range::<str, _>(from));
        paths.take_while(move |path| path.starts_with(prefix))
    }

    /// How many ephemeral nodes a session has.
    #[must_use]
    pub fn ephemerals_of(&self, session: SessionId) -> usize {
        self.ephemerals.get(&session).map_or(0, BTreeSet::len)
    }

    /// The sessions that have ephemeral nodes, and these, sorted.
    pub fn sessions_with_ephemerals(
        &self,
    ) -> impl Iterator<Item = (SessionId, impl ExactSizeIterator<Item = &Arc<str>>)> {
        self.ephemerals.iter().map(|(session, paths)| (*session, paths.iter()))
    }

    /// How many nodes are ephemeral.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// How many nodes there are, as ZooKeeper counts: the root twice, so 5 in a fresh tree.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }

    /// Bytes of all paths and data, 44 in a fresh tree.
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        self.data_size
    }

    /// The digest of the whole tree: equal for equal trees of equal
    /// [`digest::VERSION`](super::digest::VERSION).
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The digest as it follows from the nodes alone, at the cost of reading them all.
    #[must_use]
    pub fn recomputed_digest(&self) -> u64 {
        let digests = self.nodes.iter().map(|(_, node)| node.content.digest());
        digests.fold(0, u64::wrapping_add)
    }

    /// Of the next `limit` containers and nodes with a time to live, those whose life is over, sorted within
    /// each kind; `None` behind the last one. `age_ms` says how long each has been as it is. The leader proposes to
    /// delete them; applying that judges them again.
    pub fn expired(
        &self,
        settings: ExpirySettings,
        age_ms: impl Fn(&str, &Node) -> i64,
        search: &mut ExpirySearch,
        limit: usize,
    ) -> Option<Vec<(Arc<str>, &Node)>> {
        let candidates = match search.kind {
            SearchKind::Containers => &self.containers,
            SearchKind::TtlNodes if settings.extended_types => &self.ttl_nodes,
            SearchKind::TtlNodes | SearchKind::Nothing => return None,
        };
        let from = search.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = candidates.range::<str, _>((from, Bound::Unbounded));
        let looked_at: Vec<&Arc<str>> = range.take(limit).collect();
        if looked_at.len() < limit {
            search.go_on_with_the_next_kind();
        } else {
            search.last = looked_at.last().map(|path| Arc::clone(path));
        }
        let over = looked_at.into_iter().filter_map(|path| {
            let node = self.get(path)?;
            is_expired(node, age_ms(path, node), settings).then(|| (Arc::clone(path), node))
        });
        Some(over.collect())
    }

    /// All nodes that may expire.
    pub fn expiring(&self) -> impl Iterator<Item = &Arc<str>> {
        self.containers.iter().chain(&self.ttl_nodes)
    }

    /// Whether there is a node that may expire.
    #[must_use]
    pub fn has_expiring(&self) -> bool {
        !self.containers.is_empty() || !self.ttl_nodes.is_empty()
    }
}

/// How far a search for nodes whose life is over has come.
#[derive(Clone, Debug, Default)]
pub struct ExpirySearch {
    kind: SearchKind,
    /// The last path of this kind that was looked at.
    last: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum SearchKind {
    #[default]
    Containers,
    TtlNodes,
    Nothing,
}

impl ExpirySearch {
    fn go_on_with_the_next_kind(&mut self) {
        self.last = None;
        self.kind = match self.kind {
            SearchKind::Containers => SearchKind::TtlNodes,
            SearchKind::TtlNodes | SearchKind::Nothing => SearchKind::Nothing,
        };
    }
}

fn is_expired(node: &Node, age_ms: i64, settings: ExpirySettings) -> bool {
    if node.child_count() > 0 {
        return false;
    }
    match node.kind() {
        NodeKind::Container => {
            let unused_ms_max = settings.container_never_used_ms_max;
            // A count that wrapped around to below zero has seen children too.
            node.content.creates != 0 || (unused_ms_max != 0 && age_ms > unused_ms_max)
        }
        NodeKind::Ttl(ttl_ms) => age_ms > ttl_ms,
        NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
    }
}
