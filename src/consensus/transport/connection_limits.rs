//! How many connections of peers may be open, by their owner.
//!
//! A peer that opens too many loses its own oldest ones. So neither a member that is cut off again and again, nor a
//! stranger that opens connections and says nothing, takes the place of others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Connections of one owner. A member needs less than ten; after a cut those before it are still open for a while.
const CONNECTIONS_MAX: usize = 32;

/// Whose connections are counted together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Owner {
    /// All whose handshake is not complete.
    Unidentified,
    /// All servers that look for their ensemble.
    Bootstrapping,
    /// The server of this number.
    Server(u64),
}

/// The connections that are open. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionLimits {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// The number of each open connection, and what evicts it; oldest first.
    by_owner: BTreeMap<Owner, VecDeque<(u64, CancellationToken)>>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limits: ConnectionLimits,
    owner: Owner,
    number: u64,
    eviction: CancellationToken,
}

impl ConnectionLimits {
    /// A place for one more connection. Where its owner has too many, the oldest is evicted.
    pub(super) fn acquire(&self, owner: Owner) -> ConnectionPermit {
        let eviction = CancellationToken::new();
        let mut open = self.open.lock();
        open.last += 1;
        let number = open.last;
        let connections = open.by_owner.entry(owner).or_default();
        connections.push_back((number, eviction.clone()));
        if connections.len() > CONNECTIONS_MAX
            && let Some((_, oldest)) = connections.pop_front()
        {
            oldest.cancel();
        }
        drop(open);
        ConnectionPermit { limits: self.clone(), owner, number, eviction }
    }
}

impl ConnectionPermit {
    /// Waits until the connection has to end.
    pub(crate) async fn evicted(&self) {
        self.eviction.cancelled().await;
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        let Some(connections) = open.by_owner.get_mut(&self.owner) else { return };
        connections.retain(|(number, _)| *number != self.number);
        if connections.is_empty() {
            open.by_owner.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        // However many connections an owner opens, so many stay; those of others are left alone.
        let limits = ConnectionLimits::default();
        let other = limits.acquire(Owner::Server(2));
        let many: Vec<ConnectionPermit> =
            (0..100).map(|_| limits.acquire(Owner::Server(1))).collect();
        let gone = many.iter().filter(|permit| permit.eviction.is_cancelled()).count();
        assert_eq!(gone, 100 - CONNECTIONS_MAX);
        assert!(many[0].eviction.is_cancelled() && !many[99].eviction.is_cancelled());
        assert!(!other.eviction.is_cancelled());
        drop((many, other));
        assert!(limits.open.lock().by_owner.is_empty());
    }
}
