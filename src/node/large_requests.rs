//! The memory that large requests may take together.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::LimitsConfig;

/// Counts the bytes of large requests that are not answered yet (`largeRequestThreshold`,
/// `largeRequestMaxBytes`).
#[derive(Debug)]
pub struct LargeRequests {
    /// A longer request is large; `None`: none is.
    threshold: Option<u64>,
    max: u64,
    in_flight: AtomicU64,
}

/// A large request came that is over the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverLimit {
    /// Bytes of the others.
    pub in_flight: u64,
    /// What all may take together.
    pub max: u64,
}

impl LargeRequests {
    pub(super) fn new(limits: &LimitsConfig) -> Self {
        Self {
            threshold: limits.large_request_threshold_bytes,
            max: limits.large_request_max_bytes,
            in_flight: AtomicU64::new(0),
        }
    }

    /// Whether a request of this length is counted at all.
    pub fn is_large(&self, len: u64) -> bool {
        self.threshold.is_some_and(|threshold| len > threshold)
    }

    /// Takes the room of a large request, to be given back with [`LargeRequests::release`].
    ///
    /// # Errors
    /// [`OverLimit`]: there is no such room, and none was taken.
    pub fn reserve(&self, len: u64) -> Result<(), OverLimit> {
        let max = self.max;
        let taken = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(len).filter(|sum| *sum <= max)
        });
        taken.map(drop).map_err(|in_flight| OverLimit { in_flight, max })
    }

    /// Gives room back.
    pub fn release(&self, len: u64) {
        self.in_flight.fetch_sub(len, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_share_their_room() {
        // Requests over the threshold take room until they are answered; small ones never do.
        let limits = LimitsConfig {
            large_request_threshold_bytes: Some(100),
            large_request_max_bytes: 300,
            ..LimitsConfig::default()
        };
        let large = LargeRequests::new(&limits);
        assert!(!large.is_large(100) && large.is_large(101));
        assert_eq!(large.reserve(200), Ok(()));
        assert_eq!(large.reserve(101), Err(OverLimit { in_flight: 200, max: 300 }));
        assert_eq!(large.reserve(100), Ok(()));
        large.release(200);
        assert_eq!(large.reserve(200), Ok(()));
        assert!(!LargeRequests::new(&LimitsConfig::default()).is_large(u64::MAX));
    }
}
