//! The running consensus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::leadership::timings::Timings;
use super::members::{ChangeFailed, Members};
use super::raft::Checkpoints;
use super::raft::{ProposalOutcome, RaftNode};
use crate::consensus::bootstrap::Bootstrap;
use crate::consensus::bootstrap::admission::Admissions;
use crate::consensus::error::{Fatal, ProposeError, ReadError};
use crate::consensus::leadership::contact::Contact;
use crate::consensus::leadership::lease_keepalive::LeaseKeeper;
use crate::consensus::leadership::raft_leader::RaftLeader as _;
use crate::consensus::leadership::read_index::{LeadershipAck, ReadIndex};
use crate::consensus::status::{Role, Status};
use crate::consensus::transport::{Dialer, ForwardConn, PeerStream, Purpose};
use crate::env::task;
use crate::env::time::timeout;
use crate::storage::{DataDir, LogPosition};

/// How soon a read that could not be had is tried again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A started consensus. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) raft: RaftNode,
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
    /// Connections of followers that forward requests, for `forward::server`.
    pub(crate) forwards: Mutex<Option<mpsc::Receiver<ForwardConn>>>,
    /// What keeps the lease where they answer late.
    pub(crate) lease_keeper: LeaseKeeper,
    pub(crate) bootstrap: Bootstrap,
    /// Who was heard from when.
    pub(crate) contact: Contact,
    /// What confirms reads.
    pub(crate) read_index: ReadIndex,
    pub(crate) timings: Timings,
}

impl Consensus {
    pub(crate) fn new(
        raft: RaftNode,
        dir: DataDir,
        checkpoints: Arc<Checkpoints>,
        stop: CancellationToken,
        peers: PeerSide,
    ) -> Self {
        let status = raft.watch_status();
        task::spawn(peers.lease_keeper.clone().run(Arc::new(raft.clone()), stop.clone()));
        Self { raft, dir, checkpoints, status, stop, peers: Arc::new(peers) }
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
            None => self.raft.propose(entry).await,
        }
    }

    /// As [`Consensus::propose`], also on a full disk, where it waits; the outcome can be waited
    /// for.
    pub(crate) async fn submit(&self, entry: Bytes) -> Result<ProposalOutcome, ProposeError> {
        let refused = refusal(&self.status.borrow());
        if let Some(error) = refused {
            return Err(error);
        }
        self.raft.submit(entry).await
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
        self.peers.read_index.confirm(&self.raft, self.status.clone(), asker).await
    }

    /// Whether this server follows `leader` in `term`, and has promised no later term its vote.
    pub(crate) async fn follows(&self, leader: u64, term: u64) -> bool {
        self.raft.follows(leader, term).await
    }

    /// How long things may take.
    pub(crate) fn timings(&self) -> &Timings {
        &self.peers.timings
    }

    /// How long a read barrier may take before it is worth another try.
    pub fn barrier_within(&self) -> Duration {
        self.peers.timings.barrier_within()
    }

    /// Waits until the entry at this position is applied here.
    pub(crate) async fn wait_applied(&self, at: LogPosition) -> Result<(), ReadError> {
        self.raft.wait_applied(at).await
    }

    /// How long ago a majority is known to have stood behind this server as the leader: so long ago was written
    /// what it has answered. `None` where this server does not lead, or no majority has answered yet.
    pub(crate) fn since_quorum(&self) -> Option<Duration> {
        let view = self.raft.view();
        let term = view.term_led()?;
        self.peers.contact.since_quorum(term, &view.voters)
    }

    /// Who was heard from when.
    pub(crate) fn contact(&self) -> &Contact {
        &self.peers.contact
    }

    /// The age of the last moment of which this server knows that a majority stood behind its leader (or
    /// behind itself, where it leads).
    pub(crate) fn without_contact(&self) -> Duration {
        let quorum = self.peers.contact.quorum();
        if let Some(age) = self.since_quorum() {
            quorum.note_age(age);
        }
        quorum.age()
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
        self.peers.bootstrap.admissions()
    }

    /// The name of the ensemble, where the replicated state has none yet.
    pub fn first_name(&self) -> u128 {
        self.peers.bootstrap.name()
    }

    /// Waits until this server cannot belong to any ensemble; returns why.
    pub async fn excluded(&self) -> String {
        let mut ended = self.peers.bootstrap.ended();
        let why = ended.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// Connects to a member, by its id, where the configuration, or this server's own, says that it is.
    pub(crate) async fn dial(&self, server: u64, purpose: Purpose) -> Option<PeerStream> {
        let address = self.raft.address_of(server)?;
        self.peers.dialer.dial(server, &address, purpose).await.ok()
    }

    /// The ids of all other members, with and without a vote.
    pub(crate) fn others(&self) -> BTreeSet<u64> {
        let mut members = self.raft.member_ids();
        members.remove(&self.peers.member.raft_id());
        members
    }

    /// Has the next term begin: another server takes over the lead, the one that is nearest; a server
    /// on its own begins it itself. Nothing happens where this server does not lead.
    pub async fn begin_next_term(&self) {
        if self.raft.view().role == Role::Leader {
            self.raft.begin_next_term(self.raft.nearest_voter()).await;
        }
    }

    /// Who takes part.
    pub fn members(&self) -> Members {
        self.raft.members()
    }

    /// Lets servers take part without a vote; who takes part already gets this address. Returns
    /// when that is committed.
    ///
    /// # Errors
    /// [`ChangeFailed`]: this server does not lead, or another change is under way.
    pub async fn set_servers(
        &self,
        servers: BTreeMap<MemberId, String>,
    ) -> Result<(), ChangeFailed> {
        self.raft.set_servers(servers).await
    }

    /// Drops servers that have no vote. Returns when that is committed.
    ///
    /// # Errors
    /// [`ChangeFailed`]: as [`Self::set_servers`], or one of them votes.
    pub async fn drop_servers(&self, servers: BTreeSet<MemberId>) -> Result<(), ChangeFailed> {
        self.raft.drop_servers(servers).await
    }

    /// Makes these the voters: first old and new together, then the new alone. Who loses its vote
    /// goes on without one. Each of them must take part already. Returns when all is committed; if
    /// it is given up half-way, [`Members::joint`] says so and another call finishes it.
    ///
    /// # Errors
    /// [`ChangeFailed`]: as [`Self::set_servers`], or one of them does not take part.
    pub async fn set_voters(&self, voters: BTreeSet<MemberId>) -> Result<(), ChangeFailed> {
        self.raft.set_voters(voters).await
    }

    /// Asks another voter to lead. This server accepts no proposals from here on.
    pub async fn hand_over_to(&self, server: MemberId) {
        self.raft.begin_next_term(Some(server.raft_id())).await;
    }

    /// The connections that followers make; once.
    pub(crate) fn take_forwards(&self) -> Option<mpsc::Receiver<ForwardConn>> {
        self.peers.forwards.lock().take()
    }

    /// What this server knows at the moment.
    pub fn status(&self) -> Status {
        self.raft.status()
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
        Role::Observer | Role::Follower | Role::Candidate => {
            Some(ProposeError::NotLeader { hint: status.leader.map(|leader| leader.number) })
        }
    }
}
