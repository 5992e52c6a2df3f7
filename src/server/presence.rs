//! Whether this server serves clients, and whether it has the duties of a leader.

use std::sync::Arc;
use std::time::Duration;

use jute_proto::SessionId;
use tokio_util::sync::CancellationToken;

use super::reconfig_task;
use super::service::Service;
use super::shared::Shared;
use crate::conn::CloseReason;
use crate::consensus::{Consensus, Proposer, Role, Status};
use crate::replica::{Command, Op, Origin};
use crate::session::ConnId;

/// How often to look for what no change of status tells: that contact was lost.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads without a majority are offered after a tick, but not before this (`QuorumPeer.run`).
const READ_ONLY_AFTER_MIN: Duration = Duration::from_secs(2);

/// After how many looks a leader with a full disk asks again that another takes over.
const HAND_OVER_EVERY: u32 = 50;

/// How long a read barrier may take before it is tried anew.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps an eye on the consensus until the server stops.
pub(super) struct Presence {
    shared: Arc<Shared>,
    consensus: Consensus,
    proposer: Proposer,
    /// Clients are let go when there was no contact to a majority for this long (`syncLimit`).
    contact_max: Duration,
    /// Reads are offered after this time without contact (`readonlymode.enabled`).
    read_only_after: Duration,
    /// For how many looks this server has led with a full disk.
    full_for: u32,
    /// What was last said of the leader.
    said: Option<(u64, Option<u64>)>,
}

impl Presence {
    pub(super) fn new(shared: Arc<Shared>, consensus: Consensus, proposer: Proposer) -> Self {
        let contact_max = shared.contact_max();
        let tick = Duration::from_millis(u64::from(shared.config.sessions.tick_time_ms));
        let read_only_after = tick.max(READ_ONLY_AFTER_MIN);
        Self { shared, consensus, proposer, contact_max, read_only_after, full_for: 0, said: None }
    }

    /// Keeps the server's part up to date until it stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.consensus.watch_status();
        loop {
            let status = changes.borrow_and_update().clone();
            if status.role == Role::Stopped {
                self.shared.set_service(Service::None);
                return;
            }
            tokio::select! {
                () = self.look(&status) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
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
        self.shared.had_contact(without_contact);
        let cannot_follow = self.cannot_follow(status);
        self.serve_less(without_contact, cannot_follow);
        self.hand_over_with_full_disk(status).await;
        if self.shared.leading() == Some(status.term) && self.shared.counter_runs_out() {
            tracing::info!("term {} has used its zxids: the next begins", status.term);
            self.consensus.begin_next_term().await;
        }
        let begins_to_lead = status.is_leader() && self.shared.leading() != Some(status.term);
        let may_serve = self.shared.is_member() && self.shared.service() != Service::Full;
        if status.leader.is_none() || cannot_follow || !(may_serve || begins_to_lead) {
            return;
        }
        // What was acknowledged anywhere is here before any client sees this server.
        let barrier = tokio::time::timeout(BARRIER_TIMEOUT, self.proposer.read_barrier()).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return;
        }
        let now = self.consensus.status();
        if begins_to_lead && now.is_leader() && now.term == status.term {
            self.lead(status.term).await;
        }
        if self.shared.is_member() && self.shared.set_service(Service::Full) {
            tracing::info!("clients are served");
            // Those that were content with reading have sessions that nobody else knows.
            self.let_go();
        }
    }

    /// Whether this server falls behind because it can write nothing down.
    fn cannot_follow(&self, status: &Status) -> bool {
        !self.shared.settings.is_alone && !status.is_leader() && self.consensus.disk_full()
    }

    /// A leader with a full disk would keep the others from writing, too.
    async fn hand_over_with_full_disk(&mut self, status: &Status) {
        if self.shared.settings.is_alone || !status.is_leader() || !self.consensus.disk_full() {
            self.full_for = 0;
            return;
        }
        if self.full_for.is_multiple_of(HAND_OVER_EVERY) {
            tracing::warn!("the disk is full: another server is to take the lead");
            self.consensus.begin_next_term().await;
        }
        self.full_for += 1;
    }

    /// Lets clients go when contact was lost or nothing can be written down, and goes on with reads
    /// where that is wanted.
    fn serve_less(&self, without_contact: Duration, cannot_follow: bool) {
        let serves = self.shared.service() == Service::Full;
        if serves && (cannot_follow || without_contact > self.contact_max) {
            self.shared.set_service(Service::None);
            if cannot_follow {
                tracing::warn!("the disk is full: clients are let go until there is space again");
            } else {
                let limit = self.contact_max;
                tracing::warn!("no contact to a majority for {limit:?}: clients are let go");
            }
            self.let_go();
        }
        let offers_reads = self.shared.config.features.read_only_mode && self.shared.is_member();
        let is_idle = self.shared.service() == Service::None;
        if offers_reads && is_idle && without_contact > self.read_only_after {
            self.shared.set_service(Service::ReadOnly);
            tracing::warn!("reads are served to clients that ask for read-only mode");
        }
    }

    /// Lets all clients go.
    fn let_go(&self) {
        for client in self.shared.clients.all() {
            client.conn.lock().close(CloseReason::NotServing);
            client.wake.notify_one();
        }
    }

    async fn lead(&self, term: u64) {
        self.shared.begin_leading(term).await;
        reconfig_task::propose_first(&self.shared);
        if self.shared.ensemble.get().is_none() {
            let command = Command {
                origin: Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 },
                identities: &[],
                op: Op::NameEnsemble { name: self.consensus.data_dir().identity().cluster.0 },
            };
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
            Some(leader) if leader == self.shared.server() => {
                tracing::info!("this server leads, term {term}");
            }
            Some(leader) => tracing::info!("server {leader} leads, term {term}"),
            None => tracing::info!("no server leads, term {term}"),
        }
    }
}
