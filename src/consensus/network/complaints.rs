//! Says the same thing once a minute at most: refused peers try again several times a second.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a complaint is not repeated.
const SILENCE: Duration = Duration::from_secs(60);

/// More different sources than this are complaints without memory.
const SOURCES_MAX: usize = 256;

/// What was complained about, by whom it was caused.
#[derive(Debug)]
pub(super) struct Complaints<K> {
    last: BTreeMap<K, (String, Instant)>,
}

impl<K> Default for Complaints<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<K: Ord> Complaints<K> {
    /// Whether this is worth a line: it was not the last complaint, or that was long ago.
    pub(super) fn is_new(&mut self, source: K, what: &str) -> bool {
        let now = Instant::now();
        let known = self.last.get(&source);
        if known.is_some_and(|(last, when)| last == what && now - *when < SILENCE) {
            return false;
        }
        if self.last.len() >= SOURCES_MAX {
            self.last.clear();
        }
        self.last.insert(source, (what.to_owned(), now));
        true
    }

    /// All is well: the next complaint is a new one.
    pub(super) fn forget(&mut self, source: &K) {
        self.last.remove(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_complaint_is_repeated_once_a_minute() {
        // The log says what is wrong and that it still is, without being flooded.
        let mut complaints = Complaints::default();
        assert!(complaints.is_new(1, "a"));
        assert!(!complaints.is_new(1, "a"));
        assert!(complaints.is_new(2, "a"));
        assert!(complaints.is_new(1, "b"));
        tokio::time::advance(SILENCE).await;
        assert!(complaints.is_new(1, "b"));
        complaints.forget(&1);
        assert!(complaints.is_new(1, "b"));
    }
}
