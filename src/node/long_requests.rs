//! Permits for requests that take long.
//!
//! The tasks of the clients share their threads with those that keep the lead. A hundred requests of a megabyte
//! each, that come at once, would have all threads for seconds. So each waits for a permit, there are permits for half
//! of the processors, and a request that has one gives its thread to other tasks meanwhile.
//!
//! A long `multi` takes longest when it is applied, and each server applies it. If many are in flight, all
//! servers are busy with them, and readers wait for a processor as well as for the replica. So there
//! is room for a few, from when they are read until they have an outcome.
//!
//! A task waits for either without a lock. It may wait for a permit while its connection has room for a write; it never
//! waits for room while it has a permit. So no two of them wait for each other.

use std::num::NonZero;
use std::sync::Arc;

use kernel::limits::REQUEST_LEN_LONG;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::PollSemaphore;

use crate::env::task::block_in_place;
use crate::env::thread::available_parallelism;

/// For each permit there is room for one write of the length that ZooKeeper takes by default.
const ROOM_PER_PERMIT: usize = 1 << 20;

/// The permits of a server.
#[derive(Debug)]
pub struct LongRequests {
    permits: Semaphore,
    /// Room for long writes that have no outcome yet, in units of [`REQUEST_LEN_LONG`].
    write_room: Arc<Semaphore>,
    write_room_max: usize,
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub struct LongRequestPermit<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl LongRequests {
    pub(super) fn for_this_machine() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self::with_permits((processors / 2).max(1))
    }

    pub(crate) fn with_permits(permits: usize) -> Self {
        let write_room_max = permits * (ROOM_PER_PERMIT / REQUEST_LEN_LONG);
        let write_room = Arc::new(Semaphore::new(write_room_max));
        Self { permits: Semaphore::new(permits), write_room, write_room_max }
    }

    /// Where a task waits for the room of a long write: first come, first served.
    pub fn write_room(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.write_room))
    }

    /// The room that a write of so many bytes takes: all there is, where it is longer than that.
    pub fn room_of(&self, len: usize) -> u32 {
        let room = len.div_ceil(REQUEST_LEN_LONG).min(self.write_room_max);
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// Waits for a permit: first come, first served.
    pub async fn acquire(&self) -> LongRequestPermit<'_> {
        // It is never closed.
        LongRequestPermit { _permit: self.permits.acquire().await.ok() }
    }
}

impl LongRequestPermit<'_> {
    /// For a long write that has its room. It does not wait for long reads, too.
    pub const fn of_write() -> Self {
        Self { _permit: None }
    }

    /// Does what takes long.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        block_in_place(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_the_room_that_there_is() {
        // Short ones share it; one that is longer than all of it has its turn all the same.
        let work = LongRequests::with_permits(2);
        let rooms = [1, REQUEST_LEN_LONG, REQUEST_LEN_LONG + 1, 1 << 20, 16 << 20, usize::MAX];
        assert_eq!(rooms.map(|len| work.room_of(len)), [1, 1, 2, 16, 32, 32]);
        assert_eq!(work.write_room().available_permits(), 32);
    }
}
