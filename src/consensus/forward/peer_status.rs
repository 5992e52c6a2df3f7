//! What the rest of the server adds to batches, and to the talk between a leader and its followers.

use bytes::{Bytes, BytesMut};
use kernel::replica::{Section, Sender};

/// Knows what entries look like, which is opaque to the consensus.
pub trait Commands: Send + 'static {
    /// Makes an entry of commands of this server, which stand in the buffer behind
    /// [`RESERVED_LEN`](kernel::replica::section::RESERVED_LEN) bytes, and of sections of others. Returns also where
    /// in the entry the commands of this server begin. Builds that know no sections read only entries without.
    fn seal<'a>(
        &mut self,
        in_sections: bool,
        buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: impl Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize);

    /// Whether this process may register.
    fn may_register(&self) -> bool {
        true
    }
}

/// What servers tell each other beside commands, several times a second. Opaque to the consensus.
pub trait Liaison: Send + Sync + 'static {
    /// At a follower: what its leader is to know of the time from `since` on, and up to when that is. Moments are
    /// numbers that grow; 0 is before all.
    fn report(&self, _since: u64) -> (u64, Bytes) {
        (0, Bytes::new())
    }

    /// At the leader: what server `from` reports.
    fn reported(&self, _from: u64, _report: &[u8]) {}

    /// At the leader: what a follower is told in return.
    fn notice(&self) -> Bytes {
        Bytes::new()
    }

    /// At a follower: what the leader told.
    fn noticed(&self, _notice: &[u8]) {}

    /// At the leader: the command that registers a process of a server.
    fn registration(&self, _server: u64, _process: u64) -> Bytes {
        Bytes::new()
    }
}

/// Servers that have nothing else to say.
impl Liaison for () {}
