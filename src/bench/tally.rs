//! What was counted: latencies and wrong replies.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::script::WrongReply;

/// Latencies are kept to this many digits.
const DIGITS: u8 = 3;
/// Latencies above this count as this, in nanoseconds.
const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// What was counted on one connection or, merged, on all.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    latency_ns: Histogram<u64>,
    wrong: u64,
    first_wrong: Option<WrongReply>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS);
        let latency_ns = latency_ns.expect("the bounds and the digits are constants in range");
        Self { latency_ns, wrong: 0, first_wrong: None }
    }
}

impl Tally {
    /// Counts one reply and how long it took.
    pub(super) fn record(&mut self, latency: Duration, verdict: Result<(), WrongReply>) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_MAX_NS);
        self.latency_ns.saturating_record(ns.max(1));
        self.judge(verdict);
    }

    /// Counts a wrong reply without a latency.
    pub(super) fn judge(&mut self, verdict: Result<(), WrongReply>) {
        if let Err(wrong) = verdict {
            self.wrong += 1;
            self.first_wrong.get_or_insert(wrong);
        }
    }

    /// Takes over what another connection counted.
    pub(super) fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so that nothing can be refused.
        let _ = self.latency_ns.add(&other.latency_ns);
        self.merge_wrong(other);
    }

    /// Takes over the wrong replies alone.
    pub(super) fn merge_wrong(&mut self, other: &Self) {
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.or(other.first_wrong);
    }

    /// Replies counted.
    pub(super) fn ops(&self) -> u64 {
        self.latency_ns.len()
    }

    /// Wrong replies.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    /// The first wrong reply.
    pub(super) fn first_wrong(&self) -> Option<WrongReply> {
        self.first_wrong
    }

    /// The latency that this share of the replies did not exceed, in microseconds.
    pub(super) fn quantile_us(&self, share: f64) -> f64 {
        us(self.latency_ns.value_at_quantile(share))
    }

    /// The longest latency, in microseconds.
    pub(super) fn max_us(&self) -> f64 {
        us(self.latency_ns.max())
    }

    /// The mean latency, in microseconds.
    pub(super) fn mean_us(&self) -> f64 {
        self.latency_ns.mean() / 1000.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_merged_tallies_are_those_of_all_replies() {
        // 1000 replies of 1 to 1000 us, spread over two connections, have the known quantiles.
        let (mut odd, mut even) = (Tally::default(), Tally::default());
        for us in 1..=1000 {
            let tally = if us % 2 == 0 { &mut even } else { &mut odd };
            tally.record(Duration::from_micros(us), Ok(()));
        }
        odd.merge(&even);
        assert_eq!(odd.ops(), 1000);
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = odd.quantile_us(share);
            assert!((found - expected).abs() / expected < 0.002, "{share}: {found}");
        }
        assert!((odd.max_us() - 1000.0).abs() < 1.0);
        assert!((odd.mean_us() - 500.5).abs() < 1.0);
    }

    #[test]
    fn wrong_replies_are_counted_and_the_first_is_kept() {
        // A run that got errors can say how many and show one.
        let (mut a, mut b) = (Tally::default(), Tally::default());
        a.record(Duration::from_secs(1000), Ok(()));
        b.record(Duration::ZERO, Err(WrongReply::Code(-101)));
        b.judge(Err(WrongReply::Body("data")));
        a.merge(&b);
        assert_eq!((a.ops(), a.wrong(), a.first_wrong()), (2, 2, Some(WrongReply::Code(-101))));
    }
}
