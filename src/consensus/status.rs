//! What a server knows of itself and of its leader.

use kernel::ensemble::MemberId;

use crate::storage::LogPosition;

/// The part a server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Receives entries, has no vote: an observer, or a server that is not a member yet.
    Observer,
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Has stopped.
    Stopped,
}

/// What a server knows of itself and of its leader, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The part it plays.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// Who leads in that term, if known.
    pub leader: Option<MemberId>,
    /// The newest entry of its log.
    pub last_log_index: Option<u64>,
    /// The newest entry it knows to be committed.
    pub committed: Option<LogPosition>,
    /// The newest entry it has applied.
    pub last_applied: Option<LogPosition>,
    /// Where its newest checkpoint stands.
    pub checkpoint: Option<LogPosition>,
    /// Up to where its log was purged.
    pub purged: Option<LogPosition>,
    /// Why it stopped by itself; `None` while it runs, and after an orderly shutdown.
    pub failure: Option<String>,
}

impl Status {
    /// Whether this server leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}
