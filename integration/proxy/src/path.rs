//! What is wrong with one direction between two servers.

use std::time::Duration;

/// The condition of the network from one server to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathState {
    /// Nothing passes.
    pub cut: bool,
    /// How long each byte is under way.
    pub delay: Duration,
    /// The most bytes that pass in a second.
    pub bytes_per_second: Option<u32>,
    /// Counts the resets: connections of an earlier count are broken off.
    pub(super) resets: u64,
    /// Counts the partings: connections of an earlier count end at their sender.
    pub(super) partings: u64,
    /// Connections whose bytes are held back, while others overtake them.
    pub(super) held: Option<Held>,
}

/// Connections that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Those that were opened before the one with this number.
    pub(super) before: u64,
    /// One chunk of each passes when so much time has gone by; `None` where nothing does.
    pub(super) trickle: Option<Duration>,
}

impl PathState {
    /// Nothing passes.
    #[must_use]
    pub fn cut() -> Self {
        Self { cut: true, ..Self::default() }
    }

    /// Everything arrives `delay` later.
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// At most `bytes_per_second` pass.
    #[must_use]
    pub fn throttled(bytes_per_second: u32) -> Self {
        Self { bytes_per_second: Some(bytes_per_second), ..Self::default() }
    }

    /// The same condition for the connections of now: what was done to them stays.
    pub(super) fn with_connections_of(self, known: Self) -> Self {
        let Self { resets, partings, held, .. } = known;
        Self { resets, partings, held, ..self }
    }

    /// How the connection with this number is held back; `None` where it is not.
    pub(super) fn holds(&self, connection: u64) -> Option<Held> {
        self.held.filter(|held| connection < held.before)
    }

    /// How long `bytes` keep the path busy.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(bytes) / f64::from(rate.max(1)))
    }
}
