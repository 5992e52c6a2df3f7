//! Batches become entries, where this server leads.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::handle::Outcome;
use super::liaison::Commands;
use super::proposer::AskBarrier;
use super::task::{Task, Way};

/// How long to wait after an entry was refused although this server leads: a new leader refuses
/// until a majority has answered it.
const PAUSE: Duration = Duration::from_millis(5);

/// What the loop waited for.
enum Next {
    /// The fate of the oldest entry: whether it was applied.
    Oldest(bool),
    Barrier(Option<AskBarrier>),
    /// There may be more to propose, or another way.
    Look,
}

impl<C: Commands> Task<C> {
    /// Proposes entries for as long as this server leads in this term.
    pub(super) async fn lead(&mut self, way: Way, term: u64) {
        // Stands for the first ones of the unfinished.
        let mut proposed: VecDeque<Outcome> = VecDeque::new();
        while self.way() == way {
            if !self.propose(&mut proposed, term).await {
                return self.pause().await;
            }
            match self.next_as_leader(&mut proposed).await {
                Next::Oldest(true) => {
                    proposed.pop_front();
                    self.finish_oldest();
                }
                // Those behind it may have been taken, so all go again, in order.
                Next::Oldest(false) => {
                    proposed.clear();
                    self.pause().await;
                }
                Next::Barrier(Some(asked)) => {
                    let consensus = self.shared.consensus.clone();
                    tokio::spawn(async move {
                        let _ = asked.send(consensus.read_barrier().await);
                    });
                }
                Next::Barrier(None) | Next::Look => {}
            }
        }
    }

    /// Proposes as many entries as may be on their way; false where the consensus takes none.
    async fn propose(&mut self, proposed: &mut VecDeque<Outcome>, term: u64) -> bool {
        while proposed.len() < self.shared.options.entries_in_flight_max {
            if proposed.len() == self.unfinished.len() && self.take(Some(term)).is_none() {
                return true;
            }
            let Some(batch) = self.unfinished.get_mut(proposed.len()) else { return true };
            let entry = batch.entry(&mut self.commands);
            match self.shared.consensus.submit(entry).await {
                Ok(outcome) => proposed.push_back(outcome),
                Err(error) => {
                    tracing::debug!(%error, "a batch was not proposed");
                    return false;
                }
            }
        }
        true
    }

    async fn next_as_leader(&mut self, proposed: &mut VecDeque<Outcome>) -> Next {
        let room = proposed.len() < self.shared.options.entries_in_flight_max;
        let oldest = async {
            match proposed.front_mut() {
                Some(outcome) => matches!(outcome.await, Ok(Ok(_))),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            applied = oldest => Next::Oldest(applied),
            asked = self.barriers.recv() => Next::Barrier(asked),
            () = self.shared.filled.notified(), if room => Next::Look,
            _ = self.status.changed() => Next::Look,
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = self.status.changed() => {}
        }
    }
}
