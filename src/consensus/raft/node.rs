//! The running Raft of this server, in words of our own.
//!
//! The rest of the consensus asks [`RaftNode`], and sees no type of openraft in what it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kernel::ensemble::MemberId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::raft::linearizable_read::LinearizerOption;
use openraft::{BasicNode, RaftMetrics, RaftState, ServerState};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::watch;

use super::state_machine_store::StateMachineStore;
use super::types::{Commands, LogId, RaftVote, TypeConfig, log_id, position, vote};
use crate::consensus::error::{Fatal, ProposeError, ReadError};
use crate::consensus::leadership::raft_leader::{RaftLeader, RaftView};
use crate::consensus::leadership::read_index::LeaderView;
use crate::consensus::status::{Role, Status};
use crate::env::task;
use crate::storage::LogPosition;

/// openraft with our types filled in.
pub(super) type Raft = openraft::Raft<TypeConfig, StateMachineStore>;

type WriteResult = ClientWriteResult<TypeConfig>;

/// The running Raft of this server. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct RaftNode {
    pub(super) raft: Raft,
}

/// What becomes of a proposal that Raft accepted: it is applied here, or given up.
#[derive(Debug)]
pub(crate) struct ProposalOutcome(oneshot::Receiver<WriteResult>);

impl ProposalOutcome {
    /// Whether it was applied, once that is known.
    pub(crate) fn try_applied(&mut self) -> Option<bool> {
        match self.0.try_recv() {
            Ok(result) => Some(result.is_ok()),
            Err(TryRecvError::Closed) => Some(false),
            Err(TryRecvError::Empty) => None,
        }
    }

    /// Waits until it is known whether it was applied. Cancel-safe; not to be called again after it has returned.
    pub(crate) async fn applied(&mut self) -> bool {
        matches!((&mut self.0).await, Ok(Ok(_)))
    }
}

/// Who belongs to the ensemble at one moment, as the newest configuration in this server's log says.
#[derive(Clone, Debug)]
pub(crate) struct MembershipView {
    /// The newest entry of the log, be it purged.
    pub(crate) last_index: Option<u64>,
    /// All voters, old and new ones, by id.
    pub(crate) voters: BTreeSet<u64>,
    /// All members with their addresses, by id.
    pub(crate) members: BTreeMap<u64, String>,
    /// Who leads, by id: perhaps one of the past, and this server before it is elected.
    pub(crate) leader: Option<u64>,
    /// The part that this server plays.
    pub(crate) role: Role,
}

impl RaftNode {
    pub(super) fn new(raft: Raft) -> Self {
        Self { raft }
    }

    /// Proposes an entry; returns when it is queued.
    ///
    /// # Errors
    ///
    /// [`ProposeError::Stopped`]: the entry will not be applied.
    pub(crate) async fn propose(&self, entry: Bytes) -> Result<(), ProposeError> {
        let queued = self.raft.client_write_ff(Commands(entry), None).await;
        queued.map_err(|_| ProposeError::Stopped)
    }

    /// As [`RaftNode::propose`]; what becomes of the entry can be waited for.
    pub(crate) async fn submit(&self, entry: Bytes) -> Result<ProposalOutcome, ProposeError> {
        let (responder, outcome) = ProgressResponder::complete_only();
        let queued = self.raft.client_write_ff(Commands(entry), Some(responder)).await;
        queued.map_err(|_| ProposeError::Stopped)?;
        Ok(ProposalOutcome(outcome))
    }

    /// Whether this server follows `leader` in `term`, and has promised no later term its vote.
    pub(crate) async fn follows(&self, leader: u64, term: u64) -> bool {
        let own = self.raft.with_raft_state(|state| *state.vote_ref()).await;
        let follows = |own: RaftVote| {
            own.committed && own.leader_id.term == term && own.leader_id.voted_for == leader
        };
        own.is_ok_and(follows)
    }

    /// Waits until the entry at this position is applied here.
    pub(crate) async fn wait_applied(&self, at: LogPosition) -> Result<(), ReadError> {
        let mut applied = self.raft.watch_apply_progress();
        let reached = applied.wait_until_ge(&Some(log_id(at))).await;
        reached.map(drop).map_err(|_| ReadError::Stopped)
    }

