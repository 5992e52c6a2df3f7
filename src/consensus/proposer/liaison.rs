//! What the rest of the server adds to batches, and to the talk between a leader and its followers.

use bytes::{Buf, Bytes, BytesMut};

/// Knows what batches consist of, which is opaque to the consensus.
pub trait Commands: Send + 'static {
    /// Makes a finished buffer an entry: it gets the number of commands in it, and stamps the time.
    fn seal(&mut self, count: u32, buffer: BytesMut) -> Bytes;

    /// Copies those of `count` commands that connections of this server sent to `kept`, and returns
    /// how many these are. The others belonged to a term that is over.
    fn keep_own(&self, count: u32, commands: &[u8], kept: &mut BytesMut) -> u32 {
        kept.extend_from_slice(commands.chunk());
        count
    }
}

impl<F: FnMut(u32, BytesMut) -> Bytes + Send + 'static> Commands for F {
    fn seal(&mut self, count: u32, buffer: BytesMut) -> Bytes {
        self(count, buffer)
    }
}

/// What servers tell each other beside commands, several times a second. Opaque to the consensus.
pub trait Liaison: Send + Sync + 'static {
    /// At a follower: what its leader is to know.
    fn report(&self) -> Bytes {
        Bytes::new()
    }

    /// At the leader: what server `from` reports.
    fn reported(&self, _from: u64, _report: &[u8]) {}

    /// At the leader: what a follower is told in return.
    fn notice(&self) -> Bytes {
        Bytes::new()
    }

    /// At a follower: what the leader told.
    fn noticed(&self, _notice: &[u8]) {}
}

/// Servers that have nothing else to say.
impl Liaison for () {}
