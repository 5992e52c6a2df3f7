//! A promise that was broken, and how.

use std::fmt;

/// A promise that histories are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Writes and synced reads have one order that agrees with the clients' clock.
    Linearizable,
    /// A version, its zxid and its data belong together, on all servers.
    Versions,
    /// What a session sees never goes back.
    ReadOrder,
    /// A watch event comes before the change can be seen.
    WatchOrder,
    /// Sequential names are unique and grow with time.
    Sequence,
    /// What was acknowledged is there, what was refused is not.
    Durable,
    /// A transaction is done as a whole or not at all.
    Atomic,
    /// A lock has one holder.
    OneHolder,
    /// Requests of a session take effect once and in order.
    Fifo,
    /// A write that the client repeats after the loss of a connection is done once.
    Once,
    /// Every request has an answer, or its connection ends.
    Answered,
    /// No session expires early.
    Expiry,
    /// Ephemeral znodes stay while their session lives.
    Ephemeral,
    /// All servers hold the same.
    Replicas,
    /// When all faults are gone, all servers serve again.
    Recovery,
    /// Answers are those that the protocol allows.
    Protocol,
    /// What a run is to show occurs in it.
    Occurs,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linearizable => "linearizable",
            Self::Versions => "versions",
            Self::ReadOrder => "read order",
            Self::WatchOrder => "watch order",
            Self::Sequence => "sequence",
            Self::Durable => "durable",
            Self::Atomic => "atomic",
            Self::OneHolder => "one holder",
            Self::Fifo => "fifo",
            Self::Once => "once",
            Self::Answered => "answered",
            Self::Expiry => "expiry",
            Self::Ephemeral => "ephemeral",
            Self::Replicas => "replicas",
            Self::Recovery => "recovery",
            Self::Protocol => "protocol",
            Self::Occurs => "occurs",
        })
    }
}

/// How a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// The promise.
    pub promise: Promise,
    /// What was seen instead, in one line.
    pub detail: String,
}

impl Anomaly {
    /// Says how `promise` was broken.
    #[must_use]
    pub fn new(promise: Promise, detail: impl Into<String>) -> Self {
        Self { promise, detail: detail.into() }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.detail)
    }
}
