//! The one place of a server that reads clocks.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::test_settings;

/// The clocks of a server process.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// A test's file that says by how much the wall clock is wrong.
    offset: Option<PathBuf>,
}

#[expect(clippy::disallowed_methods, reason = "time enters the server here")]
impl Clock {
    /// Starts the clock that never goes back.
    pub fn start() -> Self {
        Self { start: Instant::now(), offset: test_settings::clock_offset_file() }
    }

    /// Microseconds since the start, never going back.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Wall time in milliseconds since 1970. May jump either way.
    pub fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        self.offset.as_ref().map_or(now_ms, |file| now_ms.saturating_add(offset_ms(file)))
    }
}

fn offset_ms(file: &Path) -> i64 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
