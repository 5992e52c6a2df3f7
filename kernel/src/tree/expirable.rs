//! The nodes that may expire: containers, and nodes with a time to live.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::node::{Node, NodeKind};

/// The containers and TTL nodes of a tree, sorted by path.
#[derive(Debug, Default)]
pub(super) struct ExpirableNodes {
    containers: BTreeSet<Arc<str>>,
    ttl_nodes: BTreeSet<Arc<str>>,
}

/// Which containers and nodes with a time to live are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpirySettings {
    /// How long a container may be without ever having had a child, in milliseconds; 0 is for ever.
    pub container_never_used_ms_max: i64,
    /// Whether nodes with a time to live end at all (`extendedTypesEnabled`).
    pub extended_types: bool,
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

impl ExpirableNodes {
    /// A container was attached.
    pub(super) fn insert_container(&mut self, path: Arc<str>) {
        self.containers.insert(path);
    }

    /// A container was detached.
    pub(super) fn remove_container(&mut self, path: &str) {
        self.containers.remove(path);
    }

    /// A node with a time to live was attached.
    pub(super) fn insert_ttl_node(&mut self, path: Arc<str>) {
        self.ttl_nodes.insert(path);
    }

    /// A node with a time to live was detached.
    pub(super) fn remove_ttl_node(&mut self, path: &str) {
        self.ttl_nodes.remove(path);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.ttl_nodes.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.containers.iter().chain(&self.ttl_nodes)
    }

    /// The next `limit` nodes of a search; `None` behind the last one.
    pub(super) fn next(
        &self,
        settings: ExpirySettings,
        search: &mut ExpirySearch,
        limit: usize,
    ) -> Option<Vec<&Arc<str>>> {
        let candidates = match search.kind {
            SearchKind::Containers => &self.containers,
            SearchKind::TtlNodes if settings.extended_types => &self.ttl_nodes,
            SearchKind::TtlNodes | SearchKind::Nothing => return None,
        };
        let from = search.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = candidates.range::<str, _>((from, Bound::Unbounded));
        let found: Vec<&Arc<str>> = range.take(limit).collect();
        if found.len() < limit {
            search.go_on_with_the_next_kind();
        } else {
            search.last = found.last().map(|path| Arc::clone(path));
        }
        Some(found)
    }
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

/// Whether the life of a node is over that has been as it is for so long.
pub(super) fn is_expired(node: &Node, age_ms: i64, settings: ExpirySettings) -> bool {
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
