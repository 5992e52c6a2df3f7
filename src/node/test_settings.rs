//! Settings that only tests make, by environment variables: what cannot be brought about from outside
//! in a time that a test may take.

use std::path::PathBuf;

/// `GROVEKEEPER_TEST_ZXID_COUNTER_MAX`: a new term begins when the counter of zxids has come this far.
pub(super) fn zxid_counter_max() -> Option<u32> {
    std::env::var("GROVEKEEPER_TEST_ZXID_COUNTER_MAX").ok()?.parse().ok()
}

/// `GROVEKEEPER_TEST_ENTRIES_KEPT`: so many entries are kept for servers that are a little behind; one
/// that lacks more is sent a checkpoint.
pub(super) fn entries_kept() -> Option<u64> {
    std::env::var("GROVEKEEPER_TEST_ENTRIES_KEPT").ok()?.parse().ok()
}

/// `GROVEKEEPER_TEST_CLOCK`: a file with the number of milliseconds by which the wall clock is wrong,
/// read whenever the clock is.
pub(super) fn clock_offset_file() -> Option<PathBuf> {
    std::env::var_os("GROVEKEEPER_TEST_CLOCK").map(PathBuf::from)
}

/// `GROVEKEEPER_TEST_WRONG_DIGEST`: a file whose presence makes this server take its state for another
/// than it is.
pub(super) fn wrong_digest_file() -> Option<PathBuf> {
    std::env::var_os("GROVEKEEPER_TEST_WRONG_DIGEST").map(PathBuf::from)
}

/// `GROVEKEEPER_TEST_OWN_ADDRESSES`: this server connects to the others where its own file says, and
/// nowhere else. Tests that break the network lead each pair of servers through ports of its own.
pub(super) fn own_addresses_only() -> bool {
    std::env::var_os("GROVEKEEPER_TEST_OWN_ADDRESSES").is_some()
}
