//! The running consensus.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kernel::ensemble::MemberId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::linearizable_read::LinearizerOption;
use openraft::{Raft, RaftMetrics};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::checkpoints::Checkpoints;
use super::members::ChangeFailed;
use super::start::Timings;
use super::state_machine::Machine;
use super::types::Batch;
use super::types::ChangeMembers;
use super::types::RaftVote;
use super::types::TypeConfig;
use super::types::log_id;
use crate::consensus::bootstrap::Formation;
use crate::consensus::bootstrap::admission::Admissions;
use crate::consensus::error::{Fatal, ProposeError, ReadError};
use crate::consensus::leadership::lease_keepalive::LeaseKeeper;
use crate::consensus::leadership::read_index::{LeaderView, LeadershipAck, ReadIndex};
use crate::consensus::status::Role;
use crate::consensus::status::Status;
use crate::consensus::status::role;
use crate::consensus::transport::{Dialer, ForwardConn, PeerStream, Purpose};
use crate::storage::{DataDir, LogPosition};

/// How soon a read that could not be had is tried again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(20);

pub(crate) type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A started consensus. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) raft: Arc<dyn Handle>,
    dir: DataDir,
    checkpoints: Arc<Checkpoints>,
    status: watch::Receiver<Status>,
    /// Ends the connections with peers.
    stop: CancellationToken,
    peers: Arc<PeerSide>,
}

/// The ways to and from the peers.
#[derive(Debug)]
pub(crate) struct PeerSide {
    pub(crate) member: MemberId,
    pub(crate) process: u64,
    pub(crate) dialer: Dialer,
    /// Connections of followers that forward requests, for whoever serves them.
    pub(crate) forwards: Mutex<Option<mpsc::Receiver<ForwardConn>>>,
    /// What keeps the lease where they answer late.
    pub(crate) lease_keeper: LeaseKeeper,
    pub(crate) formation: Formation,
    /// What confirms reads.
    pub(crate) read_index: ReadIndex,
    pub(crate) timings: Timings,
}

type WriteResult = openraft::raft::ClientWriteResult<TypeConfig>;
pub(crate) type Responder = ProgressResponder<TypeConfig, WriteResult>;

/// Resolves when an accepted proposal was applied here, or was given up.
pub(crate) type Outcome = oneshot::Receiver<WriteResult>;

impl Consensus {
    pub(crate) fn new(
        raft: Raft<TypeConfig, Machine>,
        dir: DataDir,
        checkpoints: Arc<Checkpoints>,
        checkpoint_written: mpsc::UnboundedReceiver<()>,
        stop: CancellationToken,
        peers: PeerSide,
    ) -> Self {
        let (sender, status) = watch::channel(Status::new(&raft.metrics().borrow_watched()));
        tokio::spawn(follow_status(raft.clone(), sender));
        tokio::spawn(follow_checkpoints(raft.clone(), checkpoint_written));
        tokio::spawn(peers.lease_keeper.clone().run(raft.clone(), stop.clone()));
        Self { raft: Arc::new(raft), dir, checkpoints, status, stop, peers: Arc::new(peers) }
    }

    /// Proposes an entry. Entries proposed one after the other are applied in that order, unless
    /// the leadership is lost in between. Returns when the entry is queued, not when it is applied.
    ///
    /// # Errors
    ///
    /// The entry will not be applied then.
    pub async fn propose(&self, entry: Bytes) -> Result<(), ProposeError> {
        if self.disk_full() {
            return Err(ProposeError::DiskFull);
        }
        let refused = refusal(&self.status.borrow());
        match refused {
            Some(error) => Err(error),
            None => self.raft.propose(Batch(entry), None).await,
        }
    }

    /// As [`Consensus::propose`], also on a full disk, where it waits; the outcome can be waited
    /// for.
    pub(crate) async fn submit(&self, entry: Bytes) -> Result<Outcome, ProposeError> {
        let refused = refusal(&self.status.borrow());
        if let Some(error) = refused {
            return Err(error);
        }
        let (responder, outcome) = ProgressResponder::complete_only();
        self.raft.propose(Batch(entry), Some(responder)).await?;
        Ok(outcome)
    }

