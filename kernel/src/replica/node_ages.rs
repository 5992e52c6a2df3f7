//! Since when containers and nodes with a time to live are as they are, in elapsed time.
//!
//! The wall clocks of leaders may be wrong: a node that was written by one that was ahead would live too long,
//! and one that was read by it would end too early. What expires therefore counts the time that leaders
//! measured while they led.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::time::ElapsedTime;
use crate::tree::digest::{hash_bytes, mix};

/// When each node that may expire was made or its data last changed.
#[derive(Debug, Default)]
pub(super) struct NodeAges {
    since: BTreeMap<Box<str>, ElapsedTime>,
    /// What a checkpoint has to write.
    dirty: BTreeSet<Box<str>>,
    digest: u64,
}

impl NodeAges {
    /// The node was made, or its data changed.
    pub(super) fn set(&mut self, path: &str, elapsed: ElapsedTime) {
        self.load(path, elapsed);
        self.dirty.insert(path.into());
    }

    /// The node is gone.
    pub(super) fn remove(&mut self, path: &str) {
        if let Some(since) = self.since.remove(path) {
            self.digest = self.digest.wrapping_sub(hash(path, since));
            self.dirty.insert(path.into());
        }
    }

    /// As a checkpoint kept it.
    pub(super) fn load(&mut self, path: &str, elapsed: ElapsedTime) {
        if let Some(before) = self.since.insert(path.into(), elapsed) {
            self.digest = self.digest.wrapping_sub(hash(path, before));
        }
        self.digest = self.digest.wrapping_add(hash(path, elapsed));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// How old the node is; 0 where it is not known.
    pub(super) fn age_ms(&self, path: &str, now: ElapsedTime) -> u64 {
        self.since.get(path).map_or(0, |since| now.ms_since(*since))
    }

    /// A hash of all of them that does not depend on their order.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Those that changed since the last call; `None` for nodes that are gone.
    pub(super) fn take_dirty(&mut self) -> Vec<(Box<str>, Option<ElapsedTime>)> {
        let dirty = core::mem::take(&mut self.dirty);
        dirty.into_iter().map(|path| (path.clone(), self.since.get(&path).copied())).collect()
    }
}

fn hash(path: &str, since: ElapsedTime) -> u64 {
    mix(hash_bytes(1, path.as_bytes()), since.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_follows_from_what_is_known() {
        // Whatever came before: equal ages have equal digests, others have not.
        let (mut one, mut other) = (NodeAges::default(), NodeAges::default());
        one.set("/a", ElapsedTime(5));
        one.set("/b", ElapsedTime(7));
        one.set("/a", ElapsedTime(9));
        other.load("/b", ElapsedTime(7));
        other.load("/c", ElapsedTime(1));
        other.load("/a", ElapsedTime(9));
        assert_ne!(one.digest(), other.digest());
        other.remove("/c");
        assert_eq!(one.digest(), other.digest());
        assert_eq!(one.age_ms("/a", ElapsedTime(12)), 3);
        assert_eq!(
            one.age_ms("/a", ElapsedTime(2)),
            0,
            "elapsed time does not go back, but a row may be newer"
        );
    }
}
