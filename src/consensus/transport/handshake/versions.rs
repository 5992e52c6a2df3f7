//! Which versions servers talk, and what that means for an ensemble that is upgraded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use kernel::ensemble::MemberId;
use parking_lot::RwLock;

use super::start_proof;

/// The newest version of all that travels between servers.
///
/// 1: that of commit 8aece55. 2: lives, starts, numbered batches, entries in sections.
const VERSION: u16 = 2;

/// The oldest version that this one can still talk.
const VERSION_MIN: u16 = 1;

/// A range of versions: the oldest and the newest that a server can talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Versions {
    /// The oldest.
    pub(crate) min: u16,
    /// The newest.
    pub(crate) max: u16,
}

impl Versions {
    /// What this software can talk.
    const OWN: Self = Self { min: VERSION_MIN, max: VERSION };

    /// The newest version that both can talk.
    pub(crate) fn common(self, other: Self) -> Option<u16> {
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
    /// What is in force: who cannot talk it is refused.
    in_force: Arc<AtomicU16>,
}

impl Default for KnownVersions {
    fn default() -> Self {
        Self { own: Versions::OWN, newest: Arc::default(), in_force: Arc::default() }
    }
}

impl KnownVersions {
    /// As if this were another version of the software.
    #[cfg(test)]
    pub(crate) fn as_if(min: u16, max: u16) -> Self {
        let own = Versions { min, max };
        Self { own, newest: Arc::default(), in_force: Arc::default() }
    }

    /// What this server talks: nothing older than what is in force.
    pub(crate) fn own(&self) -> Versions {
        let in_force = self.in_force.load(Ordering::Acquire);
        Versions { min: self.own.min.max(in_force), ..self.own }
    }

    /// A version is in force: all members can read it, and it never goes back.
    pub fn raise(&self, version: u16) {
        self.in_force.fetch_max(version, Ordering::AcqRel);
    }

    /// Remembers what a server said of itself.
    pub(crate) fn learn(&self, server: u64, newest: u16) {
        if self.newest.read().get(&server) != Some(&newest) {
            self.newest.write().insert(server, newest);
        }
    }

    /// The newest version that this server and all of `others`, members by id, can read. One that has not
    /// been met since this server started counts as the oldest that is talked here, or that knows lives, if
    /// it has one.
    pub(crate) fn common(&self, others: impl IntoIterator<Item = u64>) -> u16 {
        let known = self.newest.read();
        let least = |id| match MemberId::from_raft_id(id).life {
            0 => self.own.min,
            _ => self.own.min.max(start_proof::SINCE),
        };
        let newest = |id| known.get(&id).copied().unwrap_or_else(|| least(id));
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
    fn a_server_that_cannot_read_what_is_in_force_is_refused() {
        // Neither the oldest version that this software talks nor a restart brings it back.
        let known = KnownVersions::as_if(1, 3);
        assert_eq!(known.own(), Versions { min: 1, max: 3 });
        known.raise(2);
        known.raise(1);
        assert_eq!(known.own().common(Versions { min: 1, max: 1 }), None);
        assert_eq!(known.own().common(Versions { min: 1, max: 2 }), Some(2));
    }

    #[test]
    fn a_member_with_a_life_knows_lives() {
        // It need not be met for that: a new ensemble begins with the newest version.
        let known = KnownVersions::as_if(1, 3);
        let new = MemberId { number: 1, life: 7 }.raft_id();
        assert_eq!(known.common([new]), 2);
        assert_eq!(known.common([new, 2]), 1);
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
