//! Whether this server serves clients, and whether it has the duties of a leader.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::conn::CloseReason;
use kernel::ensemble::MemberId;
use kernel::replica::{Command, Op, VERSION_ONCE};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::core::Shared;
use super::leader::full_disk_handover::FullDiskHandover;
use super::leader::reconfig;
use super::serving::ServingMode;
use crate::consensus::{Consensus, Proposer, Role, Status};

/// How often to look for what no change of status tells: that contact was lost.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads without a majority are offered after a tick, but not before this (`QuorumPeer.run`).
const READ_ONLY_AFTER_MIN: Duration = Duration::from_secs(2);

/// How long a read barrier may take before it is tried anew; longer where servers are far apart.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps an eye on the consensus until the server stops.
pub(super) struct ServingTask {
    shared: Arc<Shared>,
    consensus: Consensus,
    proposer: Proposer,
    /// Clients are disconnected when there was no contact to a majority for this long (`syncLimit`).
    contact_max: Duration,
    /// Reads are offered after this time without contact (`readonlymode.enabled`).
    read_only_after: Duration,
    hand_over: FullDiskHandover,
    /// What was last said of the leader.
    said: Option<(u64, Option<MemberId>)>,
}

impl ServingTask {
    pub(super) fn new(shared: Arc<Shared>, consensus: Consensus, proposer: Proposer) -> Self {
        let contact_max = shared.contact_max();
        let tick = Duration::from_millis(u64::from(shared.config.sessions.tick_time_ms));
        let read_only_after = tick.max(READ_ONLY_AFTER_MIN);
        let hand_over = FullDiskHandover::default();
        Self { shared, consensus, proposer, contact_max, read_only_after, hand_over, said: None }
    }

    /// Keeps the server's part up to date until it stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.consensus.watch_status();
        loop {
            let status = changes.borrow_and_update().clone();
            if status.role == Role::Stopped {
                self.shared.set_mode(ServingMode::NotServing);
                return;
            }
            tokio::select! {
                () = self.look(&status) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.shared.process_changed.notified() => {}
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&mut self, status: &Status) {
        self.say(status);
        if self.shared.leading().is_some_and(|term| !status.is_leader() || status.term != term) {
            self.shared.end_leading();
        }
        let without_contact = self.proposer.without_contact();
        self.shared.record_contact(without_contact);
        let cannot_follow = self.cannot_follow(status);
        self.serve_less(without_contact, cannot_follow);
        self.hand_over_with_full_disk(status).await;
        if self.shared.leading() == Some(status.term) && self.shared.counter_runs_out() {
            tracing::info!("term {} has used its zxids: the next begins", status.term);
            self.consensus.begin_next_term().await;
        }
        let begins_to_lead = status.is_leader() && self.shared.leading() != Some(status.term);
        let is_formed = self.is_formed();
        if self.shared.awaits_members.swap(!is_formed, Ordering::AcqRel) && is_formed {
            // Its clients could not come before.
            if let Some(term) = self.shared.leading() {
                self.shared.begin_leading(term).await;
            }
        }
        self.raise_version(status);
        let may_serve = is_formed
            && self.shared.is_member()
            && self.may_write(status)
            && self.shared.serving_mode() != ServingMode::ReadWrite;
        if status.leader.is_none() || cannot_follow || !(may_serve || begins_to_lead) {
            return;
        }
        // What was acknowledged anywhere is here before any client sees this server.
        let patience = self.consensus.for_round_trips(4, BARRIER_TIMEOUT);
        let barrier = tokio::time::timeout(patience, self.proposer.read_barrier()).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return;
        }
        let now = self.consensus.status();
        if begins_to_lead && now.is_leader() && now.term == status.term {
            self.lead(status.term).await;
        }
        // A barrier that took that long says too little of now.
        let in_contact = self.proposer.without_contact() <= self.contact_max;
        let may_serve = may_serve && in_contact && self.shared.is_member() && self.may_write(&now);
        if may_serve && self.shared.serving_mode() != ServingMode::ReadWrite {
            // Those that were content with reading have sessions that nobody else knows.
            self.shared.set_mode(ServingMode::NotServing);
            self.close_all();
            self.shared.set_mode(ServingMode::ReadWrite);
            if !self.shared.settings.is_alone {
                tracing::info!("clients are served");
            }
        }
    }

