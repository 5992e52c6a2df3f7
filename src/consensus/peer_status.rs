//! The trait by which the consensus carries what a leader and its followers tell each other about sessions and digests.

use bytes::Bytes;

/// Makes and takes the status that servers exchange: a follower's report, and the leader's notice that answers it.
/// Both are opaque to the consensus.
pub trait PeerStatus: Send + Sync + 'static {
    /// At a follower: what its leader is to know of the time from `since` on, and up to when that is. Moments are
    /// numbers that grow; 0 is before all.
    fn follower_report(&self, _since: u64) -> (u64, Bytes) {
        (0, Bytes::new())
    }

    /// At the leader: what server `from` reports.
    fn take_follower_report(&self, _from: u64, _report: &[u8]) {}

    /// At the leader: what a follower is told in return.
    fn leader_notice(&self) -> Bytes {
        Bytes::new()
    }

    /// At a follower: what the leader told.
    fn take_leader_notice(&self, _notice: &[u8]) {}

    /// At the leader: the command that registers a process of a server.
    fn registration(&self, _server: u64, _process: u64) -> Bytes {
        Bytes::new()
    }
}

/// Servers that exchange no status.
impl PeerStatus for () {}
