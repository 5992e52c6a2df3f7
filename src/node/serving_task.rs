//! Whether this server serves clients, and whether it has the duties of a leader.

use std::sync::Arc;
use std::time::Duration;

use kernel::conn::CloseReason;
use kernel::ensemble::MemberId;
use kernel::replica::{Command, Op, VERSION_2};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::leader::commands::LeaderCommands;
use super::leader::full_disk_handover::FullDiskHandover;
use super::leader::reconfig::ReconfigSettings;
use super::serving::ServingMode;
use super::settings::contact_limits;
use crate::config::Config;
use crate::consensus::{Consensus, ContactLimits, Proposer, Role, Status};
use crate::env::time::{Instant, sleep, timeout};
use crate::failpoints;

/// How often to look for what no change of status tells: that contact was lost.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A new term begins when the counter of its zxids has come this far: the rest, a hundred million, is
/// for what is applied until then.
const ZXID_COUNTER_MAX: u32 = u32::MAX - 100_000_000;

/// What the configuration says of when clients are served.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServingSettings {
    /// Whether reads are offered without contact (`readonlymode.enabled`).
    read_only_mode: bool,
    /// After how long.
    read_only_after: Duration,
}

impl ServingSettings {
    pub(super) fn new(config: &Config) -> Self {
        let ContactLimits { read_only_after, .. } = contact_limits(config);
        Self { read_only_mode: config.features.read_only_mode, read_only_after }
    }
}

/// Follows the consensus until the server stops: decides whether clients are served, and takes up and drops the duties
/// of a leader.
///
/// It is the only one that begins to serve, and the only one that takes up or drops the duties. Service may be taken
/// away by others too: by applying, where this server was removed or another version is in force, and by a state that
/// differs from the leader's. So before it begins to serve it looks at all conditions again, behind the last await.
pub(super) struct ServingTask {
    core: Arc<Core>,
    consensus: Consensus,
    proposer: Proposer,
    leader: LeaderCommands,
    reconfig: ReconfigSettings,
    settings: ServingSettings,
    zxid_counter_max: u32,
    full_disk_handover: FullDiskHandover,
    /// The term and leader that were logged last.
    logged: Option<(u64, Option<MemberId>)>,
}

impl ServingTask {
    pub(super) fn new(
        (core, leader): (Arc<Core>, LeaderCommands),
        (consensus, proposer): (Consensus, Proposer),
        reconfig: ReconfigSettings,
        settings: ServingSettings,
    ) -> Self {
        Self {
            core,
            consensus,
            proposer,
            leader,
            reconfig,
            settings,
            zxid_counter_max: failpoints::zxid_counter_max().unwrap_or(ZXID_COUNTER_MAX),
            full_disk_handover: FullDiskHandover::default(),
            logged: None,
        }
    }

