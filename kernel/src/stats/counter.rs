//! A count that any thread may add to.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows, until someone resets it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Starts anew at 0.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}
