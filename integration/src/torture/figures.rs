//! What a run counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use grovekeeper_client::Fate;

use super::sections::Sections;
use history::Promise;

/// Between acknowledged writes, anything shorter is no pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A time in which no client's write was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// Counted by all clients at the same time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    events: AtomicU64,
    resumed: AtomicU64,
    expired: AtomicU64,
    writes: AtomicU64,
    numbered: AtomicU64,
    uncertain: AtomicU64,
    pauses: Mutex<Pauses>,
}

#[derive(Debug, Default)]
struct Pauses {
    last: Option<Duration>,
    found: Vec<Pause>,
}

impl Tally {
    pub(super) fn answered(&self, done: bool) {
        let counter = if done { &self.done } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unanswered(&self, count: usize) {
        self.unanswered.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
    }

    /// What became of a write of a client that numbers them: `None` where it was done as asked.
    pub(super) fn numbered(&self, failed: Option<Fate>) {
        let counter = match failed {
            None => &self.numbered,
            Some(Fate::NotApplied) => &self.refused,
            Some(Fate::Applied | Fate::Unknown) => &self.uncertain,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    /// A write was acknowledged at `now`.
    pub(super) fn acknowledged(&self, now: Duration) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = pauses.last.filter(|last| now.saturating_sub(*last) >= PAUSE_MIN) {
            pauses.found.push(Pause { from, to: now });
        }
        pauses.last = pauses.last.max(Some(now));
    }

    /// How many writes were acknowledged so far.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The pauses since the last call. What lies between two rounds is none.
    pub(super) fn take_pauses(&self) -> Vec<Pause> {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.last = None;
        std::mem::take(&mut pauses.found)
    }
}

/// What one kind of fault did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Struck {
    /// How often it was injected.
    pub count: u64,
    /// The longest pause between acknowledged writes of any client, where no other fault was near:
    /// one for each fault.
    pub pauses: Vec<Duration>,
}

/// The figures of a run.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Rounds that were played.
    pub rounds: u64,
    /// Requests that were answered without an error.
    pub done: u64,
    /// Requests that were answered with an error, which most were to be.
    pub refused: u64,
    /// Requests whose connection was lost.
    pub unanswered: u64,
    /// Watch events.
    pub events: u64,
    /// Sessions that went on with a new connection.
    pub resumed: u64,
    /// Sessions that were found expired.
    pub expired: u64,
    /// Numbered writes that were done.
    pub numbered: u64,
    /// Numbered writes of which the client does not know it, as its session was lost.
    pub uncertain: u64,
    /// Sections that had no effect, where they are counted.
    pub sections: Option<Sections>,
    /// By kind.
    pub faults: BTreeMap<&'static str, Struck>,
    /// The longest time in which no write was acknowledged to any client.
    pub longest_pause: Duration,
    /// The longest such time while a majority ran and reached each other.
    pub longest_pause_well: Duration,
    /// The longest time from the end of all faults until all servers served.
    pub longest_recovery: Duration,
    /// The longest time that a client waited for an answer after the end of all faults.
    pub longest_answer: Duration,
    /// Registers whose history was too long to search.
    pub undecided: u64,
    /// By the promise that was broken.
    pub anomalies: BTreeMap<Promise, u64>,
}

impl Figures {
    /// Takes over what clients counted since the start of the run.
    pub(super) fn take_over(&mut self, tally: &Tally) {
        self.done = tally.done.load(Ordering::Relaxed);
        self.refused = tally.refused.load(Ordering::Relaxed);
        self.unanswered = tally.unanswered.load(Ordering::Relaxed);
        self.events = tally.events.load(Ordering::Relaxed);
        self.resumed = tally.resumed.load(Ordering::Relaxed);
        self.expired = tally.expired.load(Ordering::Relaxed);
        self.numbered = tally.numbered.load(Ordering::Relaxed);
        self.uncertain = tally.uncertain.load(Ordering::Relaxed);
    }

    /// How many faults were injected.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.faults.values().map(|struck| struck.count).sum()
    }

    /// How many anomalies were found.
    #[must_use]
    pub fn anomalous(&self) -> u64 {
        self.anomalies.values().sum()
    }
}

impl fmt::Display for Figures {
    /// The tables of a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rounds               {:>9}", self.rounds)?;
        writeln!(f, "requests done        {:>9}", self.done)?;
        writeln!(f, "requests refused     {:>9}", self.refused)?;
        writeln!(f, "requests unanswered  {:>9}", self.unanswered)?;
        writeln!(f, "watch events         {:>9}", self.events)?;
        writeln!(f, "sessions resumed     {:>9}", self.resumed)?;
        writeln!(f, "sessions expired     {:>9}", self.expired)?;
        if let Some(Sections { repeated, early, ended }) = self.sections {
            writeln!(f, "numbered writes done {:>9}", self.numbered)?;
            writeln!(f, "  of unknown fate      {:>7}", self.uncertain)?;
            writeln!(f, "sections repeated    {repeated:>9}")?;
            writeln!(f, "  early                {early:>7}")?;
            writeln!(f, "  of ended processes   {ended:>7}")?;
        }
        writeln!(f, "faults               {:>9}", self.injected())?;
        for (kind, struck) in &self.faults {
            write!(f, "  {kind:<27} {:>4}", struck.count)?;
            if let Some((median, longest)) = struck.median_and_longest() {
                write!(f, "   pause, median {median:>6.0?}, longest {longest:>6.0?}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "longest pause        {:>9.1?}", self.longest_pause)?;
        writeln!(f, "  with a majority      {:>8.1?}", self.longest_pause_well)?;
        writeln!(f, "longest recovery     {:>9.1?}", self.longest_recovery)?;
        writeln!(f, "longest answer       {:>9.1?}", self.longest_answer)?;
        writeln!(f, "histories undecided  {:>9}", self.undecided)?;
        write!(f, "anomalies            {:>9}", self.anomalous())?;
        for (promise, count) in &self.anomalies {
            write!(f, "\n  {promise:<27} {count:>4}")?;
        }
        Ok(())
    }
}

impl Struck {
    fn median_and_longest(&self) -> Option<(Duration, Duration)> {
        let mut sorted = self.pauses.clone();
        sorted.sort_unstable();
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }
}
