//! A histogram: the distribution of a measured value.
//!
//! Every request of every connection records here, so a recording is a few relaxed additions and
//! never waits. That is why the quantiles come from buckets of our own: hdrhistogram's need either a
//! lock around each recording or a recorder for each thread and a merge before each reading.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

/// Each power of two has this many buckets (as a power of two): a quantile is at most 1/64 off.
const SPLIT_BITS: u32 = 5;
const SPLIT: u64 = 1 << SPLIT_BITS;
const BUCKETS: usize = ((64 - SPLIT_BITS as usize) + 1) << SPLIT_BITS;

/// The distribution of a measured value: how often, the sum, the least, the greatest, the last, and how
/// many values were up to any given size.
#[derive(Debug)]
pub struct Histogram {
    count: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    last: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            last: AtomicU64::new(0),
            buckets: core::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect(),
        }
    }
}

/// A reading of a [`Histogram`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Extremes {
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least, 0 without any.
    pub min: u64,
    /// The greatest, 0 without any.
    pub max: u64,
    /// The last one, 0 without any.
    pub last: u64,
}

impl Extremes {
    /// The mean, 0 without any value.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

impl Histogram {
    /// Adds a value.
    pub fn record(&self, value: u64) {
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        self.last.store(value, Relaxed);
        if value < self.min.load(Relaxed) {
            self.min.fetch_min(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
        self.buckets[bucket(value)].fetch_add(1, Relaxed);
    }

    /// Adds a time, in microseconds.
    pub fn record_elapsed(&self, elapsed: Duration) {
        self.record(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
    }

    /// Reads it. Values that come in at the same time may be counted in part.
    pub fn read(&self) -> Extremes {
        let count = self.count.load(Relaxed);
        Extremes {
            count,
            sum: self.sum.load(Relaxed),
            min: if count == 0 { 0 } else { self.min.load(Relaxed) },
            max: self.max.load(Relaxed),
            last: self.last.load(Relaxed),
        }
    }

    /// The values below which these shares of all values lie, ascending; 0 without any value.
    pub fn quantiles<const N: usize>(&self, shares: [f64; N]) -> [u64; N] {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let Extremes { min, max, .. } = self.read();
        shares.map(|share| {
            let rank = ((share * total as f64).ceil() as u64).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.map_or(0, |at| middle(at).clamp(min, max))
        })
    }

    /// Starts anew.
    pub fn reset(&self) {
        self.count.store(0, Relaxed);
        self.sum.store(0, Relaxed);
        self.min.store(u64::MAX, Relaxed);
        self.max.store(0, Relaxed);
        self.last.store(0, Relaxed);
        for bucket in &self.buckets {
            bucket.store(0, Relaxed);
        }
    }
}

/// The place of a value: exact below [`SPLIT`], then by its leading bits.
fn bucket(value: u64) -> usize {
    let shift = (value | (SPLIT - 1)).ilog2().saturating_sub(SPLIT_BITS);
    if value < SPLIT {
        return value as usize;
    }
    (((u64::from(shift) + 1) << SPLIT_BITS) + (value >> shift) - SPLIT) as usize
}

/// The middle of the values that belong to a place.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SPLIT {
        return bucket;
    }
    let shift = (bucket >> SPLIT_BITS) - 1;
    let lowest = ((bucket & (SPLIT - 1)) + SPLIT) << shift;
    lowest + ((1 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_knows_its_extremes() {
        // Mean, least, greatest and last of what was recorded; nothing before and after a reset.
        let histogram = Histogram::default();
        assert_eq!(histogram.read(), Extremes::default());
        for value in [5, 1, 3] {
            histogram.record(value);
        }
        assert_eq!(histogram.read(), Extremes { count: 3, sum: 9, min: 1, max: 5, last: 3 });
        assert!((histogram.read().mean() - 3.0).abs() < f64::EPSILON);
        assert_eq!(histogram.quantiles([0.5, 1.0]), [3, 5]);
        histogram.reset();
        assert_eq!(histogram.read(), Extremes::default());
        assert_eq!(histogram.quantiles([0.5]), [0]);
    }

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        // No value is further from what a quantile would report than a 1/64 of itself.
        for shift in 0..64 {
            for value in [1 << shift, (1 << shift) + (1 << shift) / 3, u64::MAX >> shift] {
                let found = middle(bucket(value));
                assert!(found.abs_diff(value) <= value / 64 + 1, "{value}: {found}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_follow_the_ranks() {
        // Of the values 1 to 1000 the p-quantile is about 1000 p.
        let histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        let expected = [500_u64, 900, 990, 999];
        for (found, expected) in histogram.quantiles([0.5, 0.9, 0.99, 0.999]).iter().zip(expected) {
            assert!(found.abs_diff(expected) <= expected / 32, "{found} for {expected}");
        }
    }
}
