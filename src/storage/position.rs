//! Places in the log and votes, as they are stored.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an entry in the Raft log.
///
/// Ordered by term, then index, which is also the order in which entries can be committed. It is part of messages
/// between servers: its fields stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The term of the leader that proposed the entry; the epoch of its zxids.
    pub term: u64,
    /// The index of the entry; consecutive, starting at 0.
    pub index: u64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

/// The vote of this server: whom it supports as leader of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The term voted in.
    pub term: u64,
    /// The server voted for.
    pub server: u64,
    /// Whether that server is known to have won.
    pub committed: bool,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let won = if self.committed { ", won" } else { "" };
        write!(f, "server {} in term {}{won}", self.server, self.term)
    }
}