    /// Keeps the server's part up to date until it stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.consensus.watch_status();
        loop {
            let status = changes.borrow_and_update().clone();
            if status.role == Role::Stopped {
                self.core.serving.stop();
                return;
            }
            tokio::select! {
                () = self.update(&status) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.core.process.changed() => {}
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    /// Brings service and duties in line with what the consensus says now. Takes away first, so that nobody is served,
    /// and nothing ends, by an old state while the barrier below is awaited.
    async fn update(&mut self, status: &Status) {
        self.log_leader(status);
        if self
            .core
            .leader_duties
            .term()
            .is_some_and(|term| !status.is_leader() || status.term != term)
        {
            self.core.leader_duties.end(&self.core.time);
        }
        let without_contact = self.proposer.without_contact();
        self.core.serving.record_contact(self.core.clock.now_us(), without_contact);
        let cannot_follow = self.cannot_follow(status);
        self.serve_less(without_contact, cannot_follow);
        self.hand_over_with_full_disk(status).await;
        if self.core.leader_duties.term() == Some(status.term) && self.counter_runs_out() {
            tracing::info!("term {} has used its zxids: the next begins", status.term);
            self.consensus.begin_next_term().await;
        }
        let begins_to_lead =
            status.is_leader() && self.core.leader_duties.term() != Some(status.term);
        let is_formed = self.is_formed();
        if self.core.leader_duties.set_awaits_voters(!is_formed) && is_formed {
            // Its clients could not come before.
            if let Some(term) = self.core.leader_duties.term() {
                self.core.begin_leading(term).await;
            }
        }
        self.raise_version(status);
        let may_serve = is_formed
            && self.core.membership.is_member()
            && self.may_write(status)
            && self.core.serving.mode() != ServingMode::ReadWrite;
        if status.leader.is_none() || cannot_follow || !(may_serve || begins_to_lead) {
            return;
        }
        // What was acknowledged anywhere is here before any client sees this server.
        let patience = self.consensus.barrier_within();
        let barrier = timeout(patience, self.proposer.read_barrier()).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return;
        }
        let now = self.consensus.status();
        if begins_to_lead && now.is_leader() && now.term == status.term {
            self.lead(status.term).await;
        }
        // A barrier that took that long says too little of now.
        let in_contact = self.proposer.without_contact() <= self.core.serving.contact_max();
        let may_serve =
            may_serve && in_contact && self.core.membership.is_member() && self.may_write(&now);
        if may_serve && self.core.serving.mode() != ServingMode::ReadWrite {
            // Those that were content with reading have sessions that nobody else knows.
            self.core.serving.stop();
            self.core.close_all(&CloseReason::NotServing);
            self.core.serving.begin_read_write();
            if !self.core.settings.is_alone {
                tracing::info!("clients are served");
            }
        }
    }

    /// Whether what clients want can be written, in the version of their writes: raising that disconnects clients, so
    /// those of a new ensemble wait until it is done.
    fn may_write(&self, status: &Status) -> bool {
        let version = self.core.process.version();
        let is_raised = if status.is_leader() {
            version >= self.consensus.common_version()
        } else {
            // A leader raises the version before it says who belongs to a new ensemble.
            let is_new = self.core.membership.current().current.is_none();
            version >= VERSION_2 || self.core.settings.is_alone || !is_new
        };
        is_raised && self.core.process.may_write()
    }

    /// A leader puts a newer version in force as soon as every member is known to read it.
    fn raise_version(&self, status: &Status) {
        if self.core.leader_duties.term() != Some(status.term) {
            return;
        }
        let version = self.consensus.common_version();
        if version <= self.core.process.version() {
            return;
        }
        let command = Command::of_server(Op::RaiseVersion { version });
        if let Err(refusal) = self.leader.propose(&command) {
            tracing::debug!(?refusal, "version {version} is not in force yet");
        }
    }

    /// Whether a majority of the servers that are to vote does. A server that was formed on its own, and whose
    /// file now names others, leads before that, to take them in; but it acknowledges nothing.
    fn is_formed(&self) -> bool {
        self.core.membership.has_majority_in(&self.consensus.members().voters)
    }

    /// Whether this server falls behind because it can write nothing down.
    fn cannot_follow(&self, status: &Status) -> bool {
        !self.core.settings.is_alone && !status.is_leader() && self.consensus.disk_full()
    }

    /// A leader with a full disk would keep the others from writing, too.
    async fn hand_over_with_full_disk(&mut self, status: &Status) {
        if !self.consensus.disk_full() {
            return self.full_disk_handover.end();
        }
        let leads = status.is_leader() && !self.core.settings.is_alone;
        if leads && self.full_disk_handover.is_due(status.term, Instant::now()) {
            tracing::warn!("the disk is full: another server is to take the lead");
            self.consensus.begin_next_term().await;
        }
    }

    /// Disconnects clients when contact was lost or nothing can be written down, and goes on with reads
    /// where that is wanted.
    fn serve_less(&self, without_contact: Duration, cannot_follow: bool) {
        let serves = self.core.serving.mode() == ServingMode::ReadWrite;
        if serves && (cannot_follow || without_contact > self.core.serving.contact_max()) {
            self.core.serving.stop();
            if cannot_follow {
                tracing::warn!("the disk is full: clients are let go until there is space again");
            } else {
                let limit = self.core.serving.contact_max();
                tracing::warn!("no contact to a majority for {limit:?}: clients are let go");
            }
            self.core.close_all(&CloseReason::NotServing);
        }
        let offers_reads = self.settings.read_only_mode && self.core.membership.is_member();
        let is_idle = self.core.serving.mode() == ServingMode::NotServing;
        if offers_reads && is_idle && without_contact > self.settings.read_only_after {
            self.core.serving.begin_read_only();
            tracing::warn!("reads are served to clients that ask for read-only mode");
        }
    }

    /// Whether the zxids of the term are used up, but for a reserve: the counter has 32 bits.
    fn counter_runs_out(&self) -> bool {
        self.core.replica.figures().last_zxid().counter() >= self.zxid_counter_max
    }

    /// Takes up the duties of the leader of this term, and proposes what a new leader has to say.
    async fn lead(&self, term: u64) {
        self.core.begin_leading(term).await;
        self.raise_version(&self.consensus.status());
        self.reconfig.propose_first(&self.core, &self.leader);
        if !self.core.ensemble.is_known() {
            let name = self.consensus.first_name();
            let command = Command::of_server(Op::NameEnsemble { name });
            if let Err(refusal) = self.leader.propose(&command) {
                tracing::debug!(?refusal, "the ensemble is not named yet");
            }
        }
    }

    /// Says who leads, once for each change.
    fn log_leader(&mut self, status: &Status) {
        let now = (status.term, status.leader);
        if self.core.settings.is_alone || self.logged == Some(now) {
            return;
        }
        self.logged = Some(now);
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
