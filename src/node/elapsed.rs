//! How long the ensemble has had leaders: the time by which things expire.

use parking_lot::Mutex;

/// Elapsed time: what the state has, and on from there by a clock that never goes back. Wall clocks, which may be
/// wrong, have no part in it. A server that begins to lead goes on from the last entry that it applied: it may
/// be behind what passed, and never ahead.
#[derive(Debug, Default)]
pub(super) struct Elapsed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// As of the last entry that moved it.
    applied: Reading,
    /// What this server goes on from while it leads: its own entries are applied later than it stamped them.
    leading: Option<Reading>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    elapsed_ms: u64,
    /// When that was, in microseconds of the server's clock.
    at_us: u64,
}

impl Elapsed {
    /// An entry of this time was applied; 0 where it says none.
    pub(super) fn applied(&self, elapsed_ms: u64, now_us: u64) {
        let mut state = self.0.lock();
        let reading = Reading { elapsed_ms, at_us: now_us };
        if elapsed_ms == 0 {
            // Time has not begun.
            state.leading = state.leading.map(|_| reading);
        } else if elapsed_ms <= state.applied.elapsed_ms {
            return;
        }
        state.applied = reading;
    }

    /// This server leads from now on.
    pub(super) fn begin(&self) {
        let mut state = self.0.lock();
        state.leading = Some(state.applied);
    }

    /// It leads no more.
    pub(super) fn end(&self) {
        self.0.lock().leading = None;
    }

    /// The time now, in milliseconds.
    pub(super) fn at(&self, now_us: u64) -> u64 {
        let state = self.0.lock();
        let Reading { elapsed_ms, at_us } = state.leading.unwrap_or(state.applied);
        let passed_ms = now_us.saturating_sub(at_us) / 1000;
        state.applied.elapsed_ms.max(elapsed_ms + passed_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_goes_on_from_what_it_applied() {
        // Neither the time before that, nor the time that its entries take, counts twice or not at all.
        let elapsed = Elapsed::default();
        elapsed.applied(50_000, 9_000_000);
        elapsed.begin();
        assert_eq!(elapsed.at(11_000_000), 52_000);
        elapsed.applied(52_000, 11_900_000);
        assert_eq!(elapsed.at(12_000_000), 53_000);
        elapsed.end();
        assert_eq!(elapsed.at(12_000_000), 52_100, "what another leader stamps may be later");
        elapsed.applied(51_000, 13_000_000);
        assert_eq!(elapsed.at(13_000_000), 53_100, "it never goes back");
    }

    #[test]
    fn time_begins_with_the_version_that_has_it() {
        // What a process lived before does not age what is there already.
        let elapsed = Elapsed::default();
        elapsed.begin();
        elapsed.applied(0, 86_400_000_000);
        assert_eq!(elapsed.at(86_401_000_000), 1_000);
        elapsed.applied(1_000, 86_401_000_000);
        assert_eq!(elapsed.at(86_402_000_000), 2_000);
    }
}
