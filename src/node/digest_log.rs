//! Digests of the tree at some of the last writes: operators and the leader compare them.

use std::collections::VecDeque;

use jute_proto::Zxid;

/// A digest is kept at every multiple of this zxid (`DataTree.DIGEST_LOG_INTERVAL`).
const DIGEST_INTERVAL: i64 = 128;
/// How many are kept (`DataTree.DIGEST_LOG_LIMIT`).
const DIGESTS_MAX: usize = 1024;

/// The digest of the tree right after a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestRecord {
    /// The write.
    pub zxid: Zxid,
    /// The digest of the nodes, comparable between servers of the same
    /// [`digest::VERSION`](kernel::tree::digest::VERSION).
    pub digest: u64,
    /// The digest of all that replicas have in common, comparable between servers of the same
    /// [`version`](kernel::replica::Replica::version).
    pub whole: u64,
}

/// The newest digests, oldest first.
#[derive(Debug, Default)]
pub struct DigestLog(VecDeque<DigestRecord>);

impl DigestLog {
    /// Whether a digest is kept at this zxid.
    pub(super) fn wants(zxid: Zxid) -> bool {
        zxid.0 % DIGEST_INTERVAL == 0
    }

    /// Keeps a digest; commands that use no zxid repeat the last one, which is kept once.
    pub(super) fn add(&mut self, record: DigestRecord) {
        if self.0.back().is_some_and(|last| last.zxid == record.zxid) {
            return;
        }
        if self.0.len() == DIGESTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    /// The newest one.
    pub(super) fn newest(&self) -> Option<DigestRecord> {
        self.0.back().copied()
    }

    /// The one at this zxid, where it is kept.
    pub(super) fn at(&self, zxid: Zxid) -> Option<DigestRecord> {
        let found = self.0.binary_search_by_key(&zxid, |record| record.zxid);
        found.ok().map(|at| self.0[at])
    }

    /// Forgets all: the state was replaced.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The digests, oldest first.
    pub fn records(&self) -> Vec<DigestRecord> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_kept_once_and_in_bounds() {
        // A repeated zxid adds nothing; the oldest go when there are too many.
        let mut log = DigestLog::default();
        for number in 1..=1_100 {
            let record = DigestRecord { zxid: Zxid(number * 128), digest: 1, whole: 0 };
            assert!(DigestLog::wants(record.zxid));
            log.add(record);
            log.add(DigestRecord { digest: 2, ..record });
        }
        let records = log.records();
        assert_eq!(records.len(), 1024);
        assert_eq!(records[0], DigestRecord { zxid: Zxid(77 * 128), digest: 1, whole: 0 });
        assert!(!DigestLog::wants(Zxid(129)));
    }
}
