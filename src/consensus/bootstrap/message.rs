//! What servers ask each other on a connection for bootstrap.
//!
//! ```text
//! version 1   QuestionV1 ──►        ◄── AnswerV1
//! version 2   Question   ──►        ◄── Answer
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Asked by servers that know no lives. They count who answers [`StateV1::New`] with their own voters.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuestionV1 {
    pub(super) voters: BTreeSet<u64>,
}

/// The answer to it.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerV1 {
    pub(super) state: StateV1,
    pub(super) voters: BTreeSet<u64>,
}

/// How far a server is that knows no lives.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum StateV1 {
    /// It has nothing.
    New,
    /// It has data.
    Member,
}

/// Asked of every other server.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Who asks: a member's id in the consensus.
    pub(super) asker: u64,
    /// Where it is reached.
    pub(super) address: String,
    /// The numbers of the voters in its file.
    pub(super) voters: BTreeSet<u64>,
    /// The ensemble that it wants to take part in, and does not yet.
    pub(super) joins: Option<u128>,
    /// An ensemble that it proposes to form.
    pub(super) proposal: Option<Proposal>,
}

/// An ensemble that is to be formed.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Proposal {
    /// Its name, drawn at random.
    pub(super) name: u128,
    /// The ids of its voters, with their addresses.
    pub(super) members: BTreeMap<u64, String>,
}

/// The answer.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Who answers: a member's id in the consensus.
    pub(super) id: u64,
    pub(super) stage: Stage,
    /// The numbers of the voters in its file.
    pub(super) voters: BTreeSet<u64>,
    /// Who leads it, a member's id, as far as it knows.
    pub(super) leader: Option<u64>,
    /// The members of its ensemble with their addresses, by id.
    pub(super) members: BTreeMap<u64, String>,
    /// What it says of the proposal, if there was one; a text is why it does not agree.
    pub(super) agreed: Option<Result<(), String>>,
    /// Why the asker is not taken in yet, if this server leads.
    pub(super) admission: Option<String>,
}

/// How far a server is.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// It has neither entries nor a checkpoint.
    Empty {
        /// Whether it may form an ensemble.
        policy: BootstrapPolicy,
        /// What it agreed to.
        promise: Option<Promise>,
    },
    /// It has the first entry of an ensemble that has had no leader yet.
    Forming {
        /// The ensemble.
        name: u128,
    },
    /// It was formed on its own, and its file names others.
    Alone {
        /// The ensemble of one.
        name: u128,
    },
    /// It has data of an ensemble.
    Member {
        /// The ensemble, where its name is known.
        name: Option<u128>,
    },
}

impl Stage {
    /// The ensemble whose data it has, where it has some and the name is known.
    pub(super) fn ensemble(self) -> Option<u128> {
        match self {
            Self::Empty { .. } => None,
            Self::Forming { name } | Self::Alone { name } => Some(name),
            Self::Member { name } => name,
        }
    }
}

/// Whether a server without data may form an ensemble.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BootstrapPolicy {
    /// It waits to be taken in (`serve --join`; `db.autocreate=false` without the file `initialize`).
    Never,
    /// With all voters of its file.
    WithAll,
    /// Somebody put the file `initialize` into its data directory: with the others that have it, if they are a
    /// majority.
    Initialize,
}

/// The ensemble that a server without data decided on: it takes entries of no other.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Promise {
    /// The name of the ensemble.
    pub(super) name: u128,
    /// Who proposed to form it, a member's id; `None` for one that there is already, to be joined.
    pub(super) proposer: Option<u64>,
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
