//! Reading: by path, by session, and with the access checks of each read operation.

use std::borrow::Cow;
use std::sync::Arc;

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
        self.find(path).map(|id| self.store.get(id))
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
        if path.contains('\0') {
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

    /// How many nodes are below a node, for `getAllChildrenNumber`. The cost follows the answer.
    ///
    /// # Errors
    /// [`OpError::NoNode`], [`OpError::NoAuth`] without `READ`.
    pub fn count_descendants(
        &self,
        path: &str,
        identities: &[Id],
        policy: Policy,
    ) -> Result<usize, OpError> {
        let node = self.read(path, identities, policy)?;
        if node.path() == path::ROOT {
            return Ok(self.store.len() - 1);
        }
        let mut count = 0;
        let mut pending = vec![node];
        while let Some(node) = pending.pop() {
            count += node.child_count();
            let parents = node.child_paths().filter_map(|child| self.get(child));
            pending.extend(parents.filter(|child| child.child_count() > 0));
        }
        Ok(count)
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
        let paths = self.ephemerals.get(&session).into_iter().flatten();
        paths.filter(move |path| prefix.is_none_or(|prefix| path.starts_with(prefix)))
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
        self.store.len() + 1
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
        let digests = self.store.iter().map(|(_, node)| node.content.digest());
        digests.fold(0, u64::wrapping_add)
    }

    /// The containers and nodes with a time to live whose life is over, sorted within each kind; `age_ms` says
    /// how long each has been as it is. The leader proposes to delete them; applying that judges them again.
    pub fn expired(
        &self,
        settings: ExpirySettings,
        age_ms: impl Fn(&str, &Node) -> i64,
    ) -> Vec<(Arc<str>, &Node)> {
        let ttl_nodes = settings.extended_types.then_some(&self.ttl_nodes).into_iter().flatten();
        let candidates = self.containers.iter().chain(ttl_nodes);
        let over = candidates.filter_map(|path| {
            let node = self.get(path)?;
            is_expired(node, age_ms(path, node), settings).then(|| (path.clone(), node))
        });
        over.collect()
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
