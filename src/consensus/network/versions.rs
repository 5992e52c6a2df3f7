//! Which versions servers talk, and what that means for an ensemble that is upgraded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

/// The newest version of all that travels between servers.
///
/// 1: that of commit 8aece55. 2: lives, starts, numbered batches, entries in sections.
const VERSION: u16 = 2;

/// The oldest version that this one can still talk.
const VERSION_MIN: u16 = 1;

/// A range of versions: the oldest and the newest that a server can talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::consensus) struct Versions {
    /// The oldest.
    pub(in crate::consensus) min: u16,
    /// The newest.
    pub(in crate::consensus) max: u16,
}

impl Versions {
    /// What this software can talk.
    const OWN: Self = Self { min: VERSION_MIN, max: VERSION };

    /// The newest version that both can talk.
    pub(super) fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.min)?;
        if self.max == self.min { Ok(()) } else { write!(f, " to {}", self.max) }
    }
}

/// The versions that this server talks, and the newest that each of the others does, learnt from
/// greetings. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct KnownVersions {
    own: Versions,
    newest: Arc<RwLock<BTreeMap<u64, u16>>>,
}

impl Default for KnownVersions {
    fn default() -> Self {
        Self { own: Versions::OWN, newest: Arc::default() }
    }
}

impl KnownVersions {
    /// As if this were another version of the software.
    #[cfg(test)]
    pub(in crate::consensus) fn as_if(min: u16, max: u16) -> Self {
        Self { own: Versions { min, max }, newest: Arc::default() }
    }

    /// What this server talks.
    pub(super) fn own(&self) -> Versions {
        self.own
    }

    /// Remembers what a server said of itself.
    pub(super) fn learn(&self, server: u64, newest: u16) {
        if self.newest.read().get(&server) != Some(&newest) {
            self.newest.write().insert(server, newest);
        }
    }

    /// The newest version that this server and all of `others` can read. One that has not been met
    /// since this server started counts as the oldest that is talked here.
    pub(super) fn common(&self, others: impl IntoIterator<Item = u64>) -> u16 {
        let known = self.newest.read();
        let newest = |server| known.get(&server).copied().unwrap_or(self.own.min);
        others.into_iter().map(newest).fold(self.own.max, u16::min).max(self.own.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_found() {
        // Neighbours agree on the older one's newest; strangers have nothing in common.
        let here = Versions { min: 3, max: 5 };
        let common = |min, max| here.common(Versions { min, max });
        assert_eq!(common(3, 5), Some(5));
        assert_eq!(common(4, 6), Some(5));
        assert_eq!(common(1, 4), Some(4));
        assert_eq!(common(6, 7), None);
        assert_eq!(common(1, 2), None);
        assert_eq!(format!("{here}, {}", Versions { min: 2, max: 2 }), "3 to 5, 2");
    }

    #[test]
    fn a_new_version_waits_for_the_last_server() {
        // What is new is used when everybody is known to read it, and not before.
        let known = KnownVersions::as_if(1, 3);
        assert_eq!(known.common([]), 3);
        known.learn(1, 3);
        assert_eq!(known.common([1, 2]), 1);
        known.learn(2, 2);
        assert_eq!(known.common([1, 2]), 2);
        known.learn(2, 9);
        assert_eq!(known.common([1, 2]), 3);
    }
}
