//! The task that brings batches to the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::error::ReadError;
use super::super::status::{Role, Status};
use super::batch::Batch;
use super::liaison::{Commands, Liaison};
use super::proposer::{AskBarrier, Shared};

/// When this server last knew that a majority stands behind its leader, or behind itself.
#[derive(Debug)]
pub(super) struct Contact(Mutex<Instant>);

impl Default for Contact {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Contact {
    /// It is known of this moment; of a later one it may be known already.
    pub(super) fn made_at(&self, at: Instant) {
        let mut last = self.0.lock();
        *last = at.max(*last);
    }

    /// As [`Contact::made_at`], so long ago.
    pub(super) fn made_before(&self, age: Duration) {
        if let Some(at) = Instant::now().checked_sub(age) {
            self.made_at(at);
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.0.lock().elapsed()
    }
}

/// Where batches go for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Into the own log, as the leader of this term.
    Lead { term: u64 },
    /// To the leader of this term.
    Follow { leader: u64, term: u64 },
    /// Nowhere until there is a leader.
    Wait,
    /// Nowhere any more.
    End,
}

impl Way {
    pub(super) fn of(status: &Status, own: u64) -> Self {
        let term = status.term;
        match (status.role, status.leader) {
            (Role::Stopped, _) => Self::End,
            (Role::Leader, _) => Self::Lead { term },
            (_, Some(leader)) if leader != own => Self::Follow { leader, term },
            (Role::Learner | Role::Follower | Role::Candidate, _) => Self::Wait,
        }
    }
}

/// Takes batches and brings them to the log.
pub(super) struct Task<C> {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: C,
    pub(super) liaison: Arc<dyn Liaison>,
    pub(super) barriers: mpsc::Receiver<AskBarrier>,
    /// Batches that are not known to be applied, oldest first.
    pub(super) unfinished: VecDeque<Batch>,
    pub(super) status: watch::Receiver<Status>,
}

impl<C: Commands> Task<C> {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: C,
        liaison: Arc<dyn Liaison>,
        barriers: mpsc::Receiver<AskBarrier>,
    ) -> Self {
        let status = shared.consensus.watch_status();
        Self { shared, commands, liaison, barriers, unfinished: VecDeque::new(), status }
    }

    pub(super) async fn run(mut self) {
        loop {
            let way = self.way();
            match way {
                Way::Lead { term } => {
                    self.renew(Some(term));
                    self.lead(way, term).await;
                }
                Way::Follow { leader, term } => {
                    self.renew(None);
                    self.follow(way, leader, term).await;
                }
                Way::Wait => self.wait(way).await,
                Way::End => break,
            }
        }
        self.shared.queue.lock().stopped = true;
    }

    /// Where batches go at the moment.
    pub(super) fn way(&mut self) -> Way {
        Way::of(&self.status.borrow_and_update(), self.shared.consensus.server())
    }

    /// Waits for a leader; barriers cannot be had meanwhile.
    async fn wait(&mut self, way: Way) {
        while self.way() == way {
            tokio::select! {
                changed = self.status.changed() => if changed.is_err() { return },
                asked = self.barriers.recv() => {
                    if let Some(asked) = asked {
                        let _ = asked.send(Err(ReadError::NoQuorum));
                    }
                }
            }
        }
    }

    /// Drops commands of former terms from what was on its way.
    fn renew(&mut self, leading: Option<u64>) {
        let before: usize = self.unfinished.iter().map(Batch::len).sum();
        for batch in &mut self.unfinished {
            batch.renew(leading, &self.commands, &self.shared.options);
        }
        self.unfinished.retain(|batch| batch.commands > 0);
        let after: usize = self.unfinished.iter().map(Batch::len).sum();
        self.count_finished(before.saturating_sub(after));
    }

    /// The next batch of the queue, now among the unfinished.
    pub(super) fn take(&mut self, leading: Option<u64>) -> Option<&mut Batch> {
        let options = &self.shared.options;
        loop {
            let mut batch = self.shared.queue.lock().take(options)?;
            let before = batch.len();
            batch.renew(leading, &self.commands, options);
            if batch.commands > 0 {
                self.count_finished(before.saturating_sub(batch.len()));
                self.unfinished.push_back(batch);
                return self.unfinished.back_mut();
            }
            self.count_finished(before.saturating_sub(options.header_bytes));
        }
    }

    /// The oldest batch is applied.
    pub(super) fn finish_oldest(&mut self) {
        let Some(batch) = self.unfinished.pop_front() else { return };
        self.count_finished(batch.len().saturating_sub(self.shared.options.header_bytes));
        batch.applied();
    }

    fn count_finished(&self, bytes: usize) {
        let mut queue = self.shared.queue.lock();
        queue.unfinished_bytes = queue.unfinished_bytes.saturating_sub(bytes);
        self.shared.unfinished_bytes.store(queue.unfinished_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_contact_counts() {
        // A leader's contact is remembered when it leads no more; an older one changes nothing.
        let contact = Contact::default();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(contact.age(), Duration::from_secs(60));
        contact.made_before(Duration::from_secs(2));
        contact.made_before(Duration::from_secs(5));
        assert_eq!(contact.age(), Duration::from_secs(2));
    }
}
