//! Writes that wait before they go their way.
//!
//! A write that came behind a request which waits for a read barrier must not be seen by that
//! request; one behind a command whose outcome may come late must not be answered first. It is held
//! back, and the socket is not read on, so there is never more than one. So is one behind a read that takes
//! long: that read is not to be answered while the write is being applied.

use bytes::Bytes;

/// What holds writes back, and the one that is held.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The last read barrier that a request of this connection waits for, and the last that passed.
    barrier_wanted: u64,
    barrier_passed: u64,
    /// A command whose outcome may come after that of later ones.
    slow: Option<u64>,
    /// Requests that take long to answer, and wait.
    long: usize,
    held: Option<Bytes>,
}

impl Hold {
    /// Whether no write may go its way now.
    pub(super) fn blocks_writes(&self) -> bool {
        self.barrier_wanted > self.barrier_passed || self.slow.is_some() || self.long > 0
    }

    /// Writes wait until this barrier has passed.
    pub(super) fn block_until(&mut self, barrier: u64) {
        self.barrier_wanted = self.barrier_wanted.max(barrier);
    }

    /// Writes wait for the outcome of this command.
    pub(super) fn block_until_outcome(&mut self, seq: u64) {
        self.slow = Some(seq);
    }

    /// This barrier has passed, and those before it.
    pub(super) fn passed(&mut self, barrier: u64) {
        self.barrier_passed = self.barrier_passed.max(barrier);
    }

    /// Whether this barrier has passed; 0 is none.
    pub(super) fn has_passed(&self, barrier: u64) -> bool {
        barrier <= self.barrier_passed
    }

    /// The outcome of this command is known.
    pub(super) fn outcome(&mut self, seq: u64) {
        if self.slow == Some(seq) {
            self.slow = None;
        }
    }

    /// Writes wait until a request that takes long is answered.
    pub(super) fn block_until_answered(&mut self) {
        self.long += 1;
    }

    /// A request that takes long is about to be answered.
    pub(super) fn answered(&mut self) {
        self.long = self.long.saturating_sub(1);
    }

    /// Holds a write back.
    pub(super) fn keep(&mut self, frame: Bytes) {
        self.held = Some(frame);
    }

    /// Whether a write is held back.
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Whether a write is held back for no reason any more.
    pub(super) fn may_release(&self) -> bool {
        self.is_holding() && !self.blocks_writes()
    }

    /// Gives the held write back, if it may go its way.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        if self.blocks_writes() { None } else { self.held.take() }
    }

    /// Forgets the held write: nothing is answered any more.
    pub(super) fn drop_held(&mut self) {
        self.held = None;
        self.long = 0;
    }
}
