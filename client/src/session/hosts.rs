//! Which server to try next, and when.

use std::time::Duration;

use crate::random::SplitMix64;

/// The pause after the first round in which no server would do.
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The servers in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Hosts {
    order: Vec<usize>,
    next: usize,
    /// How many servers were tried since the last good connection.
    failures: u32,
    backoff_max: Duration,
    random: SplitMix64,
}

impl Hosts {
    pub(super) fn new(count: usize, shuffle: bool, backoff_max: Duration, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut order: Vec<usize> = (0..count).collect();
        if shuffle {
            for at in (1..count).rev() {
                order.swap(at, random.below(at + 1));
            }
        }
        Self { order, next: 0, failures: 0, backoff_max, random }
    }

    /// The server to try next.
    pub(super) fn next(&mut self) -> usize {
        let host = self.order.get(self.next).copied().unwrap_or_default();
        self.next = (self.next + 1) % self.order.len().max(1);
        host
    }

    /// This server is to be tried next.
    pub(super) fn aim(&mut self, host: usize) {
        self.next = self.order.iter().position(|known| *known == host).unwrap_or_default();
    }

    /// A connection served well.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A server would not do: how long to wait before the next is tried. There is no pause within a
    /// round; between rounds it doubles, and chance takes up to half of it away, so that the
    /// clients of a server that failed do not all come back at once.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let hosts = u32::try_from(self.order.len().max(1)).unwrap_or(u32::MAX);
        if !self.failures.is_multiple_of(hosts) {
            return Duration::ZERO;
        }
        let round = (self.failures / hosts).clamp(1, 16) - 1;
        let pause = (BACKOFF_MIN * (1 << round)).min(self.backoff_max);
        let half = pause / 2;
        half + half.mul_f64(self.random.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_tried_before_there_is_a_pause() {
        // Within a round there is no pause; the pauses between rounds grow up to the limit.
        let limit = Duration::from_millis(400);
        let mut hosts = Hosts::new(3, true, limit, 7);
        let mut tried: Vec<usize> = (0..3).map(|_| hosts.next()).collect();
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2]);
        let pauses: Vec<Duration> = (0..30).map(|_| hosts.failed()).collect();
        for (at, pause) in pauses.iter().enumerate() {
            if at % 3 != 2 {
                assert_eq!(*pause, Duration::ZERO);
            } else {
                assert!(*pause >= BACKOFF_MIN / 2 && *pause <= limit, "{pause:?}");
            }
        }
        assert!(pauses[29] >= limit / 2);
        hosts.succeeded();
        let again: Vec<Duration> = (0..3).map(|_| hosts.failed()).collect();
        assert!(again[2] <= BACKOFF_MIN);
    }

    #[test]
    fn different_clients_try_servers_in_different_orders() {
        // The order depends on the seed, unless shuffling is off.
        let first = |seed| Hosts::new(5, true, Duration::ZERO, seed).next();
        let firsts: std::collections::BTreeSet<usize> = (0..50).map(first).collect();
        assert_eq!(firsts.len(), 5);
        let mut plain = Hosts::new(3, false, Duration::ZERO, 9);
        assert_eq!([plain.next(), plain.next(), plain.next(), plain.next()], [0, 1, 2, 0]);
    }
}
