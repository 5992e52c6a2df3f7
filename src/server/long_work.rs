//! Turns at requests that take long.
//!
//! The tasks of the clients share their threads with those that keep the lead. A hundred requests of a megabyte
//! each, that come at once, would have all threads for seconds. So each waits for a turn, there are turns for half
//! of the processors, and what has a turn gives its thread to others meanwhile.

use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::consensus::in_place;

/// The turns.
#[derive(Debug)]
pub struct LongWork {
    turns: Semaphore,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct LongTurn<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl LongWork {
    pub(super) fn for_this_machine() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self { turns: Semaphore::new((processors / 2).max(1)) }
    }

    /// Waits for a turn. Who came first has the first.
    pub async fn turn(&self) -> LongTurn<'_> {
        // It is never closed.
        LongTurn { _permit: self.turns.acquire().await.ok() }
    }
}

impl LongTurn<'_> {
    /// Does what takes long.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        in_place(work)
    }
}
