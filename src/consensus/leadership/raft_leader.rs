//! What leadership asks of Raft, and has it do.
//!
//! `consensus/raft` implements it, so that no type of openraft is in this room.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::read_index::LeaderView;
use crate::consensus::error::ReadError;
use crate::consensus::status::Role;

/// What this server's Raft knows at one moment.
#[derive(Clone, Debug)]
pub(crate) struct RaftView {
    pub(crate) role: Role,
    pub(crate) term: u64,
    /// Who leads in that term, by id, if known. A candidate names itself.
    pub(crate) leader: Option<u64>,
    /// The voters by id: two sets while they change.
    pub(crate) voters: Vec<BTreeSet<u64>>,
    /// How long ago, by Raft's clock, a majority last confirmed that this server leads. `None` where it does not
    /// lead, or none has yet. Writes need this lease. Raft gives up answers that are late, and takes others for
    /// newer than they are, so no read rests on it.
    pub(crate) lease_age: Option<Duration>,
}

impl RaftView {
    /// The term that this server leads, if it does.
    pub(crate) fn term_led(&self) -> Option<u64> {
        (self.role == Role::Leader).then_some(self.term)
    }
}

/// Raft, as leadership sees it.
pub(crate) trait RaftLeader: Send + Sync {
    /// What it knows at the moment.
    fn view(&self) -> RaftView;

    /// What it knows as the leader, if it takes reads now.
    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>>;

    /// Asks the voters whether they would elect this server, and then for their votes. Returns when that has begun;
    /// the text says why it has not.
    fn pre_vote(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Appends an entry without commands; returns whether it was applied.
    fn append_noop(&self) -> BoxFuture<'_, bool>;
}