    /// Whether what clients want can be written, in the version of their writes: raising that lets clients go, so
    /// those of a new ensemble wait until it is done.
    fn may_write(&self, status: &Status) -> bool {
        let version = self.shared.version.load(Ordering::Acquire);
        let is_raised = if status.is_leader() {
            version >= self.consensus.common_version()
        } else {
            // A leader raises the version before it says who belongs to a new ensemble.
            let is_new = self.shared.members().current.is_none();
            version >= VERSION_ONCE || self.shared.settings.is_alone || !is_new
        };
        is_raised && self.shared.may_write()
    }

    /// A leader puts a newer version in force as soon as every member is known to read it.
    fn raise_version(&self, status: &Status) {
        if self.shared.leading() != Some(status.term) {
            return;
        }
        let version = self.consensus.common_version();
        if version <= self.shared.version.load(Ordering::Acquire) {
            return;
        }
        let command = Command::of_server(Op::RaiseVersion { version });
        if let Err(refusal) = self.shared.propose_as_leader(&command) {
            tracing::debug!(?refusal, "version {version} is not in force yet");
        }
    }

    /// Whether a majority of the servers that are to vote does. A server that was formed on its own, and whose
    /// file now names others, leads before that, to take them in; but it acknowledges nothing.
    fn is_formed(&self) -> bool {
        let voters = self.consensus.members().voters;
        let named = self.shared.named_voters.lock();
        let voting = voters.iter().filter(|voter| named.contains(&voter.number)).count();
        voting > named.len() / 2
    }

    /// Whether this server falls behind because it can write nothing down.
    fn cannot_follow(&self, status: &Status) -> bool {
        !self.shared.settings.is_alone && !status.is_leader() && self.consensus.disk_full()
    }

    /// A leader with a full disk would keep the others from writing, too.
    async fn hand_over_with_full_disk(&mut self, status: &Status) {
        if !self.consensus.disk_full() {
            return self.hand_over.end();
        }
        let leads = status.is_leader() && !self.shared.settings.is_alone;
        if leads && self.hand_over.is_due(status.term, Instant::now()) {
            tracing::warn!("the disk is full: another server is to take the lead");
            self.consensus.begin_next_term().await;
        }
    }

    /// Lets clients go when contact was lost or nothing can be written down, and goes on with reads
    /// where that is wanted.
    fn serve_less(&self, without_contact: Duration, cannot_follow: bool) {
        let serves = self.shared.serving_mode() == ServingMode::ReadWrite;
        if serves && (cannot_follow || without_contact > self.contact_max) {
            self.shared.set_mode(ServingMode::NotServing);
            if cannot_follow {
                tracing::warn!("the disk is full: clients are let go until there is space again");
            } else {
                let limit = self.contact_max;
                tracing::warn!("no contact to a majority for {limit:?}: clients are let go");
            }
            self.close_all();
        }
        let offers_reads = self.shared.config.features.read_only_mode && self.shared.is_member();
        let is_idle = self.shared.serving_mode() == ServingMode::NotServing;
        if offers_reads && is_idle && without_contact > self.read_only_after {
            self.shared.set_mode(ServingMode::ReadOnly);
            tracing::warn!("reads are served to clients that ask for read-only mode");
        }
    }

    /// Lets all clients go.
    fn close_all(&self) {
        for client in self.shared.connections.all() {
            client.conn.lock().close(CloseReason::NotServing);
            client.wake.notify_one();
        }
    }

    async fn lead(&self, term: u64) {
        self.shared.begin_leading(term).await;
        self.raise_version(&self.consensus.status());
        reconfig::propose_first(&self.shared);
        if !self.shared.ensemble.is_known() {
            let name = self.consensus.first_name();
            let command = Command::of_server(Op::NameEnsemble { name });
            if let Err(refusal) = self.shared.propose_as_leader(&command) {
                tracing::debug!(?refusal, "the ensemble is not named yet");
            }
        }
    }

    /// Says who leads, once for each change.
    fn say(&mut self, status: &Status) {
        let now = (status.term, status.leader);
        if self.shared.settings.is_alone || self.said == Some(now) {
            return;
        }
        self.said = Some(now);
        let term = status.term;
        match status.leader {
            Some(leader) if leader == self.consensus.member() => {
                tracing::info!("this server leads, term {term}");
            }
            Some(leader) => tracing::info!("server {leader} leads, term {term}"),
            None => tracing::info!("no server leads, term {term}"),
        }
    }
}
