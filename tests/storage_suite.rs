//! What the storage and the consensus over it promise: nothing acknowledged is lost, everything is
//! applied once and in order, damage is refused, a full disk only makes waiting.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a failure here fails the test")]

mod storage_suite {
    mod data_dir;
    mod disk_full;
    mod fake_disk;
    mod log_crash;
    mod log_damage;
    mod log_failed_flush;
    mod log_in_place;
    mod log_model;
    mod log_removal;
    mod single_server;
    mod state_crash;
    mod state_failed_flush;
    mod toy;
    mod two_disks;
}
