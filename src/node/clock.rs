//! The one place of a server that reads clocks.

use crate::env::time::{Instant, SystemTime, UNIX_EPOCH};
use crate::failpoints;

/// The clocks of a server process.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

#[expect(clippy::disallowed_methods, reason = "time enters the server here")]
impl Clock {
    /// Starts the clock that never goes back.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Microseconds since the start, never going back.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Wall time in milliseconds since 1970. May jump either way.
    pub fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_add(failpoints::wall_clock_error_ms())
    }
}
