//! The search for the leader.

use std::time::Duration;

use super::connection::Time;

/// How the search for the leader is going, where the client prefers it.
///
/// Servers that do not lead refuse the session at first and say where the leader is. The client is
/// not to be without a connection for the sake of a better one: after a third of the session
/// timeout any server will do.
#[derive(Debug, Default)]
pub(super) struct LeaderSearch {
    /// Since when there has been no connection.
    since: Time,
    /// The address of the leader, as a server named it, until the client dials it.
    address: Option<String>,
}

impl LeaderSearch {
    /// There is no connection from now on.
    pub(super) fn begin(&mut self, now: Time) {
        self.since = now;
    }

    /// Whether only the leader will do.
    pub(super) fn insists(&self, now: Time, timeout: Duration) -> bool {
        now < self.since + timeout / 3
    }

    /// A server said where the leader is.
    pub(super) fn told(&mut self, address: String) {
        self.address = Some(address);
    }

    /// Takes the address to dial, once: if the leader is not there, the servers' own turn comes.
    pub(super) fn take_address(&mut self) -> Option<String> {
        self.address.take()
    }
}