    /// Waits until every write that was acknowledged anywhere before the call is applied here.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: this server cannot know.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        let at = self.read_index(None).await?;
        self.wait_applied(at).await
    }

    /// The entry that must be applied before a linearizable read, after a majority has confirmed
    /// that this server leads. `asker` is what the follower says that asks for it, if one does.
    pub(crate) async fn read_index(
        &self,
        asker: Option<LeadershipAck>,
    ) -> Result<LogPosition, ReadError> {
        self.peers.read_index.confirm(&*self.raft, self.status.clone(), asker).await
    }

    /// Whether this server follows `leader` in `term`, and has promised no later term its vote.
    pub(crate) async fn follows(&self, leader: u64, term: u64) -> bool {
        self.raft.follows(leader, term).await
    }

    /// Time enough for so many packets there and back, and at least `usual`.
    pub fn for_round_trips(&self, count: u32, usual: Duration) -> Duration {
        self.peers.timings.for_round_trips(count, usual)
    }

    /// Waits until the entry at this position is applied here.
    pub(crate) async fn wait_applied(&self, at: LogPosition) -> Result<(), ReadError> {
        self.raft.wait_applied(at).await
    }

    /// How long ago a majority is known to have stood behind this server as the leader: so long ago was written
    /// what it has answered. `None` where this server does not lead, or no majority has answered yet.
    pub(crate) fn since_quorum(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let leads = role(metrics.state) == Role::Leader;
        let voters = metrics.membership_config.membership().get_joint_config();
        leads.then(|| self.peers.read_index.since_quorum(metrics.current_term, voters))?
    }

    /// Whether this server leads, as of the last change that was told.
    pub(crate) fn leads(&self) -> bool {
        self.status.borrow().is_leader()
    }

    /// Who this server is in the consensus.
    pub fn member(&self) -> MemberId {
        self.peers.member
    }

    /// The random number of this process.
    pub(crate) fn process(&self) -> u64 {
        self.peers.process
    }

    /// Who asks this server, as the leader, to be taken in.
    pub fn admissions(&self) -> &Admissions {
        self.peers.formation.admissions()
    }

    /// The name of the ensemble, where the replicated state has none yet.
    pub fn first_name(&self) -> u128 {
        self.peers.formation.name()
    }

    /// Waits until this server cannot belong to any ensemble; returns why.
    pub async fn excluded(&self) -> String {
        let mut ended = self.peers.formation.ended();
        let why = ended.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// Connects to a member, by its id, where the configuration, or this server's own, says that it is.
    pub(crate) async fn dial(&self, server: u64, purpose: Purpose) -> Option<PeerStream> {
        let metrics = self.raft.metrics();
        let node = metrics.membership_config.membership().get_node(&server)?;
        self.peers.dialer.dial(server, &node.addr, purpose).await.ok()
    }

    /// The ids of all other members, with and without a vote.
    pub(crate) fn others(&self) -> BTreeSet<u64> {
        let metrics = self.raft.metrics();
        let members = metrics.membership_config.nodes().map(|(server, _)| *server);
        members.filter(|server| *server != self.peers.member.raft_id()).collect()
    }

    /// Has the next term begin: another server takes over the lead, the one that is nearest; a server
    /// on its own begins it itself. Nothing happens where this server does not lead.
    pub async fn begin_next_term(&self) {
        let metrics = self.raft.metrics();
        let own = self.peers.member.raft_id();
        let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
        let followers = metrics.replication.iter().flatten();
        let nearest = followers
            .filter(|(id, _)| **id != own && voters.contains(id))
            .max_by_key(|(_, matching)| matching.as_ref().map(|log_id| log_id.index));
        if metrics.state == openraft::ServerState::Leader {
            self.raft.begin_next_term(nearest.map(|(id, _)| *id)).await;
        }
    }

    /// The connections that followers make; once.
    pub(crate) fn take_forwards(&self) -> Option<mpsc::Receiver<ForwardConn>> {
        self.peers.forwards.lock().take()
    }

    /// What this server knows at the moment.
    pub fn status(&self) -> Status {
        Status::new(&self.raft.metrics())
    }

    /// Tells of every change of role, term, leader and failure. The positions in it are as of
    /// that change; [`Consensus::status`] has the current ones.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until this server leads and has applied all that was acknowledged before.
    ///
    /// # Errors
    ///
    /// [`Fatal`] when it stops before that.
    pub async fn wait_until_leader(&self) -> Result<(), Fatal> {
        let stopped = || Fatal("the consensus has stopped".to_owned());
        let mut watch = self.watch_status();
        loop {
            let ended = |status: &Status| status.is_leader() || status.role == Role::Stopped;
            let status = watch.wait_for(ended).await.map_err(|_| stopped())?.clone();
            if !status.is_leader() {
                return Err(status.failure.map_or_else(stopped, Fatal));
            }
            // Entries of earlier terms are applied with the first one of the own term.
            if self.read_barrier().await.is_ok() {
                return Ok(());
            }
            // No change has to come: openraft may not be ready for reads although it leads.
            if let Ok(changed) = timeout(READ_AGAIN_AFTER, watch.changed()).await {
                changed.map_err(|_| stopped())?;
            }
        }
    }

    /// Writes a checkpoint of all that is applied, and waits until it is on disk.
    ///
    /// # Errors
    ///
    /// [`Fatal`]: it cannot be written, or the server stops.
    pub async fn checkpoint_now(&self) -> Result<(), Fatal> {
        loop {
            self.checkpoints.wait_until_idle().await;
            if self.raft.begin_checkpoint().await? {
                break;
            }
        }
        self.checkpoints.wait_until_idle().await;
        self.checkpoints.failure().map_or(Ok(()), |failure| Err(Fatal(failure)))
    }

    /// The newest version that all members are known to read: what the leader may write.
    pub fn common_version(&self) -> u16 {
        self.peers.dialer.common_version(self.others().into_iter())
    }

    /// Whether new writes should be refused because the disk is (nearly) full. What was accepted
    /// before completes when space returns.
    pub fn disk_full(&self) -> bool {
        self.dir.disk_full()
    }

    /// The data directory that it writes.
    pub fn data_dir(&self) -> &DataDir {
        &self.dir
    }

    /// Stops taking part. Nothing is applied after this returns.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.dir.state().close();
        self.raft.shutdown().await;
    }
}

