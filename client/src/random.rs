//! Randomness: the one place of the client that draws it.

use std::hash::{BuildHasher, RandomState};

/// A random number from the operating system. It spreads load and tells clients apart; it is not
/// for secrets.
pub(crate) fn draw() -> u64 {
    // Each state is seeded by the operating system.
    RandomState::new().hash_one(0_u8)
}

/// A random id of 32 hexadecimal digits: unlikely enough to be drawn twice.
pub(crate) fn unique_id() -> String {
    format!("{:016x}{:016x}", draw(), draw())
}

/// A small generator of numbers: good enough to spread load, and the same for the same seed, so
/// that a session can be tested.
#[derive(Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 where that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or_default()
    }

    /// A number from 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}