    /// Has `heir` begin the next term; without one, this server begins it itself.
    pub(crate) async fn begin_next_term(&self, heir: Option<u64>) {
        let begun = match heir {
            Some(heir) => self.raft.trigger().transfer_leader(heir).await,
            None => self.raft.trigger().elect(false).await,
        };
        if let Err(error) = begun {
            tracing::debug!(%error, "no new term begins");
        }
    }

    /// The voter other than this server that has most of a leader's log, as far as this leader knows.
    pub(crate) fn nearest_voter(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let own = *self.raft.node_id();
        let followers = metrics.replication.iter().flatten();
        let nearest = followers
            .filter(|(id, _)| **id != own && voters.contains(id))
            .max_by_key(|(_, matching)| matching.as_ref().map(|log_id| log_id.index));
        nearest.map(|(id, _)| *id)
    }

    /// Begins a checkpoint of all that is applied; false where one is being written.
    ///
    /// # Errors
    ///
    /// [`Fatal`]: Raft has stopped.
    pub(crate) async fn begin_checkpoint(&self) -> Result<bool, Fatal> {
        let begun = self.raft.with_state_machine(|machine| {
            let begun = machine.begin_checkpoint();
            Box::pin(async move { begun })
        });
        begun.await.map_err(|error| Fatal(error.to_string()))
    }

    /// Where the newest configuration says that a member is.
    pub(crate) fn address_of(&self, server: u64) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let node = metrics.membership_config.membership().get_node(&server)?;
        Some(node.addr.clone())
    }

    /// The ids of all members, with and without a vote.
    pub(crate) fn member_ids(&self) -> BTreeSet<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.nodes().map(|(server, _)| *server).collect()
    }

    /// Who belongs to the ensemble at the moment.
    pub(crate) fn membership(&self) -> MembershipView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        MembershipView {
            last_index: metrics.last_log_index,
            voters: membership.voter_ids().collect(),
            members: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
            leader: metrics.current_leader,
            role: role(metrics.state),
        }
    }

    /// Begins the log of a new ensemble with these members, by id, and asks them for their votes.
    ///
    /// # Errors
    ///
    /// The text says why not: there is a log already, or Raft has stopped.
    pub(crate) async fn initialize(&self, members: BTreeMap<u64, String>) -> Result<(), String> {
        let nodes = members.into_iter().map(|(id, address)| (id, BasicNode::new(address)));
        let nodes: BTreeMap<u64, BasicNode> = nodes.collect();
        self.raft.initialize(nodes).await.map_err(|error| error.to_string())
    }

    /// Lets this server ask for votes when it hears of no leader.
    pub(crate) fn allow_elections(&self) {
        self.raft.runtime_config().elect(true);
    }

    /// Has this server ask for votes now.
    ///
    /// # Errors
    ///
    /// The text says why that cannot be: Raft has stopped.
    pub(crate) async fn elect(&self) -> Result<(), String> {
        self.raft.trigger().elect(false).await.map_err(|error| error.to_string())
    }

    /// Waits until Raft has told what it found when it started.
    ///
    /// # Errors
    ///
    /// The text says why it has stopped.
    pub(crate) async fn wait_until_started(&self) -> Result<(), String> {
        self.raft.with_raft_state(|_| ()).await.map_err(|error| error.to_string())
    }

    /// What this server knows at the moment.
    pub(crate) fn status(&self) -> Status {
        status(&self.raft.metrics().borrow_watched())
    }

    /// Tells of every change of role, term, leader and failure, until Raft ends.
    pub(crate) fn watch_status(&self) -> watch::Receiver<Status> {
        let (sender, receiver) = watch::channel(self.status());
        task::spawn(follow_status(self.raft.clone(), sender));
        receiver
    }

    /// Ends Raft. Nothing is applied after this returns.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the consensus did not end in order");
        }
    }
}

