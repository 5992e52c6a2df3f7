//! The last checkpoints, which ZooKeeper's operators know as snapshots.

use std::collections::VecDeque;

use jute_proto::Zxid;

/// A checkpoint that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointInfo {
    /// The index of the last entry in it, 0 where nothing had been applied.
    pub index: u64,
    /// The zxid of the last write in it.
    pub zxid: Zxid,
    /// When it was begun, in milliseconds since 1970.
    pub time_ms: i64,
}

/// The two newest checkpoints: the one on disk, and one that may be on its way there.
#[derive(Debug, Default)]
pub struct RecentCheckpoints(VecDeque<CheckpointInfo>);

impl RecentCheckpoints {
    pub(super) fn extend(&mut self, notes: impl IntoIterator<Item = CheckpointInfo>) {
        for note in notes {
            if self.0.len() == 2 {
                self.0.pop_front();
            }
            self.0.push_back(note);
        }
    }

    /// The newest one up to this index, which is where consensus says that the checkpoint stands.
    pub fn up_to(&self, index: u64) -> Option<CheckpointInfo> {
        self.0.iter().rev().find(|note| note.index <= index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_counts_when_it_is_on_disk() {
        // One that was only begun is not told as the last one.
        let note = |index| CheckpointInfo { index, zxid: Zxid(1), time_ms: 5 };
        let mut notes = RecentCheckpoints::default();
        assert_eq!(notes.up_to(9), None);
        notes.extend([note(3), note(6), note(9)]);
        assert_eq!(notes.up_to(8), Some(note(6)));
        assert_eq!(notes.up_to(9), Some(note(9)));
    }
}
