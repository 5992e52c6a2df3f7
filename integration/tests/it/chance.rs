//! Random numbers from a seed that a failing test names.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// A small generator (xorshift64*), printed with its seed when a test fails.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeded by `GROVEKEEPER_TEST_SEED`, else differently each time; says which.
    #[expect(clippy::print_stdout, reason = "shown when the test fails, to repeat it")]
    pub(crate) fn new() -> Self {
        let given = std::env::var("GROVEKEEPER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("repeat with GROVEKEEPER_TEST_SEED={seed}");
        Self(seed | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number of `range`.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// As many random bytes as asked.
    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
