//! Reading: by path, by session, and with the access checks of each read operation.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{Acl, Id, Perms, SessionId};

use super::acl;
use super::error::OpError;
use super::expirable::{ExpirySearch, ExpirySettings, is_expired};
use super::node::Node;
use super::path;
use super::policy::Policy;
use super::tree::Tree;

impl Tree {
    /// The node of a path, whoever asks. Any string may be asked for; the empty one is the root.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.find(path).map(|id| self.node(id))
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
        self.check_acl(self.node(id), identities, Perms::READ, policy)?;
        Ok(self.nodes().descendants(id).nodes)
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
        self.ephemeral_nodes().of(session, prefix)
    }

    /// How many ephemeral nodes a session has.
    #[must_use]
    pub fn ephemerals_of(&self, session: SessionId) -> usize {
        self.ephemeral_nodes().count_of(session)
    }

    /// The sessions that have ephemeral nodes, and these, sorted.
    pub fn sessions_with_ephemerals(
        &self,
    ) -> impl Iterator<Item = (SessionId, impl ExactSizeIterator<Item = &Arc<str>>)> {
        self.ephemeral_nodes().sessions()
    }

    /// How many nodes are ephemeral.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.ephemeral_nodes().count()
    }

    /// How many nodes there are, as ZooKeeper counts: the root twice, so 5 in a fresh tree.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes().len() + 1
    }

    /// Bytes of all paths and data, 44 in a fresh tree.
    #[must_use]
    pub fn approximate_data_size(&self) -> u64 {
        self.totals().data_size()
    }

    /// The digest of the whole tree: equal for equal trees of equal
    /// [`digest::VERSION`](super::digest::VERSION).
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.totals().digest()
    }

    /// The digest as it follows from the nodes alone, at the cost of reading them all.
    #[must_use]
    pub fn recomputed_digest(&self) -> u64 {
        let digests = self.nodes().iter().map(|(_, node)| node.content.digest());
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
        let candidates = self.expirable_nodes().next(settings, search, limit)?;
        let over = candidates.into_iter().filter_map(|path| {
            let node = self.get(path)?;
            is_expired(node, age_ms(path, node), settings).then(|| (Arc::clone(path), node))
        });
        Some(over.collect())
    }

    /// All nodes that may expire.
    pub fn expiring(&self) -> impl Iterator<Item = &Arc<str>> {
        self.expirable_nodes().iter()
    }

    /// Whether there is a node that may expire.
    #[must_use]
    pub fn has_expiring(&self) -> bool {
        !self.expirable_nodes().is_empty()
    }
}
