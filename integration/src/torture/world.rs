//! What all clients of a round share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// They are to end without the answers that they wait for.
    abandoned: AtomicBool,
    /// When all faults had ended, and how long what was sent before waited for its answer since.
    answers: Mutex<(Option<Duration>, Duration)>,
}

impl World {
    pub(super) fn new(
        addrs: Vec<SocketAddr>,
        clock: Stopwatch,
        tick: Duration,
        root: String,
        tally: Arc<Tally>,
    ) -> Self {
        let (stop, abandoned) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { addrs, clock, tick, root, tally, stop, abandoned, answers: Mutex::default() }
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

    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(super) fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// All faults have ended.
    pub(super) fn healed(&self, at: Duration) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // What was answered between that moment and this call waited less than others do.
        answers.0 = Some(at);
    }

    /// What was sent at this time has its answer, or its connection is lost.
    pub(super) fn answered(&self, sent: Duration) {
        let now = self.now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(healed) = answers.0.filter(|healed| sent <= *healed) {
            answers.1 = answers.1.max(now.saturating_sub(healed));
        }
    }

    /// How long what was sent before all faults had ended waited for its answer after that.
    pub(super) fn longest_answer(&self) -> Duration {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
