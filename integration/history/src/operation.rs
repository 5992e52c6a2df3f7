//! When an operation was under way.

use std::fmt;
use std::time::Duration;

/// The time from the sending of a request to the coming of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Just before the request was sent.
    pub invoked: Duration,
    /// Just after its answer came; `None` when none came.
    pub completed: Option<Duration>,
}

impl Span {
    /// An operation that was answered.
    #[must_use]
    pub fn new(invoked: Duration, completed: Duration) -> Self {
        Self { invoked, completed: Some(completed) }
    }

    /// An operation that was never answered.
    #[must_use]
    pub fn unanswered(invoked: Duration) -> Self {
        Self { invoked, completed: None }
    }

    /// Whether the operation was answered before the other was sent.
    #[must_use]
    pub fn before(&self, other: &Self) -> bool {
        self.completed.is_some_and(|completed| completed < other.invoked)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}..", self.invoked.as_secs_f64())?;
        match self.completed {
            Some(completed) => write!(f, "{:.6}", completed.as_secs_f64()),
            None => f.write_str("?"),
        }
    }
}
