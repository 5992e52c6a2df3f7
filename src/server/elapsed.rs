//! How long the ensemble has had leaders: the time by which things expire.

use parking_lot::Mutex;

/// Elapsed time as a leader measures it: what the state has, and on from there by a clock that never goes
/// back. Wall clocks, which may be wrong, have no part in it.
#[derive(Debug, Default)]
pub(super) struct Elapsed(Mutex<Reading>);

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    elapsed_ms: u64,
    /// When that was, in microseconds of the server's clock.
    at_us: u64,
}

impl Elapsed {
    /// The time at `now_us`; no less than `applied_ms`, what the state has.
    pub(super) fn at(&self, now_us: u64, applied_ms: u64) -> u64 {
        let mut last = self.0.lock();
        let passed_ms = now_us.saturating_sub(last.at_us) / 1000;
        let elapsed_ms = last.elapsed_ms + passed_ms;
        if elapsed_ms < applied_ms {
            *last = Reading { elapsed_ms: applied_ms, at_us: now_us };
            return applied_ms;
        }
        elapsed_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_what_the_state_has() {
        // It never goes back, neither at a change of leader nor at a restart, and no wall clock moves it.
        let elapsed = Elapsed::default();
        assert_eq!(elapsed.at(2_000_000, 0), 2_000);
        assert_eq!(elapsed.at(3_000_000, 50_000), 50_000);
        assert_eq!(elapsed.at(4_000_000, 50_000), 51_000);
        assert_eq!(elapsed.at(4_000_000, 50_900), 51_000);
    }
}
