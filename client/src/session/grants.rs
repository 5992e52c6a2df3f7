//! The extensions of ZooKeeper's protocol that the server of the newest connection has.
//!
//! Operations that a server does not have are never sent to it: it would end the connection for
//! them, with all that is under way. The caller is told what the server would say.

use jute_proto::{Extensions, OpCode};

use super::status::Status;

/// The extensions that a server granted. They stay as they are until the next handshake, so that
/// the status of a client without a connection shows those of the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grants {
    extensions: Extensions,
    at_leader: bool,
    /// Whether the server keeps the replies to numbered writes. An answer to the handshake that
    /// ends before the number of the last one grants the extension, but cannot be used.
    exactly_once: bool,
}

impl Grants {
    /// Those of a plain ZooKeeper server.
    pub(super) const NONE: Self = Self::new(Extensions::NONE, false, false);

    pub(super) const fn new(extensions: Extensions, at_leader: bool, exactly_once: bool) -> Self {
        Self { extensions, at_leader, exactly_once }
    }

    /// Whether the server has an operation.
    pub(super) fn allows(self, op: OpCode) -> bool {
        op.facts().extension.is_none_or(|needed| self.extensions.contains(needed))
    }

    /// Shows them in a status.
    pub(super) fn show(self, status: &mut Status) {
        status.linearizable = self.extensions.contains(Extensions::LINEARIZABLE_READS);
        status.at_leader = self.at_leader;
        status.exactly_once = self.exactly_once;
    }
}
