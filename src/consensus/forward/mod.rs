//! How a follower brings what its clients want to the leader.
//!
//! Batches of commands travel to the leader in order ([`client`]). The leader puts their commands into its own batches
//! and tells when these are applied ([`server`]). A leader dials a follower that cannot dial it
//! ([`reverse_dial`]).

pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod peer_status;
pub(crate) mod protocol;
pub(crate) mod reports;
pub(crate) mod reverse_dial;
pub(crate) mod server;

pub use peer_status::PeerStatus;
