//! How fast connections may come: a bucket of tokens, and a chance of being turned away that grows
//! while it is empty (ZooKeeper's `BlueThrottle`).

/// The settings of a [`ConnectionThrottle`], named in the configuration as `connection_throttle_*`.
#[derive(Clone, PartialEq, Debug)]
pub struct ThrottleSettings {
    /// The size of the bucket.
    pub tokens: u32,
    /// The time between two fillings, in milliseconds.
    pub fill_time_ms: u64,
    /// Tokens that each filling brings.
    pub fill_count: u32,
    /// The time between two changes of the chance, in milliseconds; `None` turns no one away by
    /// chance.
    pub freeze_time_ms: Option<u64>,
    /// What an empty bucket adds to the chance.
    pub drop_increase: f64,
    /// What a bucket that is full enough takes from it.
    pub drop_decrease: f64,
    /// The share of missing tokens up to which the bucket is full enough.
    pub decrease_ratio: f64,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            tokens: 1,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
        }
    }
}

/// Decides which connection requests are served. Times are milliseconds of a clock that never goes
/// back.
#[derive(Clone, Debug)]
pub struct ConnectionThrottle {
    settings: ThrottleSettings,
    tokens: u32,
    filled_ms: u64,
    frozen_ms: u64,
    drop_chance: f64,
}

impl ConnectionThrottle {
    /// A full bucket.
    pub fn new(settings: ThrottleSettings, now_ms: u64) -> Self {
        let tokens = settings.tokens;
        Self { settings, tokens, filled_ms: now_ms, frozen_ms: now_ms, drop_chance: 0.0 }
    }

    /// Takes `need` tokens for a connection request, or turns it away. `chance` is a random number
    /// from 0 up to, and without, 1.
    pub fn admits(&mut self, now_ms: u64, need: u32, chance: f64) -> bool {
        self.fill(now_ms);
        if let Some(freeze_time_ms) = self.settings.freeze_time_ms {
            self.adapt(now_ms, freeze_time_ms);
            if chance < self.drop_chance {
                return false;
            }
        }
        match self.tokens.checked_sub(need) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// How likely it is that the next connection is turned away whatever the bucket holds
    /// (`connection_drop_probability`).
    pub fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    /// Tokens that the bucket lacks.
    pub fn deficit(&self) -> u32 {
        self.settings.tokens - self.tokens
    }

    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        let fill_time_ms = self.settings.fill_time_ms.max(1);
        if passed_ms > fill_time_ms {
            let count = u64::from(self.settings.fill_count);
            let more = passed_ms.saturating_mul(count) / fill_time_ms;
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(more).min(self.settings.tokens);
            self.filled_ms = now_ms;
        }
    }

    fn adapt(&mut self, now_ms: u64, freeze_time_ms: u64) {
        if now_ms.saturating_sub(self.frozen_ms) <= freeze_time_ms {
            return;
        }
        let settings = &self.settings;
        let enough = (f64::from(settings.tokens) * settings.decrease_ratio).round();
        if self.tokens == 0 {
            self.drop_chance = (self.drop_chance + settings.drop_increase).min(1.0);
        } else if f64::from(self.deficit()) <= enough {
            self.drop_chance = (self.drop_chance - settings.drop_decrease).max(0.0);
        }
        self.frozen_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_takes_the_bucket_and_the_rest_waits_for_tokens() {
        // As many as there are tokens come in at once, later ones as fast as it is filled.
        let settings = ThrottleSettings { tokens: 3, fill_time_ms: 10, ..Default::default() };
        let mut throttle = ConnectionThrottle::new(settings, 0);
        let admitted = (0..5).filter(|_| throttle.admits(0, 1, 0.0)).count();
        assert_eq!((admitted, throttle.deficit()), (3, 3));
        assert!(!throttle.admits(10, 1, 0.0), "the first filling is due after its time");
        assert!(throttle.admits(20, 1, 0.0));
        assert!(throttle.admits(20, 1, 0.0));
        assert!(!throttle.admits(20, 1, 0.0));
        assert!(throttle.admits(u64::MAX, 3, 0.0), "a long silence fills the bucket, no more");
        assert!(!throttle.admits(u64::MAX, 1, 0.0));
    }

    #[test]
    fn a_heavier_request_needs_more_tokens() {
        // What a request needs is taken whole or not at all.
        let settings = ThrottleSettings { tokens: 4, ..Default::default() };
        let mut throttle = ConnectionThrottle::new(settings, 0);
        assert!(throttle.admits(0, 3, 0.0));
        assert!(!throttle.admits(0, 3, 0.0));
        assert!(throttle.admits(0, 1, 0.0));
    }

    #[test]
    fn an_empty_bucket_raises_the_chance_of_being_turned_away() {
        // The chance grows while the bucket is empty and falls when it is full again.
        let settings = ThrottleSettings {
            tokens: 1,
            fill_time_ms: 1000,
            freeze_time_ms: Some(10),
            drop_increase: 0.5,
            drop_decrease: 0.25,
            ..Default::default()
        };
        let mut throttle = ConnectionThrottle::new(settings, 0);
        assert!(throttle.admits(0, 1, 0.0));
        assert!(!throttle.admits(11, 1, 0.9));
        assert!((throttle.drop_chance() - 0.5).abs() < 1e-9);
        assert!(!throttle.admits(2000, 1, 0.2), "the bucket is full, chance decides");
        assert!((throttle.drop_chance() - 0.25).abs() < 1e-9);
        assert!(throttle.admits(2001, 1, 0.3));
    }
}
