//! The kinds of time, all in milliseconds. They have nothing to do with each other, so they are types.
//!
//! The kernel reads no clock: each of them comes with what it is about.

use serde::{Deserialize, Serialize};

/// Wall time: milliseconds since 1970 by the clock of the leader that stamped an entry. Clocks differ and are
/// set, so it may go back. Clients see it as `ctime` and `mtime`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// The milliseconds from then to here; below 0 where the clock went back.
    #[must_use]
    pub const fn ms_since(self, then: Self) -> i64 {
        self.0.saturating_sub(then.0)
    }
}

/// Elapsed time: the milliseconds for which the ensemble has had leaders, as these measured them. It is replicated and
/// never goes back. Containers and TTL nodes expire by it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ElapsedTime(pub u64);

impl ElapsedTime {
    /// The milliseconds from then to here; 0 where that is later.
    #[must_use]
    pub const fn ms_since(self, then: Self) -> u64 {
        self.0.saturating_sub(then.0)
    }
}

/// The session clock: milliseconds of a clock of one server that never goes back. Silence of sessions is measured
/// by it; it is neither stamped nor compared between servers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionTime(pub u64);

impl SessionTime {
    /// From microseconds of that clock.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us / 1000)
    }

    /// So many milliseconds later.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0 + ms)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn times_are_written_as_the_numbers_that_they_are() {
        // In checkpoints a time takes the bytes of its number, as before it had a type.
        let bytes = |encoded: postcard::Result<Vec<u8>>| encoded.unwrap();
        for number in [0, 1, -1, 1_700_000_000_000, i64::MIN, i64::MAX] {
            let wall = bytes(postcard::to_stdvec(&WallTime(number)));
            assert_eq!(wall, bytes(postcard::to_stdvec(&number)));
            assert_eq!(postcard::from_bytes(&wall), Ok(WallTime(number)));
            let number = number.cast_unsigned();
            let elapsed = bytes(postcard::to_stdvec(&ElapsedTime(number)));
            assert_eq!(elapsed, bytes(postcard::to_stdvec(&number)));
            assert_eq!(postcard::from_bytes(&elapsed), Ok(ElapsedTime(number)));
        }
    }
}