impl RaftLeader for RaftNode {
    fn view(&self) -> RaftView {
        view(&self.raft.metrics().borrow_watched())
    }

    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>> {
        Box::pin(async move {
            let own = *self.raft.node_id();
            // Sends nothing and waits for nothing. Reads wait while the lead is handed over: a heartbeat would keep
            // the others from electing the heir.
            let option = LinearizerOption::new(Some(Duration::ZERO), false);
            let taken = self.raft.get_read_linearizer(option.with_wait_timeout(Duration::ZERO));
            let view = self.raft.with_raft_state(move |state| leader_view(state, own));
            let (taken, view) = tokio::join!(taken, view);
            match taken {
                Ok(_) | Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {}
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                    let hint = forward.leader_id.map(MemberId::number_of);
                    return Err(ReadError::NotLeader { hint });
                }
                Err(RaftError::Fatal(_)) => return Err(ReadError::Stopped),
            }
            let view = view.map_err(|_| ReadError::Stopped)?;
            view.ok_or(ReadError::NotLeader { hint: None })
        })
    }

    fn pre_vote(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(
            async move { self.raft.trigger().elect(true).await.map_err(|error| error.to_string()) },
        )
    }

    fn append_noop(&self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            match self.submit(Bytes::new()).await {
                Ok(mut outcome) => outcome.applied().await,
                Err(_) => false,
            }
        })
    }
}

/// openraft's word for a role in ours.
pub(super) fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Observer,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn status(metrics: &RaftMetrics<TypeConfig>) -> Status {
    let stopped = metrics.running_state.as_ref().err();
    let failure = stopped.and_then(|fatal| match fatal {
        openraft::errors::Fatal::Stopped => None,
        openraft::errors::Fatal::StorageError(_) | openraft::errors::Fatal::Panicked => {
            Some(fatal.to_string())
        }
    });
    Status {
        role: if stopped.is_some() { Role::Stopped } else { role(metrics.state) },
        term: metrics.current_term,
        leader: metrics.current_leader.map(MemberId::from_raft_id),
        last_log_index: metrics.last_log_index,
        committed: metrics.local_committed.as_ref().map(position),
        last_applied: metrics.last_applied.as_ref().map(position),
        checkpoint: metrics.snapshot.as_ref().map(position),
        purged: metrics.purged.as_ref().map(position),
        failure,
    }
}

fn view(metrics: &RaftMetrics<TypeConfig>) -> RaftView {
    RaftView {
        role: role(metrics.state),
        term: metrics.current_term,
        leader: metrics.current_leader,
        voters: metrics.membership_config.membership().get_joint_config().clone(),
        lease_age: lease_age(metrics),
    }
}

fn lease_age(metrics: &RaftMetrics<TypeConfig>) -> Option<Duration> {
    if role(metrics.state) != Role::Leader {
        return None;
    }
    if metrics.membership_config.membership().voter_ids().count() == 1 {
        return Some(Duration::ZERO);
    }
    metrics.last_quorum_acked.map(|at| openraft::Instant::elapsed(&*at))
}

/// What `state` says, if server `own` leads.
fn leader_view(state: &RaftState<TypeConfig>, own: u64) -> Option<LeaderView> {
    let vote = vote(state.vote_ref());
    if !vote.committed || vote.server != own {
        return None;
    }
    let committed = state.local_committed().map(position);
    // What earlier terms left is committed with the first entry of the own one.
    let index = match committed {
        Some(committed) if committed.term == vote.term => committed,
        Some(_) | None => position(&first_of_term(state, vote.term)?),
    };
    let membership = state.membership_state.effective().membership();
    let voters = membership.get_joint_config().clone();
    Some(LeaderView { vote, index, committed, voters })
}

/// The first entry of a leader's own term, which ends its log.
fn first_of_term(state: &RaftState<TypeConfig>, term: u64) -> Option<LogId> {
    let last = state.log_ids.last()?;
    let mut first = state.log_ids.purged().map_or(0, |purged| purged.index + 1);
    let mut end = last.index;
    while first < end {
        let middle = first + (end - first) / 2;
        match state.log_ids.get(middle) {
            Some(id) if id.leader_id.term == term => end = middle,
            Some(_) | None => first = middle + 1,
        }
    }
    state.log_ids.get(first).filter(|id| id.leader_id.term == term)
}

/// Publishes changes of role, term and leader until Raft ends, and why it ended.
async fn follow_status(raft: Raft, sender: watch::Sender<Status>) {
    let mut server = raft.server_metrics();
    let metrics = raft.metrics();
    loop {
        let ended = server.changed().await.is_err();
        let mut status = status(&metrics.borrow_watched());
        {
            // The one that woke us may be ahead of the other.
            let server = server.borrow_watched();
            status.leader = server.current_leader.map(MemberId::from_raft_id);
            status.term = server.vote.leader_id.term;
            status.role = role(server.state);
        }
        if ended || status.failure.is_some() {
            status.role = Role::Stopped;
        }
        sender.send_replace(status);
        if ended {
            return;
        }
    }
}
