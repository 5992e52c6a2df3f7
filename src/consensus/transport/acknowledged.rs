//! What the others acknowledged to this leader in its term.
//!
//! A follower drops nothing that it acknowledged to the leader of a term, while it knows no later one. One that lacks
//! such an entry was brought back to an earlier moment: an image of its disk was restored, or its disk lies. What it
//! acknowledges from then on would be counted twice, so the leader does not hear it any more (Raft rests on a log that
//! keeps what was flushed; Ongaro's dissertation, 3.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;

use crate::storage::LogPosition;

/// The last entry that each of the others acknowledged, and the term of the leader that it told so. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<BTreeMap<u64, (u64, LogPosition)>>>);

impl Acknowledged {
    /// `peer` has acknowledged all up to `last` to the leader of `term`.
    pub(super) fn note(&self, peer: u64, term: u64, last: LogPosition) {
        let mut known = self.0.lock();
        let newest = known.entry(peer).or_insert((term, last));
        // Connections are read one by one: an older answer may come behind a newer one.
        *newest = (*newest).max((term, last));
    }

    /// The last entry that `peer` has acknowledged to the leader of `term`.
    pub(super) fn by(&self, peer: u64, term: u64) -> Option<LogPosition> {
        self.0.lock().get(&peer).filter(|(of, _)| *of == term).map(|(_, last)| *last)
    }
}

/// Why `peer` is not heard that says it lacks the entry at `lacking`, where it had acknowledged all up to
/// `acknowledged` before it was asked.
pub(super) fn check(
    peer: u64,
    lacking: LogPosition,
    acknowledged: Option<LogPosition>,
) -> Result<(), String> {
    match acknowledged {
        Some(last) if lacking.index <= last.index => {
            let (peer, index) = (MemberId::from_raft_id(peer), lacking.index);
            Err(format!(
                "server {peer} lacks entry {index}, and has acknowledged all up to {} to this leader: its data \
                 are of an earlier moment. Empty its data directory, so that it joins anew",
                last.index
            ))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_in_this_term_counts() {
        // The newest answer counts, whichever is read first; in another term nothing of it does.
        let id = |index| LogPosition { term: 4, index };
        let acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.by(2, 4), None);
        for index in [7, 9, 8] {
            acknowledged.clone().note(2, 4, id(index));
        }
        assert_eq!((acknowledged.by(2, 4), acknowledged.by(3, 4)), (Some(id(9)), None));
        assert_eq!(acknowledged.by(2, 5), None);
        acknowledged.note(2, 5, id(3));
        assert_eq!((acknowledged.by(2, 5), acknowledged.by(2, 4)), (Some(id(3)), None));
        assert!(check(2, id(4), Some(id(3))).is_ok() && check(2, id(4), None).is_ok());
        assert!(check(2, id(3), Some(id(3))).unwrap_err().contains("lacks entry 3"));
    }
}
