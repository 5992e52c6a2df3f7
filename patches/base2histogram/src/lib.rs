//! What openraft needs of the crate of this name: histograms whose buckets grow with the value.
//!
//! The real one builds lookup tables of 27 MB when the first is made, which was three quarters of an
//! idle server's memory (`docs/decisions/0015-histograms.md`). Here a bucket is found by arithmetic, and
//! a histogram takes 2 KB once it has a sample. Charts, which openraft draws with its feature
//! `runtime-stats` only, are left out: with the feature it does not compile against this.

use std::fmt;
use std::marker::PhantomData;

/// Below this, each value has a bucket of its own.
const EXACT: u64 = 8;
/// Buckets between a power of two and the next.
const PARTS: usize = 4;
/// All of them, up to the largest value.
const BUCKETS: usize = EXACT as usize + (64 - 3) * PARTS;

/// Counts samples by size. A percentile is at most a quarter too small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// Empty until there is a sample.
    counts: Vec<u64>,
    data: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// A histogram without samples.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: Vec::new(), data: PhantomData }
    }

    /// Counts a sample.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts as many samples of the same value.
    pub fn record_n(&mut self, value: u64, count: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        self.counts[bucket(value)] += count;
    }

    /// How many samples there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The percentiles that openraft shows.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        let samples = self.total();
        let at = |per_mille: u64| self.value_at((samples * per_mille).div_ceil(1000).max(1));
        PercentileStats {
            samples,
            p0_1: at(1),
            p1: at(10),
            p5: at(50),
            p10: at(100),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
        }
    }

    /// The least value of the bucket that holds the sample of this rank, counted from 1; 0 without
    /// samples.
    fn value_at(&self, rank: u64) -> u64 {
        let mut counted = 0;
        let found = self.counts.iter().position(|count| {
            counted += count;
            counted >= rank
        });
        found.map_or(0, least)
    }
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let power = value.ilog2();
    let part = (value >> (power - 2)) as usize % PARTS;
    EXACT as usize + (power as usize - 3) * PARTS + part
}

/// The least value of a bucket.
fn least(bucket: usize) -> u64 {
    match bucket.checked_sub(EXACT as usize) {
        None => bucket as u64,
        Some(above) => ((PARTS + above % PARTS) as u64) << (above / PARTS + 1),
    }
}

/// The percentiles of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many samples there are.
    pub samples: u64,
    /// Percentile 0.1.
    pub p0_1: u64,
    /// Percentile 1.
    pub p1: u64,
    /// Percentile 5.
    pub p5: u64,
    /// Percentile 10.
    pub p10: u64,
    /// The median.
    pub p50: u64,
    /// Percentile 90.
    pub p90: u64,
    /// Percentile 99.
    pub p99: u64,
    /// Percentile 99.9.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p0_1, p1, p5, p10, p50, p90, p99, p99_9 } = self;
        write!(
            f,
            "[samples: {samples}, P0.1: {p0_1}, P1: {p1}, P5: {p5}, P10: {p10}, P50: {p50}, \
             P90: {p90}, P99: {p99}, P99.9: {p99_9}]"
        )
    }
}

/// Histograms to be drawn; see the [crate].
#[derive(Clone, Debug, Default)]
pub struct AsciiChart<T = ()>(Vec<(String, Histogram<T>)>);

impl<T> AsciiChart<T> {
    /// A chart without histograms.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a histogram.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the name that openraft calls")]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.0.push((name.to_owned(), histogram));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_that_begins_close_below_it() {
        // Buckets are in the order of the values, and none is wider than a quarter of its least value.
        let powers = (0..64).map(|power| 1_u64 << power);
        let around = |power: u64| [power.wrapping_sub(1), power, power + power / 3];
        for value in powers.flat_map(around).chain([0, u64::MAX]) {
            let begin = least(bucket(value));
            assert!(begin <= value && value - begin <= begin / 4, "{value}: {begin}");
            assert_eq!(bucket(begin), bucket(value));
        }
        assert!((1..BUCKETS).all(|bucket| least(bucket - 1) < least(bucket)));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        // One to a hundred: the ranks are the values, rounded down to a bucket.
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        (1..=100).for_each(|value| histogram.record(value));
        let PercentileStats { samples, p0_1, p5, p50, p99, .. } = histogram.percentile_stats();
        assert_eq!((samples, p0_1, p5, p50, p99), (100, 1, 5, 48, 96));
    }
}
