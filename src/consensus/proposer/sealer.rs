//! What the consensus has to know of the form of entries, which is opaque to it.

use bytes::{Bytes, BytesMut};
use kernel::replica::{Section, Sender};

/// Seals a batch into an entry. Entries are opaque to the consensus: the rest of the server knows their form.
pub trait BatchSealer: Send + 'static {
    /// Makes an entry of commands of this server, which stand in the buffer behind
    /// [`RESERVED_LEN`](kernel::replica::section::RESERVED_LEN) bytes, and of sections of others. Returns also
    /// where in the entry the commands of this server begin. Builds that know no sections read only entries
    /// without.
    fn seal<'a>(
        &mut self,
        in_sections: bool,
        buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: &mut dyn Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize);

    /// Whether this process may register.
    fn may_register(&self) -> bool {
        true
    }
}
