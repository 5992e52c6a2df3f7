//! The task that brings batches to the log. The folder's page says which rules it keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use kernel::ensemble::MemberId;
use kernel::replica::VERSION_2;
use tokio::sync::{mpsc, watch};

use super::super::error::ReadError;
use super::super::status::{Role, Status};
use super::batch::Batch;
use super::progress::{ProcessState, SectionNumber};
use super::proposer::{BarrierRequest, ProposerState};
use super::reports::Reports;
use super::sealer::BatchSealer;
use crate::consensus::peer_status::PeerStatus;
use crate::env::time::Instant;

/// Where the batches of this server go at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProposalTarget {
    /// Into the own log, as the leader of this term.
    OwnLog { term: u64 },
    /// To the leader of this term.
    Leader { leader: MemberId, term: u64 },
    /// Nowhere until there is a leader.
    Wait,
    /// Nowhere any more: the consensus has stopped.
    Stopped,
}

impl ProposalTarget {
    fn of(status: &Status, own: MemberId) -> Self {
        let term = status.term;
        match (status.role, status.leader) {
            (Role::Stopped, _) => Self::Stopped,
            (Role::Leader, _) => Self::OwnLog { term },
            (_, Some(leader)) if leader != own => Self::Leader { leader, term },
            (Role::Observer | Role::Follower | Role::Candidate, _) => Self::Wait,
        }
    }
}

/// Takes batches out of the queue and brings them to the log. It alone touches its fields; the queue is shared, and
/// its lock is held for the time of one exchange.
pub(crate) struct ProposerTask {
    pub(crate) shared: Arc<ProposerState>,
    pub(super) sealer: Box<dyn BatchSealer>,
    pub(crate) peer_status: Arc<dyn PeerStatus>,
    pub(crate) barriers: mpsc::Receiver<BarrierRequest>,
    /// What the leader was told.
    pub(crate) reports: Reports,
    /// Batches that are not known to be applied, oldest first. The first ones are on their way; those behind them
    /// are proposed, or sent, next. All numbered ones have numbers without gaps.
    pub(crate) unfinished: VecDeque<Batch>,
    pub(crate) status: watch::Receiver<Status>,
    /// What is known of this process, as of the last [`ProposerTask::take_progress`].
    pub(crate) process: ProcessState,
    /// The section number of the next batch.
    next_number: u64,
    /// When this process last asked to be registered. A registration may be lost with its leader, so it is asked
    /// for again after a while.
    registration_asked_at: Option<Instant>,
}

impl ProposerTask {
    pub(super) fn new(
        shared: Arc<ProposerState>,
        sealer: Box<dyn BatchSealer>,
        peer_status: Arc<dyn PeerStatus>,
        barriers: mpsc::Receiver<BarrierRequest>,
    ) -> Self {
        let (status, process) = (shared.consensus.watch_status(), shared.progress.get());
        let unfinished = VecDeque::new();
        Self {
            shared,
            sealer,
            peer_status,
            barriers,
            reports: Reports::default(),
            unfinished,
            status,
            process,
            next_number: 1,
            registration_asked_at: None,
        }
    }

    /// Brings batches to wherever they go, until the consensus stops.
    pub(super) async fn run(mut self) {
        loop {
            self.take_progress();
            let target = self.target();
            match target {
                ProposalTarget::OwnLog { term } => {
                    self.drop_stale(Some(term));
                    self.propose_as_leader(target, term).await;
                }
                ProposalTarget::Leader { leader, term } => {
                    self.drop_stale(None);
                    self.forward_to(target, leader, term).await;
                }
                ProposalTarget::Wait => self.wait(target).await,
                ProposalTarget::Stopped => break,
            }
        }
        self.shared.queue.lock().stopped = true;
    }

    /// Where batches go at the moment.
    pub(crate) fn target(&mut self) -> ProposalTarget {
        ProposalTarget::of(&self.status.borrow_and_update(), self.shared.consensus.member())
    }

