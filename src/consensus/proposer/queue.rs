//! Commands that wait for the proposer's task.
//!
//! Connections add to the open buffer, which closes when it is long enough. The task takes the oldest closed
//! buffer, or the open one as it is: a batch is never waited for. `unfinished_bytes` counts the commands here and
//! those that the task has taken and not finished; above a limit pushes are refused.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::batch::{Batch, OwnCommands, TermSection};
use super::proposer::ProposerOptions;

/// Commands that wait for the task, and how many bytes are not known to be applied.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Commands of this server in groups that are long enough; oldest first.
    closed: VecDeque<OwnCommands>,
    /// Where commands are added.
    open: OwnCommands,
    /// Sections that belong to a term, oldest first.
    term_sections: VecDeque<TermSection>,
    /// Bytes of commands that are not known to be applied: here, or taken by the task.
    pub(super) unfinished_bytes: usize,
    /// The task has ended: nothing is proposed any more.
    pub(super) stopped: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { open: OwnCommands::new(0), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_own() && self.term_sections.is_empty()
    }

    fn has_own(&self) -> bool {
        !self.closed.is_empty() || self.open.commands > 0
    }

    /// Adds commands of this server, and closes their group where it is long enough.
    pub(super) fn add_own(
        &mut self,
        commands: u32,
        options: &ProposerOptions,
        encode: impl FnOnce(&mut BytesMut),
    ) {
        self.unfinished_bytes += self.open.add(commands, encode);
        let len = self.open.len();
        if len >= options.batch_bytes_soft_max {
            let expected = len.min(options.batch_bytes_soft_max);
            let closed = std::mem::replace(&mut self.open, OwnCommands::new(expected));
            self.closed.push_back(closed);
        }
    }

    pub(super) fn add_term_section(&mut self, section: TermSection) {
        self.unfinished_bytes += section.len();
        self.term_sections.push_back(section);
    }

    /// The next batch, of about [`ProposerOptions::batch_bytes_soft_max`]: commands of this server where they may
    /// go now, and sections that belong to a term.
    pub(super) fn take(&mut self, with_own: bool, options: &ProposerOptions) -> Option<Batch> {
        let own = if with_own && self.has_own() {
            self.take_own(options)
        } else {
            OwnCommands::default()
        };
        let mut batch = Batch { own, ..Batch::default() };
        let mut len = batch.len();
        while let Some(next) = self.term_sections.front() {
            if !batch.is_empty() && len + next.len() > options.batch_bytes_soft_max {
                break;
            }
            len += next.len();
            batch.term_sections.extend(self.term_sections.pop_front());
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn take_own(&mut self, options: &ProposerOptions) -> OwnCommands {
        if let Some(own) = self.closed.pop_front() {
            return own;
        }
        let expected = self.open.len().min(options.batch_bytes_soft_max);
        std::mem::replace(&mut self.open, OwnCommands::new(expected))
    }

    /// Drops what must not be applied twice; returns how many bytes are left.
    pub(super) fn keep_repeatable(&mut self) -> usize {
        self.closed.clear();
        self.open = OwnCommands::new(0);
        self.term_sections.retain(TermSection::may_repeat);
        self.term_sections.iter().map(TermSection::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kernel::replica::Sender;

    use super::*;

    fn section(len: usize) -> TermSection {
        let commands = Bytes::from(vec![7; len]);
        TermSection { sender: None, count: 1, commands, term: 1, ack: None }
    }

    #[test]
    fn a_batch_is_about_as_long_as_it_may_be() {
        // What is longer goes alone; the order of each sender is kept.
        let options = ProposerOptions { batch_bytes_soft_max: 1000, ..ProposerOptions::default() };
        let mut queue = Queue::new();
        queue.add_own(1, &options, |buffer| buffer.extend_from_slice(&[1; 400]));
        for len in [500, 5000, 100] {
            queue.add_term_section(section(len));
        }
        let mut taken =
            || queue.take(true, &options).map(|batch| (batch.own.len(), batch.term_sections.len()));
        assert_eq!(taken(), Some((400, 1)));
        assert_eq!(taken(), Some((0, 1)));
        assert_eq!(taken(), Some((0, 1)));
        assert_eq!(taken(), None);
    }

    #[test]
    fn what_the_leader_gives_once_in_a_term_stays() {
        // Clients' commands go when the version is raised, the name of a new ensemble does not.
        let options = ProposerOptions { batch_bytes_soft_max: 3, ..ProposerOptions::default() };
        let mut queue = Queue::new();
        queue.add_own(1, &options, |buffer| buffer.extend_from_slice(b"closed"));
        queue.add_own(1, &options, |buffer| buffer.extend_from_slice(b"o"));
        let order = TermSection { sender: Some(Sender::default()), ..section(9) };
        let len = order.len();
        queue.add_term_section(section(5));
        queue.add_term_section(order);
        assert_eq!(queue.keep_repeatable(), len);
        let batch = queue.take(true, &options).unwrap();
        assert_eq!((batch.own.commands, batch.term_sections.len(), batch.len()), (0, 1, len));
        assert!(queue.is_empty());
    }

    #[test]
    fn commands_of_this_server_wait_for_their_number() {
        // Before this process is registered, only what others want written is taken.
        let options = ProposerOptions::default();
        let mut queue = Queue::new();
        queue.add_own(1, &options, |buffer| buffer.extend_from_slice(b"own"));
        queue.add_term_section(section(5));
        let batch = queue.take(false, &options).unwrap();
        assert_eq!((batch.own.commands, batch.term_sections.len()), (0, 1));
        assert!(queue.take(false, &options).is_none() && !queue.is_empty());
        assert_eq!(queue.take(true, &options).unwrap().own.commands, 1);
    }
}
