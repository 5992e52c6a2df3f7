//! What only a leader does.
//!
//! * `commands`: the way into the log for what the leader proposes by itself.
//! * `expiry` and `containers`: end sessions and nodes whose time is over.
//! * `reconfig`: keeps the members of the consensus in step with the configuration; `member_lives` says which life of a
//!   server that concerns.
//! * `full_disk_handover`: when a leader whose disk is full asks another server to lead.

pub(super) mod commands;
pub(super) mod containers;
pub(super) mod expiry;
pub(super) mod full_disk_handover;
pub(super) mod member_lives;
pub(super) mod reconfig;
