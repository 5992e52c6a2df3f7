//! Quotas: limits on the nodes and bytes below a path, kept as nodes under `/zookeeper/quota`.
//!
//! For a path `/a` the node `/zookeeper/quota/a/zookeeper_limits` holds the limits and its sibling
//! `zookeeper_stats` the usage. Clients create both. Creating the second counts the subtree, and
//! from then on the tree rewrites it in place (no version, no zxid, no event). Only the deepest path
//! with a quota above a node is looked at. A limit is exceeded by more than it, not by reaching it.
//!
//! Both texts are read once, when they are set. Usage is kept as numbers, and written as text at the end of
//! each write that changes it: once for a `multi`, however many operations it has. In between this holds:
//!
//! * A usage whose text is older than its numbers is on the list of unwritten ones, and nowhere else.
//! * The list is empty between two writes, so that reads, checkpoints and the digest see the texts.
//! * Within a write a node under `/zookeeper/quota` is looked at only after the list was written.
//!
//! Other than in ZooKeeper usage is persisted as it is, not counted again at a restart, so that
//! servers that restart at different times still show the same data.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::directory::SizeDelta;
use super::error::OpError;
use super::path;
use super::policy::Policy;
use super::prefix_map::PrefixMap;
use super::quota_text::{Limits, Stats};

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The value that limits nothing.
pub(super) const UNLIMITED: i64 = -1;

/// The quotas of a tree, as the nodes say.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    by_path: PrefixMap<Quota>,
    /// The stats nodes whose text is older than the usage.
    unwritten: Vec<Arc<str>>,
    /// Exceeded quotas, until someone asks. A bounded number: they are for a log and a counter.
    events: Vec<QuotaEvent>,
}

/// The quota of a path. Without limits it is none.
#[derive(Debug, Default)]
struct Quota {
    limits: Option<Limits>,
    usage: Option<Usage>,
}

/// What a stats node shows.
#[derive(Debug)]
struct Usage {
    /// The stats node.
    node: Arc<str>,
    stats: Stats,
    /// Whether the text of the node says so.
    written: bool,
}

/// The path that a node under `/zookeeper/quota` with this name is about. The root has no quota.
fn target<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let target = path.strip_prefix(path::QUOTA)?.strip_suffix(name)?.strip_suffix('/')?;
    (target.len() > 1 && target.starts_with('/')).then_some(target)
}

impl Quotas {
    /// A node was attached, or its data was set.
    pub(super) fn node_set(&mut self, path: &Arc<str>, data: Option<&[u8]>) {
        if let Some(target) = target(path, LIMITS) {
            self.by_path.get_or_insert(target).limits = Some(Limits::parse(data));
        } else if let Some(target) = target(path, STATS) {
            let usage = Usage { node: Arc::clone(path), stats: Stats::parse(data), written: true };
            self.by_path.get_or_insert(target).usage = Some(usage);
        }
    }

    pub(super) fn node_detached(&mut self, path: &str) {
        let (target, is_limits) = match (target(path, LIMITS), target(path, STATS)) {
            (Some(target), _) => (target, true),
            (None, Some(target)) => (target, false),
            (None, None) => return,
        };
        let Some(quota) = self.by_path.get_mut(target) else { return };
        if is_limits {
            quota.limits = None;
        } else {
            quota.usage = None;
        }
        if quota.limits.is_none() && quota.usage.is_none() {
            self.by_path.remove(target);
        }
    }

