//! What became of the numbered sections that servers want written, as the servers count it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::eventually::pause_for;
use crate::four_letter;

/// How often a server is asked: what it counted since is lost with its process.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long its answer is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// Sections that had no effect because it was not their turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sections {
    /// They were applied before.
    pub repeated: u64,
    /// One in front of them was missing.
    pub early: u64,
    /// Their process had ended.
    pub ended: u64,
}

impl Sections {
    /// The least of the three.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.repeated.min(self.early).min(self.ended)
    }

    /// The higher number of each kind.
    fn max(self, other: Self) -> Self {
        Self {
            repeated: self.repeated.max(other.repeated),
            early: self.early.max(other.early),
            ended: self.ended.max(other.ended),
        }
    }

    /// By how much each has grown since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            repeated: self.repeated.saturating_sub(before.repeated),
            early: self.early.saturating_sub(before.early),
            ended: self.ended.saturating_sub(before.ended),
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            repeated: self.repeated + more.repeated,
            early: self.early + more.early,
            ended: self.ended + more.ended,
        }
    }
}

impl fmt::Display for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repeated, early, ended } = self;
        write!(f, "{repeated} repeated, {early} early, {ended} of ended processes")
    }
}

/// What one server counted.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// Over all its processes.
    total: Sections,
    /// What the process of now said last, and for how long it ran then.
    last: Option<(u64, Sections)>,
}

impl Counted {
    /// Takes what the server says. What a process counted before it was first asked is left out: it has
    /// applied again what was counted before.
    fn take(&mut self, uptime: u64, sections: Sections) {
        if let Some((known, last)) = self.last
            && known <= uptime
        {
            self.total = self.total.plus(sections.since(last));
        }
        self.last = Some((uptime, sections));
    }
}

/// Asks the servers again and again; ends with the last handle.
#[derive(Debug)]
pub(super) struct SectionCounts {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    counted: Mutex<Vec<Counted>>,
    stop: AtomicBool,
}

impl SectionCounts {
    /// Of the servers that take clients there.
    pub(super) fn of(addrs: Vec<SocketAddr>) -> Self {
        let counted = Mutex::new(vec![Counted::default(); addrs.len()]);
        let shared = Arc::new(Shared { counted, stop: AtomicBool::new(false) });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(&addrs)
        });
        Self { shared, thread: Some(thread) }
    }

    /// How many there were. Each server applies all sections, so it is the most that one of them
    /// counted, and not the sum.
    pub(super) fn get(&self) -> Sections {
        let counted = self.shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().fold(Sections::default(), |most, counted| most.max(counted.total))
    }
}

impl Drop for SectionCounts {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, addrs: &[SocketAddr]) {
        while !self.stop.load(Ordering::Relaxed) {
            for (server, addr) in addrs.iter().enumerate() {
                if let Some((uptime, sections)) = ask(*addr) {
                    let mut all = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
                    all[server].take(uptime, sections);
                }
            }
            pause_for(ASK_EVERY);
        }
    }
}

/// For how long a server runs, and what it counted; `None` where it does not serve, or does not count.
fn ask(addr: SocketAddr) -> Option<(u64, Sections)> {
    let answer = four_letter::ask_within(addr, "mntr", PATIENCE)?;
    let number = |key: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        line?.trim().parse().ok()
    };
    let sections = Sections {
        repeated: number("zk_sections_repeated")?,
        early: number("zk_sections_early")?,
        ended: number("zk_sections_ended")?,
    };
    Some((number("zk_uptime")?, sections))
}

#[cfg(test)]
mod tests {
    use super::{Counted, Sections};

    #[test]
    fn what_a_process_applies_again_is_not_counted_twice() {
        // What it has counted when it is first asked was counted before; what it counts then is new.
        let at = |repeated| Sections { repeated, early: 2, ended: 0 };
        let mut counted = Counted::default();
        for (uptime, repeated) in [(900, 5), (1000, 7), (200, 30), (300, 31), (400, 31)] {
            counted.take(uptime, at(repeated));
        }
        assert_eq!(counted.total, Sections { repeated: 3, early: 0, ended: 0 });
    }
}
