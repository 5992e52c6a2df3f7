//! The kinds of load.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Creates persistent nodes, each connection below a parent of its own.
    Create,
    /// Sets the data of random existing nodes.
    Set,
    /// Reads the data of random existing nodes.
    Get,
    /// Lists the children of one node.
    List,
    /// Asks for the Stat of random existing nodes.
    Exists,
    /// Deletes nodes that were made beforehand, outside the measured time.
    Delete,
    /// Nine reads to one write, on random existing nodes.
    Mixed,
    /// Creates and deletes an ephemeral node in turn; each counts as one operation.
    Ephemeral,
    /// Transactions of several writes; each transaction counts as one operation.
    Multi,
    /// Opens and closes sessions, each on a connection of its own.
    Connect,
    /// One writer changes a node that every connection watches; each event received counts, its
    /// latency runs from the sending of the write. Watches are set again before the next write.
    Watch,
    /// Makes a number of nodes that stay until the end of the run; ends when all are there.
    Fill,
}

impl Workload {
    /// All of them, in the order in which they run, without [`Workload::Fill`].
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Set,
        Self::Get,
        Self::List,
        Self::Exists,
        Self::Delete,
        Self::Mixed,
        Self::Ephemeral,
        Self::Multi,
        Self::Connect,
        Self::Watch,
    ];

    /// The name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Set => "set",
            Self::Get => "get",
            Self::List => "list",
            Self::Exists => "exists",
            Self::Delete => "delete",
            Self::Mixed => "mixed",
            Self::Ephemeral => "ephemeral",
            Self::Multi => "multi",
            Self::Connect => "connect",
            Self::Watch => "watch",
            Self::Fill => "fill",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter().chain([Self::Fill]);
        all.find(|workload| workload.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|workload| workload.name()).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

impl Serialize for Workload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
