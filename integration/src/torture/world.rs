//! What all clients of a round share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::eventually::Stopwatch;

use super::figures::Tally;

/// The servers, the clock and the end of a round.
#[derive(Debug)]
pub(super) struct World {
    /// Where the servers listen for clients.
    pub(super) addrs: Vec<SocketAddr>,
    /// The one clock of the run.
    pub(super) clock: Stopwatch,
    /// The tick of the servers, by which a session's end may differ.
    pub(super) tick: Duration,
    /// The parent of all znodes of the round.
    pub(super) root: String,
    /// What is counted.
    pub(super) tally: Arc<Tally>,
    /// The clients are to end.
    stop: AtomicBool,
}

impl World {
    pub(super) fn new(
        addrs: Vec<SocketAddr>,
        clock: Stopwatch,
        tick: Duration,
        root: String,
        tally: Arc<Tally>,
    ) -> Self {
        Self { addrs, clock, tick, root, tally, stop: AtomicBool::new(false) }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
