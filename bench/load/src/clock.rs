//! The one place of the load generator that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time.
#[expect(clippy::disallowed_methods, reason = "measuring time is what a load generator does")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A number that no other run uses.
#[expect(clippy::disallowed_methods, reason = "the time tells runs apart")]
pub(super) fn nonce() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
