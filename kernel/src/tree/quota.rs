//! Quotas: limits on the nodes and bytes below a path, kept as nodes under `/zookeeper/quota`.
//!
//! For a path `/a` the node `/zookeeper/quota/a/zookeeper_limits` holds the limits and its sibling
//! `zookeeper_stats` the usage; clients create both, creating the second counts the subtree, and
//! from then on the tree rewrites it in place (no version, no zxid, no event). Only the deepest path
//! with a quota above a node is looked at. A limit is exceeded by more than it, not by reaching it.
//!
//! Both texts are read once, when they are set. Usage is kept as numbers, and written as text at the end of
//! each write that changes it: once for a `multi`, however many operations it has.
//!
//! Other than in ZooKeeper usage is persisted as it is, not counted again at a restart, so that
//! servers that restart at different times still show the same data.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::directory::SizeDelta;
use super::error::OpError;
use super::node_store::NodeId;
use super::path;
use super::policy::Policy;
use super::prefix_map::PrefixMap;
use super::quota_text::{Limits, Stats};
use super::tree::Tree;

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

    /// The deepest path with a quota that is, or is above, this path.
    fn deepest<'a>(&'a self, path: &'a str) -> Option<(&'a str, &'a Quota)> {
        if self.by_path.is_empty() {
            return None;
        }
        self.by_path.above(path).filter(|(_, quota)| quota.limits.is_some()).last()
    }

    /// The usage that a stats node shows.
    fn usage_mut(&mut self, stats_node: &str) -> Option<&mut Usage> {
        self.by_path.get_mut(target(stats_node, STATS)?)?.usage.as_mut()
    }

    /// Replaces the usage that a stats node is to show, and returns what it was.
    fn put(&mut self, stats_node: &str, stats: Stats) -> Option<Stats> {
        let usage = self.usage_mut(stats_node)?;
        let before = core::mem::replace(&mut usage.stats, stats);
        if core::mem::replace(&mut usage.written, false) {
            let node = Arc::clone(&usage.node);
            self.unwritten.push(node);
        }
        Some(before)
    }

    /// Takes a usage back that no text has shown.
    pub(super) fn put_back(&mut self, stats_node: &str, stats: Stats) {
        if let Some(usage) = self.usage_mut(stats_node) {
            usage.stats = stats;
        }
    }

    /// The texts are those of all usages again.
    pub(super) fn all_written(&mut self) {
        while let Some(node) = self.unwritten.pop() {
            if let Some(usage) = self.usage_mut(&node) {
                usage.written = true;
            }
        }
    }
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

/// Exceeded quotas, until someone asks. A bounded number: they are for a log and a counter.
#[derive(Debug, Default)]
pub(super) struct QuotaEvents(Vec<QuotaEvent>);

const EVENTS_MAX: usize = 64;

impl Tree {
    /// Whether [`take_quota_events`](Self::take_quota_events) has something to tell.
    pub fn has_quota_events(&self) -> bool {
        !self.quota_events.0.is_empty()
    }

    /// The quotas that were exceeded since the last call, the first 64 of them, for logs and
    /// metrics. A soft limit, and a hard one while quotas are not enforced, has no other effect.
    pub fn take_quota_events(&mut self) -> Vec<QuotaEvent> {
        core::mem::take(&mut self.quota_events.0)
    }

    /// Judges an operation that adds to the usage at `path`.
    pub(super) fn check_quota(
        &mut self,
        path: &str,
        delta: SizeDelta,
        policy: Policy,
    ) -> Result<(), OpError> {
        let Some((target, quota)) = self.quotas.deepest(path) else { return Ok(()) };
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
            if self.quota_events.0.len() < EVENTS_MAX {
                let path = target.into();
                self.quota_events.0.push(QuotaEvent { path, unit, usage, limit, hard, refused });
            }
            if refused {
                return Err(OpError::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// Adds to the usage of the deepest quota above a path.
    pub(super) fn add_usage(&mut self, path: &str, delta: SizeDelta) {
        let Some((_, quota)) = self.quotas.deepest(path) else { return };
        let Some(Usage { node, stats, .. }) = &quota.usage else { return };
        let (node, stats) = (Arc::clone(node), stats.plus(delta));
        let before = self.quotas.put(&node, stats);
        if let (Some(undo), Some(stats)) = (&mut self.undo, before) {
            undo.note_usage(node, stats);
        }
    }

    /// Counts a subtree when the stats node of its quota is created.
    pub(super) fn count_if_stats_node(&mut self, path: &str) {
        let Some(target) = target(path, STATS) else { return };
        let stats = self.find(target).map_or(Stats::new(0, 0), |id| {
            let (descendants, own) =
                (self.nodes.descendants(id), self.nodes.get(id).content.data_len() as u64);
            Stats::new(
                (descendants.nodes + 1).cast_signed(),
                (descendants.bytes + own).cast_signed(),
            )
        });
        // To be taken back with the node.
        self.quotas.put(path, stats);
    }

    /// Takes what a node says of a quota, if it is one of a quota, after its data was set.
    pub(super) fn read_if_quota_node(&mut self, id: NodeId) {
        let node = self.nodes.get(id);
        self.quotas.node_set(node.shared_path(), node.data());
    }

    /// Brings the text of the stats nodes up to date; to be called at the end of each write, and before
    /// one of these nodes is looked at within a write.
    pub(super) fn write_usage(&mut self) {
        while let Some(node) = self.quotas.unwritten.pop() {
            let Some(usage) = self.quotas.usage_mut(&node).filter(|usage| !usage.written) else {
                continue;
            };
            usage.written = true;
            let text = usage.stats.to_string();
            let Some(id) = self.find(&node) else { continue };
            if self.nodes.get(id).data() != Some(text.as_bytes()) {
                self.change(id, |path, content| content.put_data(path, Some(text.as_bytes())));
            }
        }
    }

    /// As [`write_usage`](Self::write_usage), where the node that is about to be looked at may be one of them.
    pub(super) fn write_usage_of(&mut self, id: NodeId) {
        let may_be_one = || self.nodes.get(id).path().starts_with(path::QUOTA);
        if !self.quotas.unwritten.is_empty() && may_be_one() {
            self.write_usage();
        }
    }
}

#[cfg(test)]
#[path = "quota_test.rs"]
mod tests;