    /// Judges an operation that adds to the usage at `path`.
    ///
    /// # Errors
    /// [`OpError::QuotaExceeded`] where it would exceed a hard limit that is enforced.
    pub(super) fn check(
        &mut self,
        path: &str,
        delta: SizeDelta,
        policy: Policy,
    ) -> Result<(), OpError> {
        let Some((target, quota)) = deepest(&self.by_path, path) else { return Ok(()) };
        let (Some(limits), Some(Usage { stats, .. })) = (&quota.limits, &quota.usage) else {
            return Ok(());
        };
        let nodes = (QuotaUnit::Nodes, limits.nodes, stats.nodes, delta.nodes);
        let bytes = (QuotaUnit::Bytes, limits.bytes, stats.bytes, delta.bytes);
        for (unit, limit, used, added) in [nodes, bytes] {
            let hard = limit.hard > UNLIMITED;
            let limit = if hard { limit.hard } else { limit.soft };
            let usage = used.saturating_add(added);
            if added == 0 || limit <= UNLIMITED || usage <= limit {
                continue;
            }
            let refused = hard && policy.enforce_quota;
            if self.events.len() < EVENTS_MAX {
                let path = target.into();
                self.events.push(QuotaEvent { path, unit, usage, limit, hard, refused });
            }
            if refused {
                return Err(OpError::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// Adds to the usage of the deepest quota above a path. Returns its stats node and what it was before,
    /// for a `multi` that is taken back.
    pub(super) fn add_usage(&mut self, path: &str, delta: SizeDelta) -> Option<(Arc<str>, Stats)> {
        let (_, quota) = deepest(&self.by_path, path)?;
        let Usage { node, stats, .. } = quota.usage.as_ref()?;
        let (node, stats) = (Arc::clone(node), stats.plus(delta));
        let before = self.set_usage(&node, stats)?;
        Some((node, before))
    }

    /// Replaces the usage that a stats node is to show, and returns what it was.
    pub(super) fn set_usage(&mut self, stats_node: &str, stats: Stats) -> Option<Stats> {
        let usage = self.usage_mut(stats_node)?;
        let before = core::mem::replace(&mut usage.stats, stats);
        if core::mem::replace(&mut usage.written, false) {
            let node = Arc::clone(&usage.node);
            self.unwritten.push(node);
        }
        Some(before)
    }

    /// Takes a usage back that no text has shown.
    pub(super) fn restore_usage(&mut self, stats_node: &str, stats: Stats) {
        if let Some(usage) = self.usage_mut(stats_node) {
            usage.stats = stats;
        }
    }

    /// The texts are those of all usages again, because what changed usages was taken back.
    pub(super) fn discard_unwritten(&mut self) {
        while let Some(node) = self.unwritten.pop() {
            if let Some(usage) = self.usage_mut(&node) {
                usage.written = true;
            }
        }
    }

    /// Whether a text is older than its usage.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// The next stats node whose text is older than its usage, and the text that it is to have. The caller
    /// writes it.
    pub(super) fn next_unwritten(&mut self) -> Option<(Arc<str>, String)> {
        while let Some(node) = self.unwritten.pop() {
            // It may have been removed meanwhile, or a client has written another text.
            if let Some(usage) = self.usage_mut(&node).filter(|usage| !usage.written) {
                usage.written = true;
                let text = usage.stats.to_string();
                return Some((node, text));
            }
        }
        None
    }

    /// Whether [`take_events`](Self::take_events) has something to tell.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The quotas that were exceeded since the last call, the first [`EVENTS_MAX`] of them.
    pub(super) fn take_events(&mut self) -> Vec<QuotaEvent> {
        core::mem::take(&mut self.events)
    }

    /// The usage that a stats node shows.
    fn usage_mut(&mut self, stats_node: &str) -> Option<&mut Usage> {
        self.by_path.get_mut(target(stats_node, STATS)?)?.usage.as_mut()
    }
}

/// The deepest path with a quota that is, or is above, this path.
fn deepest<'a>(by_path: &'a PrefixMap<Quota>, path: &'a str) -> Option<(&'a str, &'a Quota)> {
    if by_path.is_empty() {
        return None;
    }
    by_path.above(path).filter(|(_, quota)| quota.limits.is_some()).last()
}

/// The path whose subtree a stats node counts; `None` for other nodes.
pub(super) fn counted_by(stats_node: &str) -> Option<&str> {
    target(stats_node, STATS)
}

/// A quota that an operation exceeded, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaEvent {
    /// The path that has the quota.
    pub path: Arc<str>,
    /// What there is too much of.
    pub unit: QuotaUnit,
    /// Usage with the operation.
    pub usage: i64,
    /// The limit.
    pub limit: i64,
    /// Whether the limit is a hard one.
    pub hard: bool,
    /// Whether the operation was refused.
    pub refused: bool,
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaUnit {
    /// Nodes, the one with the quota included.
    Nodes,
    /// Bytes of data.
    Bytes,
}

/// How many exceeded quotas are kept until someone asks.
const EVENTS_MAX: usize = 64;

#[cfg(test)]
#[path = "quota_test.rs"]
mod tests;
