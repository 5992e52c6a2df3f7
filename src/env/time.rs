//! Clocks and timers.
//!
//! [`Instant`] never goes back and is paused by tests. [`SystemTime`] is the wall clock: it may step, and differs
//! between servers.

pub use std::time::{SystemTime, UNIX_EPOCH};

pub use tokio::time::error::Elapsed;
pub use tokio::time::{
    Instant, Interval, MissedTickBehavior, Timeout, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};