impl std::fmt::Debug for Consensus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consensus").field("dir", &self.dir.path()).finish_non_exhaustive()
    }
}

/// Why a server in this state accepts no proposal.
fn refusal(status: &Status) -> Option<ProposeError> {
    match status.role {
        Role::Leader => None,
        Role::Stopped => Some(ProposeError::Stopped),
        Role::Learner | Role::Follower | Role::Candidate => {
            Some(ProposeError::NotLeader { hint: status.leader.map(|leader| leader.number) })
        }
    }
}

/// openraft's handle without the type of the state machine.
pub(crate) trait Handle: Send + Sync {
    fn propose(
        &self,
        batch: Batch,
        responder: Option<Responder>,
    ) -> BoxFuture<'_, Result<(), ProposeError>>;
    /// What this server knows as the leader, if it takes reads now.
    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>>;
    /// Whether this server follows `leader` in `term`, and has promised no later term its vote.
    fn follows(&self, leader: u64, term: u64) -> BoxFuture<'_, bool>;
    fn wait_applied(&self, at: LogPosition) -> BoxFuture<'_, Result<(), ReadError>>;
    fn begin_next_term(&self, heir: Option<u64>) -> BoxFuture<'_, ()>;
    fn begin_checkpoint(&self) -> BoxFuture<'_, Result<bool, Fatal>>;
    /// Changes voters and other servers; removed voters go on as servers without a vote. Returns
    /// when the change is committed.
    fn change_members(&self, change: ChangeMembers) -> BoxFuture<'_, Result<(), ChangeFailed>>;
    fn shutdown(&self) -> BoxFuture<'_, ()>;
    fn metrics(&self) -> RaftMetrics<TypeConfig>;
}

