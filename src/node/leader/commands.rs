//! Commands that a leader gives on its own.

use std::sync::Arc;

use kernel::conn::Refusal;
use kernel::replica::Command;
use kernel::replica::entry::push_command;

use crate::consensus::Proposer;
use crate::node::core::Core;

/// Proposes commands that the leader gives on its own, not for a client. Cheap to clone.
///
/// Nothing comes of a command whose term ends before it is in the log. So the task that gives one looks again later
/// whether it is still wanted, and keeps no account of those under way.
#[derive(Clone, Debug)]
pub(in crate::node) struct LeaderCommands {
    core: Arc<Core>,
    proposer: Proposer,
}

impl LeaderCommands {
    pub(in crate::node) fn new(core: Arc<Core>, proposer: Proposer) -> Self {
        Self { core, proposer }
    }

    /// Proposes a command in the term in which this server has the duties of a leader.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be written now, or where this server does not lead.
    pub(in crate::node) fn propose(&self, command: &Command<'_>) -> Result<(), Refusal> {
        let term = self.core.leader_duties.term().ok_or(Refusal::Unavailable)?;
        let pushed = self.proposer.push_as_leader(term, |buffer| push_command(buffer, command));
        pushed.map_err(|error| self.core.refusal(&error))
    }
}
