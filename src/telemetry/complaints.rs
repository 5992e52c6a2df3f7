//! Says the same thing once a minute at most: who is refused tries again, several times a second.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a complaint is not repeated.
const SILENCE: Duration = Duration::from_secs(60);

/// More different sources than this are complaints without memory.
const SOURCES_MAX: usize = 256;

/// Different complaints about one source that are remembered: a connection fails in more than one way.
const KINDS_MAX: usize = 8;

/// A source of complaints that is well for a moment between two is not well.
const RELAPSE: Duration = Duration::from_secs(5);

/// What was complained about, by whom it was caused.
#[derive(Debug)]
pub struct Complaints<K> {
    last: BTreeMap<K, Vec<(String, Instant)>>,
}

impl<K> Default for Complaints<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<K: Ord> Complaints<K> {
    /// Whether this is worth a line: it was not said of this source, or that was long ago.
    pub fn is_new(&mut self, source: K, what: &str) -> bool {
        let now = Instant::now();
        if self.last.len() >= SOURCES_MAX && !self.last.contains_key(&source) {
            self.last.clear();
        }
        let said = self.last.entry(source).or_default();
        said.retain(|(_, when)| now - *when < SILENCE);
        if said.iter().any(|(known, _)| known == what) {
            return false;
        }
        if said.len() == KINDS_MAX {
            said.remove(0);
        }
        said.push((what.to_owned(), now));
        true
    }

    /// All is well: the next complaint is a new one, unless it comes at once.
    pub fn forget(&mut self, source: &K) {
        let now = Instant::now();
        if let Some(said) = self.last.get_mut(source) {
            said.retain(|(_, when)| now - *when < RELAPSE);
            if said.is_empty() {
                self.last.remove(source);
            }
        }
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
        assert!(!complaints.is_new(1, "a"), "two complaints may take turns");
        tokio::time::advance(SILENCE).await;
        assert!(complaints.is_new(1, "b"));
        complaints.forget(&1);
        assert!(!complaints.is_new(1, "b"), "well for a moment");
        tokio::time::advance(RELAPSE).await;
        complaints.forget(&1);
        assert!(complaints.is_new(1, "b"));
    }
}
