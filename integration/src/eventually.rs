//! Waiting for a condition with a deadline: the only place of the tests that sleeps.

use std::time::{Duration, Instant};

/// How long [`eventually`] waits before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it answers `Some`, and returns that.
///
/// # Panics
///
/// When [`PATIENCE`] has passed; the message names `what` was awaited.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// Asks `probe` until it answers `Some`, for at most `patience`, and returns that.
///
/// # Panics
///
/// When `patience` has passed; the message names `what` was awaited.
pub fn within<T>(patience: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    attempt(patience, probe).unwrap_or_else(|| panic!("waited {patience:?} in vain: {what}"))
}

/// Asks `probe` until it answers `Some`, and returns that, or `None` when `patience` has passed.
pub fn attempt<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = Stopwatch::start();
    let mut pause = Duration::from_millis(2);
    loop {
        let found = probe();
        if found.is_some() || clock.elapsed() >= patience {
            return found;
        }
        pause_for(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Watches that `probe` keeps answering true for the whole of `period`.
///
/// # Panics
///
/// As soon as `probe` answers false; the message names `what` was promised.
pub fn throughout(period: Duration, what: &str, mut probe: impl FnMut() -> bool) {
    let clock = Stopwatch::start();
    while clock.elapsed() < period {
        assert!(probe(), "did not hold for {period:?}: {what} (lost at {:?})", clock.elapsed());
        pause_for(Duration::from_millis(20));
    }
}

/// Lets `period` pass: for faults at random moments, not for waiting until something is ready.
#[expect(clippy::disallowed_methods, reason = "the one place of the tests that sleeps")]
pub fn pause_for(period: Duration) {
    std::thread::sleep(period);
}

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of the tests that reads a clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
