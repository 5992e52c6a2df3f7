//! Reverse dial: the leader opens the connection for forwarding where its follower cannot.
//!
//! Raft needs no more than that the leader reaches its followers. So a server whose own address is wrong for the
//! others, or which stands behind a firewall that lets nobody in, can lead for ever. No follower could bring it a
//! request.
//!
//! ```text
//! leader    every half a second: which members have no connection to this server?
//!           one that had none at two checks in this term is dialled          AbsentFollowers, ConnectedFollowers
//! follower  takes that connection in place of one of its own                 ReverseDials, forward::client
//! ```
//!
//! Two checks, because a follower that can connect does so within a moment of an election. A connection that is
//! being dialled counts as one, so that no follower is dialled twice. The follower dials at the same time; the
//! first connection that works is used, and the leader's other one is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::handle::Consensus;
use super::super::transport::{PeerStream, Purpose};

/// At a leader: which followers have a connection to this server, or are being dialled. Cheap to clone; all clones
/// are one.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectedFollowers(Arc<Mutex<BTreeMap<u64, usize>>>);

impl ConnectedFollowers {
    /// Counts a connection of `server` until the guard is dropped.
    pub(super) fn add(&self, server: u64) -> ConnectionGuard {
        *self.0.lock().entry(server).or_default() += 1;
        ConnectionGuard { connected: self.clone(), server }
    }

    /// Those of `servers` that have no connection.
    fn missing(&self, servers: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let counts = self.0.lock();
        servers.filter(|server| !counts.contains_key(server)).collect()
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    connected: ConnectedFollowers,
    server: u64,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connected.0.lock();
        if let Some(count) = counts.get_mut(&self.server) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.server);
            }
        }
    }
}

/// At a leader: which followers had no connection at the last check.
#[derive(Debug, Default)]
pub(super) struct AbsentFollowers {
    term: u64,
    servers: BTreeSet<u64>,
}

impl AbsentFollowers {
    /// Checks which followers have no connection now. Returns those that had none at the last check in the same
    /// term either: they are to be dialled. None is where this server does not lead.
    pub(super) fn take_due(
        &mut self,
        consensus: &Consensus,
        connected: &ConnectedFollowers,
    ) -> BTreeSet<u64> {
        let status = consensus.status();
        if !status.is_leader() {
            *self = Self::default();
            return BTreeSet::new();
        }
        self.note(status.term, connected.missing(consensus.others().into_iter()))
    }

    fn note(&mut self, term: u64, missing: BTreeSet<u64>) -> BTreeSet<u64> {
        let before = std::mem::replace(&mut self.servers, missing);
        let again = before.intersection(&self.servers).copied().collect();
        let same = std::mem::replace(&mut self.term, term) == term;
        if same { again } else { BTreeSet::new() }
    }
}

/// Opens a connection to a follower; `None` where that cannot be reached either.
pub(super) async fn dial_follower(consensus: &Consensus, follower: u64) -> Option<PeerStream> {
    let stream = consensus.dial(follower, Purpose::Lead).await?;
    tracing::debug!("called server {follower}, which does not connect by itself");
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_without_a_connection_at_two_checks_is_dialled() {
        // Followers that connect within a moment are left alone, also after a change of leader.
        let (connected, mut absent) = (ConnectedFollowers::default(), AbsentFollowers::default());
        let all = || connected.missing([1, 2, 3].into_iter());
        let one = connected.add(1);
        let again = connected.add(1);
        assert_eq!(absent.note(7, all()), BTreeSet::new());
        let two = connected.add(2);
        drop(again);
        assert_eq!(absent.note(7, all()), BTreeSet::from([3]));
        drop((one, two));
        assert_eq!(absent.note(8, all()), BTreeSet::new(), "another term");
        assert_eq!(absent.note(8, all()), BTreeSet::from([1, 2, 3]));
    }
}
