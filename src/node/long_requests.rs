//! Turns at requests that take long.
//!
//! The tasks of the clients share their threads with those that keep the lead. A hundred requests of a megabyte
//! each, that come at once, would have all threads for seconds. So each waits for a turn, there are turns for half
//! of the processors, and what has a turn gives its thread to others meanwhile.
//!
//! A long `multi` takes longest when it is applied, and each server does that. Where many are under way, all
//! servers are busy with them, and those who read wait for the next processor as well as for the replica. So there
//! is room for a few, from when they are read until they have an outcome.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use kernel::limits::REQUEST_LEN_LONG;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::PollSemaphore;

use crate::consensus::in_place;

/// For each turn there is room for one write of the length that ZooKeeper takes by default.
const ROOM_PER_TURN: usize = 1 << 20;

/// The turns.
#[derive(Debug)]
pub struct LongRequests {
    turns: Semaphore,
    /// Room for long writes that have no outcome yet, in units of [`REQUEST_LEN_LONG`].
    write_room: Arc<Semaphore>,
    write_room_max: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct LongRequestPermit<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl LongRequests {
    pub(super) fn for_this_machine() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let turns = (processors / 2).max(1);
        Self::with_turns(turns)
    }

    pub(crate) fn with_turns(turns: usize) -> Self {
        let write_room_max = turns * (ROOM_PER_TURN / REQUEST_LEN_LONG);
        let write_room = Arc::new(Semaphore::new(write_room_max));
        Self { turns: Semaphore::new(turns), write_room, write_room_max }
    }

    /// Where a task waits for the room of a long write. Who came first has the first.
    pub fn write_room(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.write_room))
    }

    /// The room that a write of so many bytes takes: all there is, where it is longer than that.
    pub fn room_of(&self, len: usize) -> u32 {
        let room = len.div_ceil(REQUEST_LEN_LONG).min(self.write_room_max);
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// Waits for a turn. Who came first has the first.
    pub async fn acquire(&self) -> LongRequestPermit<'_> {
        // It is never closed.
        LongRequestPermit { _permit: self.turns.acquire().await.ok() }
    }
}

impl LongRequestPermit<'_> {
    /// For who has the turn at a long write. It does not wait for those that read, too.
    pub const fn of_write() -> Self {
        Self { _permit: None }
    }

    /// Does what takes long.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        in_place(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_the_room_that_there_is() {
        // Short ones share it; one that is longer than all of it has its turn all the same.
        let work = LongRequests::with_turns(2);
        let rooms = [1, REQUEST_LEN_LONG, REQUEST_LEN_LONG + 1, 1 << 20, 16 << 20, usize::MAX];
        assert_eq!(rooms.map(|len| work.room_of(len)), [1, 1, 2, 16, 32, 32]);
        assert_eq!(work.write_room().available_permits(), 32);
    }
}
