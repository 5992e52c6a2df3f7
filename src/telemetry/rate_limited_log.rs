//! A line of the log that is written once a minute at most. A client or peer that is refused tries again several times
//! a second.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::env::time::Instant;

/// How long a message about one source is not repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Sources that are remembered. When there are more, all are forgotten: memory is bounded, and a line may come again.
const SOURCES_MAX: usize = 256;

/// Different messages about one source that are remembered: a connection fails in more than one way.
const MESSAGES_MAX: usize = 8;

/// A younger message stays remembered when its source succeeds: one that fails, succeeds and fails again within this
/// time is logged once.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// The messages of the last minute, by the source that they are about.
#[derive(Debug)]
pub struct RateLimitedLog<K> {
    last: BTreeMap<K, Vec<(String, Instant)>>,
}

impl<K> Default for RateLimitedLog<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<K: Ord> RateLimitedLog<K> {
    /// Whether to log `message`: it was not logged about this source in the last minute.
    pub fn should_log(&mut self, source: K, message: &str) -> bool {
        let now = Instant::now();
        if self.last.len() >= SOURCES_MAX && !self.last.contains_key(&source) {
            self.last.clear();
        }
        let logged = self.last.entry(source).or_default();
        logged.retain(|(_, when)| now - *when < REPEAT_AFTER);
        if logged.iter().any(|(known, _)| known == message) {
            return false;
        }
        if logged.len() == MESSAGES_MAX {
            logged.remove(0);
        }
        logged.push((message.to_owned(), now));
        true
    }

    /// The source succeeded: its next message is logged, unless it comes at once.
    pub fn forget(&mut self, source: &K) {
        let now = Instant::now();
        if let Some(logged) = self.last.get_mut(source) {
            logged.retain(|(_, when)| now - *when < FORGET_AFTER);
            if logged.is_empty() {
                self.last.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_is_repeated_once_a_minute() {
        // The log says what is wrong and that it still is, without being flooded.
        let mut log = RateLimitedLog::default();
        assert!(log.should_log(1, "a"));
        assert!(!log.should_log(1, "a"));
        assert!(log.should_log(2, "a"));
        assert!(log.should_log(1, "b"));
        assert!(!log.should_log(1, "a"), "two rate_limited_log may take turns");
        tokio::time::advance(REPEAT_AFTER).await;
        assert!(log.should_log(1, "b"));
        log.forget(&1);
        assert!(!log.should_log(1, "b"), "well for a moment");
        tokio::time::advance(FORGET_AFTER).await;
        log.forget(&1);
        assert!(log.should_log(1, "b"));
    }
}
