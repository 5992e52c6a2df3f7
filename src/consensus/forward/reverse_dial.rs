//! The way between a follower and its leader where only the leader can open it.
//!
//! The consensus itself needs no more than that the leader reaches its followers. A leader whose own
//! address is wrong for the others, or behind a firewall that lets nobody in, would lead for ever
//! while no follower could bring it a request. So a leader that misses a follower's connection opens
//! one itself, and the follower uses it as if it were its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::consensus::Consensus;
use super::super::transport::{PeerStream, Purpose};

/// How often a leader looks who is missing. Who is missing twice is called.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A leader's call that a follower has not taken up yet; the newest counts.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    newest: Mutex<Option<(u64, PeerStream)>>,
    came: Notify,
}

impl Calls {
    /// Server `from` has opened a connection.
    pub(crate) fn put(&self, from: u64, stream: PeerStream) {
        *self.newest.lock() = Some((from, stream));
        self.came.notify_one();
    }

    /// Waits for a connection that `leader` has opened. Cancel-safe.
    pub(crate) async fn of(&self, leader: u64) -> PeerStream {
        loop {
            if let Some((_, stream)) = self.newest.lock().take_if(|(from, _)| *from == leader) {
                return stream;
            }
            self.came.notified().await;
        }
    }
}

/// Which followers have a connection to this server, or are being called. Cheap to clone; all clones
/// are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roll(Arc<Mutex<BTreeMap<u64, usize>>>);

impl Roll {
    /// Counts a connection of `server` until the guard is dropped.
    pub(crate) fn enter(&self, server: u64) -> Entered {
        *self.0.lock().entry(server).or_default() += 1;
        Entered { roll: self.clone(), server }
    }

    /// Those of `servers` that have none.
    fn missing(&self, servers: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let entered = self.0.lock();
        servers.filter(|server| !entered.contains_key(server)).collect()
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Entered {
    roll: Roll,
    server: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut entered = self.roll.0.lock();
        if let Some(count) = entered.get_mut(&self.server) {
            *count -= 1;
            if *count == 0 {
                entered.remove(&self.server);
            }
        }
    }
}

/// A leader's memory of who was missing.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    term: u64,
    servers: BTreeSet<u64>,
}

impl Missed {
    /// Looks who is missing now, and says who was missing before in the same term: they are to be
    /// called. Nobody is, where this server does not lead.
    pub(crate) fn look(&mut self, consensus: &Consensus, roll: &Roll) -> BTreeSet<u64> {
        let status = consensus.status();
        if !status.is_leader() {
            *self = Self::default();
            return BTreeSet::new();
        }
        self.note(status.term, roll.missing(consensus.others().into_iter()))
    }

    fn note(&mut self, term: u64, missing: BTreeSet<u64>) -> BTreeSet<u64> {
        let before = std::mem::replace(&mut self.servers, missing);
        let again = before.intersection(&self.servers).copied().collect();
        let same = std::mem::replace(&mut self.term, term) == term;
        if same { again } else { BTreeSet::new() }
    }
}

/// Opens a connection to a follower; `None` where that cannot be reached either.
pub(crate) async fn call(consensus: &Consensus, follower: u64) -> Option<PeerStream> {
    let stream = consensus.dial(follower, Purpose::Lead).await?;
    tracing::debug!("called server {follower}, which does not connect by itself");
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_twice_is_called() {
        // Followers that connect within a moment are left alone, also after a change of leader.
        let (roll, mut missed) = (Roll::default(), Missed::default());
        let all = || roll.missing([1, 2, 3].into_iter());
        let one = roll.enter(1);
        let again = roll.enter(1);
        assert_eq!(missed.note(7, all()), BTreeSet::new());
        let two = roll.enter(2);
        drop(again);
        assert_eq!(missed.note(7, all()), BTreeSet::from([3]));
        drop((one, two));
        assert_eq!(missed.note(8, all()), BTreeSet::new(), "another term");
        assert_eq!(missed.note(8, all()), BTreeSet::from([1, 2, 3]));
    }
}