impl Handle for Raft<TypeConfig, Machine> {
    fn propose(
        &self,
        batch: Batch,
        responder: Option<Responder>,
    ) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async move {
            let queued = self.client_write_ff(batch, responder).await;
            queued.map_err(|_| ProposeError::Stopped)
        })
    }

    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>> {
        Box::pin(async move {
            let own = *self.node_id();
            // Sends nothing and waits for nothing. Reads wait while the lead is handed over: a heartbeat would keep
            // the others from electing the heir.
            let option = LinearizerOption::new(Some(Duration::ZERO), false);
            let taken = self.get_read_linearizer(option.with_wait_timeout(Duration::ZERO));
            let lead = self.with_raft_state(move |state| LeaderView::of(state, own));
            let (taken, lead) = tokio::join!(taken, lead);
            match taken {
                Ok(_) | Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {}
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                    let hint = forward.leader_id.map(MemberId::number_of);
                    return Err(ReadError::NotLeader { hint });
                }
                Err(RaftError::Fatal(_)) => return Err(ReadError::Stopped),
            }
            let lead = lead.map_err(|_| ReadError::Stopped)?;
            lead.ok_or(ReadError::NotLeader { hint: None })
        })
    }

    fn follows(&self, leader: u64, term: u64) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let vote = self.with_raft_state(|state| *state.vote_ref()).await;
            let follows = |vote: RaftVote| {
                vote.committed && vote.leader_id.term == term && vote.leader_id.voted_for == leader
            };
            vote.is_ok_and(follows)
        })
    }

    fn wait_applied(&self, at: LogPosition) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let mut applied = self.watch_apply_progress();
            let reached = applied.wait_until_ge(&Some(log_id(at))).await;
            reached.map(drop).map_err(|_| ReadError::Stopped)
        })
    }

    fn begin_next_term(&self, heir: Option<u64>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let begun = match heir {
                Some(heir) => self.trigger().transfer_leader(heir).await,
                None => self.trigger().elect(false).await,
            };
            if let Err(error) = begun {
                tracing::debug!(%error, "no new term begins");
            }
        })
    }

    fn begin_checkpoint(&self) -> BoxFuture<'_, Result<bool, Fatal>> {
        Box::pin(async move {
            self.with_state_machine(|machine| {
                let begun = machine.begin_checkpoint();
                Box::pin(async move { begun })
            })
            .await
            .map_err(|error| Fatal(error.to_string()))
        })
    }

    fn change_members(&self, change: ChangeMembers) -> BoxFuture<'_, Result<(), ChangeFailed>> {
        Box::pin(async move {
            let changed = self.change_membership(change, true).await;
            changed.map(drop).map_err(|error| ChangeFailed(error.to_string()))
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = Self::shutdown(self).await {
                tracing::warn!(%error, "the consensus did not end in order");
            }
        })
    }

    fn metrics(&self) -> RaftMetrics<TypeConfig> {
        Self::metrics(self).borrow_watched().clone()
    }
}

/// Publishes changes of role, term and leader until the consensus ends, and why it ended.
async fn follow_status(raft: Raft<TypeConfig, Machine>, sender: watch::Sender<Status>) {
    let mut server = raft.server_metrics();
    let metrics = raft.metrics();
    loop {
        let ended = server.changed().await.is_err();
        let mut status = Status::new(&metrics.borrow_watched());
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

/// Tells openraft of each checkpoint that is on disk, so that it purges the log.
async fn follow_checkpoints(
    raft: Raft<TypeConfig, Machine>,
    mut written: mpsc::UnboundedReceiver<()>,
) {
    while written.recv().await.is_some() {
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}
