//! Who takes part in the consensus, and changing that.
//!
//! The consensus knows voters, others that only receive entries, and where each is. Which of them
//! there should be is decided elsewhere; this is the means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::ensemble::MemberId;
use thiserror::Error;

/// A change of the members that was not, or not known to be, carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the members of the consensus cannot be changed now: {0}")]
pub struct ChangeFailed(pub(crate) String);

/// Who takes part, as the newest entry about it says, be it committed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who votes; while that changes, who is to.
    pub voters: BTreeSet<MemberId>,
    /// Whether a change is under way: then nothing else may be changed, except to finish it.
    pub changing: bool,
    /// Whether decisions need a majority of the old and one of the new voters.
    pub joint: bool,
    /// All of them with their addresses.
    pub servers: BTreeMap<MemberId, String>,
    /// The newest entry of this server's log.
    pub last_index: u64,
    /// What a leader knows of the others; empty elsewhere.
    pub progress: BTreeMap<MemberId, MemberProgress>,
}

/// A server that did not answer for this long is not in reach.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A server is up to date when it lacks no more entries than these.
const LAG_MAX: u64 = 500;

impl Members {
    /// The member that is the server of that number: the one that votes, where there are several lives.
    pub fn member_of(&self, number: u64) -> Option<MemberId> {
        let is_it = |member: &&MemberId| member.number == number;
        self.voters.iter().find(is_it).or_else(|| self.servers.keys().find(is_it)).copied()
    }

    /// Whether another server answered this one, the leader, lately.
    pub fn answers(&self, server: MemberId) -> bool {
        let silence = self.progress.get(&server).and_then(|progress| progress.silence);
        silence.is_some_and(|silence| silence < SILENCE_MAX)
    }

    /// Whether it answered lately and has nearly all that this one, the leader, has.
    pub fn is_synced(&self, server: MemberId) -> bool {
        let matched = self.progress.get(&server).and_then(|progress| progress.matched);
        self.answers(server) && matched.is_some_and(|matched| matched + LAG_MAX >= self.last_index)
    }
}

/// What a leader knows of another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberProgress {
    /// The newest entry that it is known to have; `None` before it has any.
    pub matched: Option<u64>,
    /// How long ago it last answered, if it did.
    pub silence: Option<Duration>,
}
