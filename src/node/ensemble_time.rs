//! The times of the ensemble: the wall time that entries were stamped with, and the time by which things expire.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

/// What applied entries say of time.
///
/// Things expire by the elapsed time: how long the ensemble has had leaders. It is what the state has, and goes on from
/// there by a clock that never goes back. Wall clocks, which may be wrong, have no part in it. A server that begins to
/// lead goes on from the last entry that it applied: it may be behind what passed, and never ahead.
#[derive(Debug)]
pub(super) struct EnsembleTime {
    /// The wall time of the last applied entry, in milliseconds.
    last_wall_ms: AtomicI64,
    elapsed: Mutex<State>,
}

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

impl EnsembleTime {
    /// As of a state whose last entry was stamped with this wall time.
    pub(super) fn new(last_wall_ms: i64) -> Self {
        Self { last_wall_ms: AtomicI64::new(last_wall_ms), elapsed: Mutex::default() }
    }

    /// The wall time of the last applied entry, in milliseconds.
    pub(super) fn last_wall_ms(&self) -> i64 {
        self.last_wall_ms.load(Ordering::Relaxed)
    }

    /// An entry of these times was applied; an elapsed time of 0 says none.
    pub(super) fn applied(&self, wall_ms: i64, elapsed_ms: u64, now_us: u64) {
        self.last_wall_ms.store(wall_ms, Ordering::Relaxed);
        let mut state = self.elapsed.lock();
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
    pub(super) fn begin_leading(&self) {
        let mut state = self.elapsed.lock();
        state.leading = Some(state.applied);
    }

    /// It leads no more.
    pub(super) fn end_leading(&self) {
        self.elapsed.lock().leading = None;
    }

    /// How long the ensemble has had leaders, in milliseconds, as of this moment of the server's clock.
    pub(super) fn elapsed_ms(&self, now_us: u64) -> u64 {
        let state = self.elapsed.lock();
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
        let time = EnsembleTime::new(0);
        time.applied(0, 50_000, 9_000_000);
        time.begin_leading();
        assert_eq!(time.elapsed_ms(11_000_000), 52_000);
        time.applied(0, 52_000, 11_900_000);
        assert_eq!(time.elapsed_ms(12_000_000), 53_000);
        time.end_leading();
        assert_eq!(time.elapsed_ms(12_000_000), 52_100, "what another leader stamps may be later");
        time.applied(0, 51_000, 13_000_000);
        assert_eq!(time.elapsed_ms(13_000_000), 53_100, "it never goes back");
    }

    #[test]
    fn time_begins_with_the_version_that_has_it() {
        // What a process lived before does not age what is there already.
        let time = EnsembleTime::new(0);
        time.begin_leading();
        time.applied(0, 0, 86_400_000_000);
        assert_eq!(time.elapsed_ms(86_401_000_000), 1_000);
        time.applied(0, 1_000, 86_401_000_000);
        assert_eq!(time.elapsed_ms(86_402_000_000), 2_000);
    }
}
