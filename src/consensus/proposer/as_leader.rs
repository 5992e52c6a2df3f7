//! Batches become entries: the proposer's task while this server leads.
//!
//! Few entries are in flight, so that commands gather while the disk flushes. Proposals that come one after the
//! other are applied in that order, unless the lead is lost in between. The fate of an entry is awaited only where
//! somebody depends on it; else it is polled, as waking the task would delay the replies that are made at that very
//! moment.

use std::collections::VecDeque;

use super::super::raft::ProposalOutcome;
use super::batch::Batch;
use super::proposer::BarrierRequest;
use super::task::{ProposalTarget, ProposerTask};
use crate::env::task;
use crate::env::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

/// The fate of an entry of more bytes is awaited: until it is known its bytes count as waiting for the log.
const POLLED_BYTES_MAX: usize = 4 << 10;

/// Whether somebody is told when a batch is applied, or others wait for the room that it takes.
fn is_awaited(batch: &Batch) -> bool {
    batch.has_acks() || batch.len() > POLLED_BYTES_MAX
}

/// What the loop waited for.
enum Next {
    /// The fate of the oldest entry: whether it was applied.
    Oldest(bool),
    Barrier(Option<BarrierRequest>),
    /// There may be more to propose, or another target.
    Recheck,
}

impl ProposerTask {
    /// Proposes entries for as long as this server leads in this term.
    pub(super) async fn propose_as_leader(&mut self, target: ProposalTarget, term: u64) {
        // The fates of the first batches of `unfinished`, in the same order.
        let mut proposed: VecDeque<ProposalOutcome> = VecDeque::new();
        let poll_every = self.shared.consensus.timings().outcome_poll_every;
        let mut polls = interval_at(Instant::now() + poll_every, poll_every);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.target() == target {
            if self.take_progress() {
                // Batches on their way have old numbers: all go again under the new ones.
                proposed.clear();
            }
            if let Some(commands) = self.registration() {
                let section = self.shared.unnumbered(term, commands);
                self.shared.queue.lock().add_term_section(section);
            }
            if !self.propose(&mut proposed, term).await {
                return self.pause().await;
            }
            match self.next_as_leader(&mut proposed, &mut polls).await {
                Next::Oldest(true) if self.is_done() => {
                    proposed.pop_front();
                    self.finish_oldest();
                }
                // Refused, or passed over. Later batches may have been taken, so all go again from the first. An
                // applied one does nothing the second time.
                Next::Oldest(_) => {
                    proposed.clear();
                    self.pause().await;
                }
                Next::Barrier(Some(asked)) => {
                    let consensus = self.shared.consensus.clone();
                    task::spawn(async move {
                        let _ = asked.send(consensus.read_barrier().await);
                    });
                }
                Next::Barrier(None) | Next::Recheck => {}
            }
        }
    }

    /// Proposes as many entries as may be on their way; false where the consensus takes none.
    async fn propose(&mut self, proposed: &mut VecDeque<ProposalOutcome>, term: u64) -> bool {
        while proposed.len() < self.shared.options.entries_in_flight_max {
            if proposed.len() == self.unfinished.len() && self.take(Some(term)).is_none() {
                return true;
            }
            let in_sections = self.numbers();
            let Some(batch) = self.unfinished.get_mut(proposed.len()) else { return true };
            let server = self.shared.consensus.member().number;
            let entry = batch.entry(server, in_sections, &mut *self.sealer);
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

    /// Whether the oldest batch, whose entry is applied, was not passed over because one in front of it is
    /// missing.
    fn is_done(&mut self) -> bool {
        !self.take_progress() && self.oldest_is_applied()
    }

    async fn next_as_leader(
        &mut self,
        proposed: &mut VecDeque<ProposalOutcome>,
        polls: &mut Interval,
    ) -> Next {
        if let Some(applied) = proposed.front_mut().and_then(ProposalOutcome::try_applied) {
            return Next::Oldest(applied);
        }
        let room = proposed.len() < self.shared.options.entries_in_flight_max;
        // Waking this task delays the reply that is made at that moment: where nothing depends on
        // knowing the fate of the entry, it is enough to look with the next one, or after a while.
        let urgent = !room || self.unfinished.front().is_some_and(is_awaited);
        let open = !proposed.is_empty();
        // Else nothing changes that the fate of entries does not show.
        let register_every = self.shared.consensus.timings().register_every;
        let unregistered = self.process.registered.is_none();
        let oldest = async {
            match proposed.front_mut() {
                Some(outcome) => outcome.applied().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            applied = oldest, if urgent => Next::Oldest(applied),
            _ = polls.tick(), if open && !urgent => Next::Recheck,
            asked = self.barriers.recv() => Next::Barrier(asked),
            () = self.shared.filled.notified(), if room => Next::Recheck,
            () = self.shared.progress.changed(), if unregistered => Next::Recheck,
            () = sleep(register_every), if unregistered && self.numbers() => Next::Recheck,
            _ = self.status.changed() => Next::Recheck,
        }
    }

    async fn pause(&mut self) {
        let pause = self.shared.consensus.timings().refused_retry_after;
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.status.changed() => {}
        }
    }
}
