//! Quotas: limits on the nodes and bytes below a path, kept as nodes under `/zookeeper/quota`.
//!
//! For a path `/a` the node `/zookeeper/quota/a/zookeeper_limits` holds the limits and its sibling
//! `zookeeper_stats` the usage; clients create both, creating the second counts the subtree, and
//! from then on the tree rewrites it in place (no version, no zxid, no event). Only the deepest path
//! with a quota above a node is looked at. A limit is exceeded by more than it, not by reaching it.
//!
//! Other than in ZooKeeper usage is persisted as it is, not counted again at a restart, so that
//! servers that restart at different times still show the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::OpError;
use super::path;
use super::policy::Policy;
use super::store::NodeId;
use super::tree::Tree;

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The paths that have a limits node.
#[derive(Debug, Default)]
pub(super) struct QuotaPaths(BTreeSet<Arc<str>>);

impl QuotaPaths {
    pub(super) fn node_attached(&mut self, path: &str) {
        if let Some(target) = target(path, LIMITS) {
            self.0.insert(target.into());
        }
    }

    pub(super) fn node_detached(&mut self, path: &str) {
        if let Some(target) = target(path, LIMITS) {
            self.0.remove(target);
        }
    }

    /// The deepest path with a quota that is, or is above, this path.
    fn deepest(&self, path: &str) -> Option<Arc<str>> {
        if self.0.is_empty() {
            return None;
        }
        path::ancestors(path).find_map(|ancestor| self.0.get(ancestor)).cloned()
    }
}

/// The path that a node under `/zookeeper/quota` with this name is about. The root has no quota.
fn target<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let target = path.strip_prefix(path::QUOTA)?.strip_suffix(name)?.strip_suffix('/')?;
    (target.len() > 1 && target.starts_with('/')).then_some(target)
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

impl QuotaEvents {
    fn push(&mut self, event: QuotaEvent) {
        if self.0.len() < EVENTS_MAX {
            self.0.push(event);
        }
    }
}

/// What an operation adds to the usage of a quota.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) nodes: i64,
    pub(super) bytes: i64,
}

impl Tree {
    /// Whether [`take_quota_events`](Self::take_quota_events) has something to tell.
    pub fn has_quota_events(&self) -> bool {
        !self.quota_events.0.is_empty()
    }

    /// The quotas that were exceeded since the last call, the first 64 of them, for logs and
    /// metrics. A soft limit, and a hard one while quotas are not enforced, has no other effect.
    pub fn take_quota_events(&mut self) -> Vec<QuotaEvent> {
        std::mem::take(&mut self.quota_events.0)
    }

    /// Judges an operation that adds `usage` at `path`.
    pub(super) fn check_quota(
        &mut self,
        path: &str,
        usage: Usage,
        policy: Policy,
    ) -> Result<(), OpError> {
        let Some(target) = self.quotas.deepest(path) else { return Ok(()) };
        let Some(limits) = self.read_track(&target, LIMITS) else { return Ok(()) };
        let Some(current) = self.read_track(&target, STATS) else { return Ok(()) };
        let nodes = (QuotaUnit::Nodes, COUNT, COUNT_HARD_LIMIT, usage.nodes);
        let bytes = (QuotaUnit::Bytes, BYTES, BYTE_HARD_LIMIT, usage.bytes);
        for (unit, soft_key, hard_key, added) in [nodes, bytes] {
            let hard = limits.value(hard_key) > UNLIMITED;
            let limit = limits.value(if hard { hard_key } else { soft_key });
            let used = current.value(soft_key).saturating_add(added);
            if added == 0 || limit <= UNLIMITED || used <= limit {
                continue;
            }
            let refused = hard && policy.enforce_quota;
            let path = Arc::clone(&target);
            self.quota_events.push(QuotaEvent { path, unit, usage: used, limit, hard, refused });
            if refused {
                return Err(OpError::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// Adds to the usage that the deepest quota above a path shows.
    pub(super) fn add_usage(&mut self, path: &str, usage: Usage) {
        let Some(target) = self.quotas.deepest(path) else { return };
        let Some(id) = self.find(&node_path(&target, STATS)) else { return };
        let mut track = StatsTrack::parse(self.store.get(id).data());
        track.add(COUNT, usage.nodes);
        track.add(BYTES, usage.bytes);
        self.put_track(id, &track);
    }

    /// Counts a subtree when the stats node of its quota is created.
    pub(super) fn count_if_stats_node(&mut self, path: &str, id: NodeId) {
        let Some(target) = target(path, STATS) else { return };
        let mut usage = Usage::default();
        let mut pending: Vec<NodeId> = self.find(target).into_iter().collect();
        while let Some(id) = pending.pop() {
            let node = self.store.get(id);
            usage.nodes += 1;
            usage.bytes += node.content.data_len() as i64;
            pending.extend(node.child_paths().filter_map(|child| self.store.find(child)));
        }
        let values = [(COUNT.to_owned(), usage.nodes), (BYTES.to_owned(), usage.bytes)];
        self.put_track(id, &StatsTrack(values.into()));
    }

    fn put_track(&mut self, id: NodeId, track: &StatsTrack) {
        let text = track.to_string();
        self.change(id, |path, content| content.put_data(path, Some(text.as_bytes())));
    }

    fn read_track(&self, target: &str, name: &str) -> Option<StatsTrack> {
        let node = self.get(&node_path(target, name))?;
        Some(StatsTrack::parse(node.data()))
    }
}

fn node_path(target: &str, name: &str) -> String {
    format!("{}{target}/{name}", path::QUOTA)
}

const COUNT: &str = "count";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTES: &str = "bytes";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// The value of a key that is not there.
const UNLIMITED: i64 = -1;

/// The text of limits and stats nodes: `count=N,bytes=M=;byteHardLimit=X;countHardLimit=Y`, where
/// all from the second `=` on is there only if there are such keys. (Parsers that know only the
/// first two keys split at `,` and `=` and ignore the rest.)
#[derive(Debug, PartialEq, Eq)]
struct StatsTrack(BTreeMap<String, i64>);

impl StatsTrack {
    /// Reads the text. What is no number counts as unlimited, as does what is missing.
    fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let pairs = text.split([',', ';']).filter_map(|pair| {
            let mut parts = pair.split('=');
            let key = parts.next().filter(|key| !key.is_empty())?;
            Some((key.to_owned(), parts.next()?.parse().unwrap_or(UNLIMITED)))
        });
        Self(pairs.collect())
    }

    fn value(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(UNLIMITED)
    }

    fn add(&mut self, key: &str, added: i64) {
        self.0.insert(key.to_owned(), self.value(key).saturating_add(added));
    }
}

impl std::fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.value(COUNT), self.value(BYTES))?;
        let rest = self.0.iter().filter(|(key, _)| !matches!(key.as_str(), COUNT | BYTES));
        for (at, (key, value)) in rest.enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { "=;" } else { ";" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "quota_test.rs"]
mod tests;