    /// Waits for a leader; barriers cannot be had meanwhile.
    async fn wait(&mut self, target: ProposalTarget) {
        while self.target() == target {
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

    /// Whether sections are numbered.
    pub(crate) fn numbers(&self) -> bool {
        self.process.version >= VERSION_2
    }

    /// Takes over what applying has shown of this process: finishes what was applied under an incarnation that has
    /// ended, and numbers the rest anew. Returns whether something but the number of the last applied section has
    /// changed: then all that is on its way has old numbers, and goes again.
    pub(crate) fn take_progress(&mut self) -> bool {
        let (process, ended) = self.shared.progress.take();
        let before = std::mem::replace(&mut self.process, process);
        let incarnation = |state: &ProcessState| state.registered.map(|number| number.incarnation);
        if before.version < VERSION_2 && self.numbers() {
            // Unnumbered batches may have been applied or not, and cannot be told apart any more. Their clients
            // were disconnected when the version was raised, so the batches are dropped. What the leader gives on
            // its own, as the first list of members, is given once in a term and may repeat: it stays.
            self.keep_repeatable();
            return true;
        }
        if incarnation(&before) == incarnation(&process) {
            return false;
        }
        for ended in ended {
            while self.unfinished.front().is_some_and(|batch| is_within(batch, ended)) {
                self.finish_oldest();
            }
        }
        self.number_anew();
        true
    }

    /// Numbers the batches that are not applied under the incarnation that is registered now.
    fn number_anew(&mut self) {
        let registered = self.process.registered;
        self.next_number = registered.map_or(0, |last| last.number) + 1;
        for batch in self.unfinished.iter_mut().filter(|batch| batch.own.commands > 0) {
            batch.number = registered.map(|SectionNumber { incarnation, .. }| {
                let number = self.next_number;
                self.next_number += 1;
                SectionNumber { incarnation, number }
            });
        }
    }

    /// Whether the oldest batch has been applied, as far as this server's commands go.
    pub(crate) fn oldest_is_applied(&self) -> bool {
        let Some(batch) = self.unfinished.front() else { return false };
        match (batch.number, self.process.registered) {
            (Some(_), Some(applied)) => is_within(batch, applied),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// The commands that register this process, where it is time to propose them.
    pub(crate) fn registration(&mut self) -> Option<Bytes> {
        let register_every = self.shared.consensus.timings().register_every;
        let is_early =
            self.registration_asked_at.is_some_and(|asked| asked.elapsed() < register_every);
        if !self.numbers()
            || self.process.registered.is_some()
            || is_early
            || !self.sealer.may_register()
        {
            return None;
        }
        self.registration_asked_at = Some(Instant::now());
        let consensus = &self.shared.consensus;
        Some(self.peer_status.registration(consensus.member().number, consensus.process()))
    }

    /// Drops commands of former terms from what was on its way.
    fn drop_stale(&mut self, leading: Option<u64>) {
        self.keep(|batch| batch.drop_stale(leading));
    }

    /// Drops what must not be applied twice.
    fn keep_repeatable(&mut self) {
        self.unfinished.iter_mut().for_each(Batch::keep_repeatable);
        self.unfinished.retain(|batch| !batch.is_empty());
        let taken: usize = self.unfinished.iter().map(Batch::len).sum();
        let mut queue = self.shared.queue.lock();
        queue.unfinished_bytes = taken + queue.keep_repeatable();
        self.shared.unfinished_bytes.store(queue.unfinished_bytes, Ordering::Relaxed);
    }

    fn keep(&mut self, mut change: impl FnMut(&mut Batch)) {
        let before: usize = self.unfinished.iter().map(Batch::len).sum();
        self.unfinished.iter_mut().for_each(&mut change);
        self.unfinished.retain(|batch| !batch.is_empty());
        let after: usize = self.unfinished.iter().map(Batch::len).sum();
        self.count_finished(before.saturating_sub(after));
    }

    /// The next batch of the queue, now among the unfinished.
    pub(crate) fn take(&mut self, leading: Option<u64>) -> Option<&mut Batch> {
        let with_own = !self.numbers() || self.process.registered.is_some();
        loop {
            let mut batch = self.shared.queue.lock().take(with_own, &self.shared.options)?;
            let before = batch.len();
            batch.drop_stale(leading);
            self.count_finished(before.saturating_sub(batch.len()));
            if batch.is_empty() {
                continue;
            }
            if self.numbers() && batch.own.commands > 0 {
                batch.number =
                    self.process.registered.map(|SectionNumber { incarnation, .. }| {
                        let number = self.next_number;
                        SectionNumber { incarnation, number }
                    });
                self.next_number += 1;
            }
            self.unfinished.push_back(batch);
            return self.unfinished.back_mut();
        }
    }

    /// The oldest batch is applied.
    pub(crate) fn finish_oldest(&mut self) {
        let Some(batch) = self.unfinished.pop_front() else { return };
        self.count_finished(batch.len());
        batch.applied();
    }

    fn count_finished(&self, bytes: usize) {
        let mut queue = self.shared.queue.lock();
        queue.unfinished_bytes = queue.unfinished_bytes.saturating_sub(bytes);
        self.shared.unfinished_bytes.store(queue.unfinished_bytes, Ordering::Relaxed);
    }
}

/// Whether a batch has that number or one before it.
fn is_within(batch: &Batch, last: SectionNumber) -> bool {
    let is_within =
        |of: SectionNumber| of.incarnation == last.incarnation && of.number <= last.number;
    batch.number.is_some_and(is_within)
}
