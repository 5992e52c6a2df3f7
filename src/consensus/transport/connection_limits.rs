//! How many connections may be open, by whose they are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Connections of one host. A member needs less than ten; after a cut those before it are still open for a while.
const CONNECTIONS_MAX: usize = 32;

/// Whose connections are counted together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Host {
    /// All that have not greeted.
    Nobody,
    /// All servers that look for their ensemble.
    Looking,
    /// The server of this number.
    Server(u64),
}

/// The connections that are open. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guests {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// Oldest first.
    guests: BTreeMap<Host, VecDeque<(u64, CancellationToken)>>,
}

/// A place for a connection; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    guests: Guests,
    host: Host,
    number: u64,
    left: CancellationToken,
}

impl Guests {
    /// A place for one more connection of a host. Where it has too many, the oldest has to leave: that is the one of
    /// which nothing was heard for the longest time, or whoever made so many loses some of them.
    pub(super) fn enter(&self, host: Host) -> Guest {
        let left = CancellationToken::new();
        let mut open = self.open.lock();
        open.last += 1;
        let number = open.last;
        let guests = open.guests.entry(host).or_default();
        guests.push_back((number, left.clone()));
        if guests.len() > CONNECTIONS_MAX
            && let Some((_, oldest)) = guests.pop_front()
        {
            oldest.cancel();
        }
        drop(open);
        Guest { guests: self.clone(), host, number, left }
    }
}

impl Guest {
    /// Waits until the connection has to leave.
    pub(crate) async fn has_to_leave(&self) {
        self.left.cancelled().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.guests.open.lock();
        let Some(guests) = open.guests.get_mut(&self.host) else { return };
        guests.retain(|(number, _)| *number != self.number);
        if guests.is_empty() {
            open.guests.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        // However many connections a host opens, so many stay; those of others are left alone.
        let guests = Guests::default();
        let other = guests.enter(Host::Server(2));
        let many: Vec<Guest> = (0..100).map(|_| guests.enter(Host::Server(1))).collect();
        let gone = many.iter().filter(|guest| guest.left.is_cancelled()).count();
        assert_eq!(gone, 100 - CONNECTIONS_MAX);
        assert!(many[0].left.is_cancelled() && !many[99].left.is_cancelled());
        assert!(!other.left.is_cancelled());
        drop((many, other));
        assert!(guests.open.lock().guests.is_empty());
    }
}
