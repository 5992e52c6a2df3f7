//! Commands that wait for the task.

use std::collections::VecDeque;

use super::batch::Batch;
use super::proposer::ProposerOptions;

/// Commands that wait for the task, and how many bytes are not known to be applied.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Closed because they were long enough; oldest first.
    closed: VecDeque<Batch>,
    /// Where commands are added.
    pub(super) open: Batch,
    /// Bytes of commands that are not known to be applied: here, or taken by the task.
    pub(super) unfinished_bytes: usize,
    /// The task has ended: nothing is proposed any more.
    pub(super) stopped: bool,
}

impl Queue {
    pub(super) fn new(options: &ProposerOptions) -> Self {
        Self { open: Batch::new(options, 0), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.commands == 0
    }

    /// Counts what was added to the open batch, and closes it where it is long enough.
    pub(super) fn added(&mut self, commands: u32, len_before: usize, options: &ProposerOptions) {
        self.open.commands += commands;
        let len = self.open.len();
        self.unfinished_bytes += len - len_before;
        if len >= options.batch_bytes_soft_max {
            let closed = std::mem::replace(&mut self.open, Batch::new(options, len));
            self.closed.push_back(closed);
        }
    }

    pub(super) fn take(&mut self, options: &ProposerOptions) -> Option<Batch> {
        if let Some(batch) = self.closed.pop_front() {
            return Some(batch);
        }
        if self.open.commands == 0 {
            return None;
        }
        let expected = self.open.len();
        Some(std::mem::replace(&mut self.open, Batch::new(options, expected)))
    }
}
