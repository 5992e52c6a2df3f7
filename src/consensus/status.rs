//! What a server knows of itself and of its leader.

use std::time::Duration;

use kernel::ensemble::MemberId;
use openraft::{RaftMetrics, ServerState};

use super::raft::types::TypeConfig;
use super::raft::types::position;
use crate::storage::LogPosition;

/// The part a server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Receives entries, has no vote: an observer, or a server that is not a member yet.
    Learner,
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

    pub(super) fn new(metrics: &RaftMetrics<TypeConfig>) -> Self {
        let stopped = metrics.running_state.as_ref().err();
        let failure = stopped.and_then(|fatal| match fatal {
            openraft::errors::Fatal::Stopped => None,
            openraft::errors::Fatal::StorageError(_) | openraft::errors::Fatal::Panicked => {
                Some(fatal.to_string())
            }
        });
        Self {
            role: if stopped.is_some() { Role::Stopped } else { role(metrics.state) },
            term: metrics.current_term,
            leader: metrics.current_leader.map(MemberId::from_raft_id),
            last_log_index: metrics.last_log_index,
            committed: metrics.local_committed.as_ref().map(position),
            last_applied: metrics.last_applied.as_ref().map(position),
            checkpoint: metrics.snapshot.as_ref().map(position),
            purged: metrics.purged.as_ref().map(position),
            failure,
        }
    }
}

/// openraft's word for a role in ours.
pub(super) fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

/// How long ago, by openraft's clock, a majority last confirmed that this server leads; `None` where it does not,
/// or where none has yet. What openraft takes for its lease, which writes need: it gives up answers that are late,
/// and takes others for newer than they are.
pub(super) fn lease_age(metrics: &RaftMetrics<TypeConfig>) -> Option<Duration> {
    if role(metrics.state) != Role::Leader {
        return None;
    }
    if metrics.membership_config.membership().voter_ids().count() == 1 {
        return Some(Duration::ZERO);
    }
    metrics.last_quorum_acked.map(|at| openraft::Instant::elapsed(&*at))
}
