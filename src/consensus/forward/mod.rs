//! How a follower brings its clients' commands and reads to the leader.
//!
//! ```text
//! follower                                   leader
//! ProposerTask ── batches ──► client ══ channel ══ server ──► the leader's own Proposer
//!              ── reads ────►                             ──► ReadIndex
//! PeerStatus   ── reports ──►                             ──► PeerStatus
//! ```
//!
//! There is one connection from each follower to its leader. Batches travel on it in order ([`client`]), as
//! messages ([`protocol`]) through two bounded queues ([`channel`]). The leader adds their commands to its own
//! batches, if the log has room, and tells when they are applied ([`server`]). A follower reports several times a
//! second, and the notice that answers says whether the leader has a quorum ([`PeerStatus`](super::PeerStatus)). A
//! leader dials a follower that cannot dial it ([`reverse_dial`]).
//!
//! What must hold: the leader proposes a follower's batches in the order in which they were sent, and only in the
//! term that the connection was opened for. Whichever end has a doubt closes the connection. The follower then
//! sends everything again from the first, which the numbers of the sections make harmless.

mod channel;
mod client;
mod protocol;
pub(crate) mod reverse_dial;
pub(crate) mod server;

pub use server::serve_followers;
