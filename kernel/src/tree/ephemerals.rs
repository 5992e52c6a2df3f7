//! Which ephemeral nodes each session has.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::ops::Bound;

use jute_proto::SessionId;

use super::path;

/// The ephemeral nodes of a tree by session.
///
/// The paths are sorted, so that all replicas remove the nodes of a session in one order.
#[derive(Debug, Default)]
pub(super) struct Ephemerals {
    /// No session is here without a node.
    by_session: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
    /// How many nodes all sessions have.
    count: usize,
}

impl Ephemerals {
    /// An ephemeral node was attached.
    pub(super) fn insert(&mut self, session: SessionId, path: Arc<str>) {
        self.count += usize::from(self.by_session.entry(session).or_default().insert(path));
    }

    /// An ephemeral node was detached. One that [`take`](Self::take) gave away is not here any more.
    pub(super) fn remove(&mut self, session: SessionId, path: &str) {
        let Some(paths) = self.by_session.get_mut(&session) else { return };
        self.count -= usize::from(paths.remove(path));
        if paths.is_empty() {
            self.by_session.remove(&session);
        }
    }

    /// Takes the nodes of a session out, before they are detached: then none of them has to be looked for
    /// here. Those that are not detached after all must be [put back](Self::put_back).
    pub(super) fn take(&mut self, session: SessionId) -> BTreeSet<Arc<str>> {
        let paths = self.by_session.remove(&session).unwrap_or_default();
        self.count -= paths.len();
        paths
    }

    /// Puts back the nodes of a session that were taken and stay.
    pub(super) fn put_back(&mut self, session: SessionId, paths: BTreeSet<Arc<str>>) {
        if !paths.is_empty() {
            self.count += paths.len();
            self.by_session.insert(session, paths);
        }
    }

    /// How many nodes a session has.
    pub(super) fn count_of(&self, session: SessionId) -> usize {
        self.by_session.get(&session).map_or(0, BTreeSet::len)
    }

    /// How many nodes all sessions have.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The nodes of a session whose path starts with a prefix, sorted. A null, blank or root prefix means
    /// all; `/a` also means `/ab`.
    pub(super) fn of<'a>(
        &'a self,
        session: SessionId,
        prefix: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let prefix = prefix.filter(|prefix| !matches!(prefix.trim(), "" | path::ROOT));
        let prefix = prefix.unwrap_or_default();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let paths = self.by_session.get(&session).into_iter();
        let paths = paths.flat_map(move |paths| paths.range::<str, _>(from));
        paths.take_while(move |path| path.starts_with(prefix))
    }

    /// The sessions that have nodes, and these, sorted.
    pub(super) fn sessions(
        &self,
    ) -> impl Iterator<Item = (SessionId, impl ExactSizeIterator<Item = &Arc<str>>)> {
        self.by_session.iter().map(|(session, paths)| (*session, paths.iter()))
    }
}
