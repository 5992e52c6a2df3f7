//! Failpoints: faults that a test asks of a server process, because it cannot bring them about from outside in the time
//! that it has.
//!
//! A server has them only when it is built with the cargo feature `failpoints`; `grovekeeper-failpoints` is that
//! server. Without the feature every function here answers that nothing is asked, and no name of a variable is in the
//! binary. `docs/testing.md` says which tests need them.
//!
//! | variable of the environment | value | effect |
//! |---|---|---|
//! | `GROVEKEEPER_TEST_CLOCK` | a file | the wall clock is wrong by the milliseconds in the file, as long as it is there |
//! | `GROVEKEEPER_TEST_ENTRIES_KEPT` | a number | so many entries are kept for followers that are behind |
//! | `GROVEKEEPER_TEST_OWN_ADDRESSES` | anything | as `quorum.addressesFromFile=true` |
//! | `GROVEKEEPER_TEST_SLOW_DISK` | a file | a flush of the log takes the milliseconds in the file longer |
//! | `GROVEKEEPER_TEST_WRONG_DIGEST` | a file | the server takes its state for another as long as the file is there |
//! | `GROVEKEEPER_TEST_ZXID_COUNTER_MAX` | a number | a new term begins at this counter of zxids |

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::env::{fs, thread};

/// The variables, each of which switches one failpoint on.
#[derive(Clone, Copy)]
enum Switch {
    Clock,
    EntriesKept,
    OwnAddresses,
    SlowDisk,
    WrongDigest,
    ZxidCounterMax,
}

impl Switch {
    #[cfg(feature = "failpoints")]
    const fn variable(self) -> &'static str {
        match self {
            Self::Clock => "GROVEKEEPER_TEST_CLOCK",
            Self::EntriesKept => "GROVEKEEPER_TEST_ENTRIES_KEPT",
            Self::OwnAddresses => "GROVEKEEPER_TEST_OWN_ADDRESSES",
            Self::SlowDisk => "GROVEKEEPER_TEST_SLOW_DISK",
            Self::WrongDigest => "GROVEKEEPER_TEST_WRONG_DIGEST",
            Self::ZxidCounterMax => "GROVEKEEPER_TEST_ZXID_COUNTER_MAX",
        }
    }

    #[cfg(feature = "failpoints")]
    fn value(self) -> Option<OsString> {
        std::env::var_os(self.variable())
    }

    #[cfg(not(feature = "failpoints"))]
    const fn value(self) -> Option<OsString> {
        None
    }

    fn number<T: std::str::FromStr>(self) -> Option<T> {
        self.value()?.to_str()?.parse().ok()
    }

    fn file(self) -> Option<PathBuf> {
        self.value().map(PathBuf::from)
    }

    /// The number in the file that the variable names; read anew each time, so that a test can change it.
    fn number_in_file<T: std::str::FromStr>(self) -> Option<T> {
        fs::read_to_string(self.file()?).ok()?.trim().parse().ok()
    }
}

/// The counter of zxids at which a new term begins, in place of the product's.
pub(crate) fn zxid_counter_max() -> Option<u32> {
    Switch::ZxidCounterMax.number()
}

/// How many entries are kept for followers that are behind, in place of the product's number; a follower that lacks
/// more is sent a checkpoint.
pub(crate) fn entries_kept() -> Option<u64> {
    Switch::EntriesKept.number()
}

/// Whether this server connects to the others only where its own file says.
pub(crate) fn own_addresses_only() -> bool {
    Switch::OwnAddresses.value().is_some()
}

/// The milliseconds by which the wall clock is wrong now.
pub(crate) fn wall_clock_error_ms() -> i64 {
    Switch::Clock.number_in_file().unwrap_or(0)
}

/// The bits of the state's digest that are wrong now.
pub(crate) fn digest_error() -> u64 {
    u64::from(Switch::WrongDigest.file().is_some_and(|file| file.exists()))
}

/// Waits as long as the slow disk of a test takes for a flush.
pub(crate) fn before_flush() {
    if let Some(ms) = Switch::SlowDisk.number_in_file() {
        wait(Duration::from_millis(ms));
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what a slow disk does")]
fn wait(time: Duration) {
    thread::sleep(time);
}
