//! What was counted: latencies and wrong replies.

use std::borrow::Cow;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::script::WrongReply;

/// Latencies are kept to this many digits.
const DIGITS: u8 = 3;
/// Latencies above this count as this, in nanoseconds.
const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// So many latencies are kept one by one, before there is a histogram: one takes 230 KB, and there may be 10,000
/// connections, each with a few replies.
const FEW_MAX: usize = 1000;

/// What was counted on one connection or, merged, on all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    few_ns: Vec<u64>,
    /// All others.
    many_ns: Option<Box<Histogram<u64>>>,
    wrong: u64,
    first_wrong: Option<WrongReply>,
}

fn histogram() -> Histogram<u64> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS);
    histogram.expect("the bounds and the digits are constants in range")
}

impl Tally {
    /// Counts one reply and how long it took.
    pub(super) fn record(&mut self, latency: Duration, verdict: Result<(), WrongReply>) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_MAX_NS);
        self.count(ns.max(1));
        self.judge(verdict);
    }

    fn count(&mut self, ns: u64) {
        match &mut self.many_ns {
            Some(many) => many.saturating_record(ns),
            None if self.few_ns.len() < FEW_MAX => self.few_ns.push(ns),
            None => self.many_ns.get_or_insert_with(|| Box::new(histogram())).saturating_record(ns),
        }
    }

    /// All latencies.
    fn all_ns(&self) -> Cow<'_, Histogram<u64>> {
        let mut all = match &self.many_ns {
            Some(many) if self.few_ns.is_empty() => return Cow::Borrowed(many),
            Some(many) => Histogram::clone(many),
            None => histogram(),
        };
        self.few_ns.iter().for_each(|ns| all.saturating_record(*ns));
        Cow::Owned(all)
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
        other.few_ns.iter().for_each(|ns| self.count(*ns));
        if let Some(others) = &other.many_ns {
            let own = self.many_ns.get_or_insert_with(|| Box::new(histogram()));
            // Both have the same bounds, so that nothing can be refused.
            let _ = own.add(&**others);
        }
        self.merge_wrong(other);
    }

    /// Takes over the wrong replies alone.
    pub(super) fn merge_wrong(&mut self, other: &Self) {
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.or(other.first_wrong);
    }

    /// Replies counted.
    pub(super) fn ops(&self) -> u64 {
        self.few_ns.len() as u64 + self.many_ns.as_ref().map_or(0, |many| many.len())
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
        us(self.all_ns().value_at_quantile(share))
    }

    /// The longest latency, in microseconds.
    pub(super) fn max_us(&self) -> f64 {
        us(self.all_ns().max())
    }

    /// The mean latency, in microseconds.
    pub(super) fn mean_us(&self) -> f64 {
        self.all_ns().mean() / 1000.0
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
        // Replies of 1 to 1000 us, several times each, spread over connections that got a few or many, have the known
        // quantiles.
        for (connections, times) in [(1, 1), (2, 1), (2, 5), (7, 1), (40, 11)] {
            let mut tallies = vec![Tally::default(); connections];
            for at in 0..1000 * times {
                // The first has most of them.
                let tally = if at % 3 == 0 { at % connections } else { 0 };
                let us = at as u64 % 1000 + 1;
                tallies[tally].record(Duration::from_micros(us), Ok(()));
            }
            check_quantiles(&tallies, 1000 * times as u64);
            tallies.reverse();
            check_quantiles(&tallies, 1000 * times as u64);
        }
    }

    fn check_quantiles(tallies: &[Tally], ops: u64) {
        let mut all = Tally::default();
        tallies.iter().for_each(|tally| all.merge(tally));
        assert_eq!(all.ops(), ops);
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = all.quantile_us(share);
            assert!((found - expected).abs() / expected < 0.002, "{share}: {found}");
        }
        assert!((all.max_us() - 1000.0).abs() < 1.0);
        assert!((all.mean_us() - 500.5).abs() < 1.0);
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
