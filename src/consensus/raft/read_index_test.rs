//! Reads of a leader, over openraft and real connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver as _;
use openraft::{BasicNode, Config, SnapshotPolicy};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::checkpoints::Checkpoints;
use super::log_store::LogStore;
use super::network::RaftNetwork;
use super::node::{Raft, RaftNode};
use super::state_machine_store::tests::Nothing;
use super::state_machine_store::{CheckpointLimits, StateMachineStore};
use crate::consensus::error::ReadError;
use crate::consensus::leadership::contact::Contact;
use crate::consensus::leadership::raft_leader::RaftLeader as _;
use crate::consensus::leadership::read_index::{LeadershipAck, ReadIndex};
use crate::consensus::leadership::timings::Timings;
use crate::consensus::transport::message::{AppendResponse, Entry};
use crate::consensus::transport::scripted_peer::{Held, Hold, ScriptedPeer, dialer};
use crate::consensus::transport::{LeadershipHandles, Peers};
use crate::storage::{DataDir, LogPosition, OpenOptions, Vote};

/// No condition is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// How long one attempt to bring about an answer that comes late may take. On a busy machine a request may go before
/// the one that the test waits for has come; then the next attempt begins anew.
const ATTEMPT: Duration = Duration::from_secs(5);

type Read = JoinHandle<Result<LogPosition, ReadError>>;

/// How long a test makes sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(200);

/// A leader, server 1, whose followers 2 and 3 answer what the test wants.
struct Fixture {
    raft: RaftNode,
    reads: ReadIndex,
    two: ScriptedPeer,
    three: ScriptedPeer,
    _dir: TempDir,
}

impl Fixture {
    /// The others hold their answers as said from the first one on.
    async fn new(hold: Hold) -> Self {
        let (two, three) = (ScriptedPeer::start(2).await, ScriptedPeer::start(3).await);
        two.hold(hold);
        three.hold(hold);
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path(), &OpenOptions::new(1)).unwrap();
        let (written, _) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), written).unwrap();
        let limits = CheckpointLimits { bytes: u64::MAX, entries: u64::MAX };
        let machine =
            StateMachineStore::new(Box::new(Nothing), &dir, checkpoints, limits, 0).unwrap();
        let config = Config {
            // Seldom, so that none of openraft's comes in between.
            heartbeat_interval: 3000,
            election_timeout_min: 8000,
            election_timeout_max: 9000,
            snapshot_policy: SnapshotPolicy::Never,
            ..Config::default()
        };
        // A machine that is busy must neither end a read nor break a connection before the test has looked.
        let timings = Timings { election_max: DEADLINE, ..Timings::default() };
        let leadership = LeadershipHandles::new(Contact::new(1), timings);
        let reads = leadership.read_index.clone();
        let raft = Raft::new(
            1,
            Arc::new(config.validate().unwrap()),
            RaftNetwork(Peers::new(dialer(1).with_timings(timings), leadership)),
            LogStore::new(dir.log().clone()),
            machine,
        )
        .await
        .unwrap();
        let address = |id| match id {
            2 => two.address.as_str(),
            3 => three.address.as_str(),
            _ => "nowhere",
        };
        let members: BTreeMap<u64, BasicNode> =
            (1..=3).map(|id| (id, BasicNode::new(address(id)))).collect();
        raft.initialize(members).await.unwrap();
        let mut metrics = raft.metrics();
        within("a leader", async {
            while !metrics.borrow_watched().state.is_leader() {
                metrics.changed().await.unwrap();
            }
        })
        .await;
        let raft = RaftNode::new(raft);
        Self { raft, reads, two, three, _dir: temp }
    }

    /// Waits until the first entry of the term is applied.
    async fn settle(&self) {
        within("the first entry", async {
            let mut outcome = self.raft.submit(Bytes::new()).await.unwrap();
            // A new leader refuses entries until a majority has answered it once.
            if !outcome.applied().await {
                let leader = self.raft.leader_view().await.unwrap();
                self.raft.wait_applied(leader.index).await.unwrap();
            }
        })
        .await;
    }

    /// Begins a read.
    fn read(&self, asker: Option<LeadershipAck>) -> Read {
        let (raft, reads) = (self.raft.clone(), self.reads.clone());
        tokio::spawn(async move {
            let status = watch::Sender::new(raft.status());
            reads.confirm(&raft, status.subscribe(), asker).await
        })
    }

    /// Waits until so many reads have begun.
    async fn has_begun(&self, count: u64) {
        within("a read to begin", async {
            while self.reads.rounds_begun() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until openraft takes it for known that a majority answered what was sent after `at`.
    async fn openraft_confirms(&self, at: Instant) {
        let mut metrics = self.raft.raft.metrics();
        within("openraft's clock", async {
            while self.raft.view().lease_age.is_none_or(|age| age >= at.elapsed()) {
                metrics.changed().await.unwrap();
            }
        })
        .await;
    }
}

/// Whether a read asked for this heartbeat: one of openraft names the entry that the other one is known to have.
fn of_a_read(held: &Held) -> bool {
    held.rpc.entries.is_empty() && held.rpc.prev.is_none()
}

/// A read while two requests that end at the same entry are on their way to server 3, one sent before the read and one
/// after it, of which the first was answered. `None` where the leader had to connect again in between.
async fn answered_late(fixture: &mut Fixture) -> Option<(LogPosition, Read)> {
    fixture.settle().await;
    fixture.two.hold(Hold::All);
    fixture.three.hold(Hold::All);
    fixture.raft.propose(Bytes::new()).await.unwrap();
    let has_entries = |held: &Held| !held.rpc.entries.is_empty();
    let to_two = within("the entry at 2", fixture.two.next(has_entries)).await;
    let to_three = within("the entry at 3", fixture.three.next(has_entries)).await;
    let entry = to_three.rpc.entries[0].position;

    let (began, read) = (Instant::now(), fixture.read(None));
    fixture.has_begun(1).await;
    fixture.two.answer(to_two, AppendResponse::Success);
    let only_commits =
        |held: &Held| held.rpc.entries.is_empty() && held.rpc.committed == Some(entry);
    let commits = within("the commit at 3", fixture.three.next(only_commits)).await;
    if commits.connection != to_three.connection {
        return None;
    }
    fixture.three.answer(to_three, AppendResponse::Success);
    fixture.openraft_confirms(began).await;
    // The second one is never answered.
    drop(commits);
    Some((entry, read))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_what_was_sent_before_a_read_do_not_confirm_it() {
    // Not even where openraft takes them for answers to something newer.
    let late_answer = async {
        loop {
            let mut fixture = Fixture::new(Hold::Nothing).await;
            let attempt = timeout(ATTEMPT, answered_late(&mut fixture)).await;
            if let Ok(Some((entry, read))) = attempt {
                break (fixture, entry, read);
            }
        }
    };
    let late_answer = timeout(DEADLINE * 3, late_answer).await;
    let (mut fixture, entry, mut read) = late_answer.expect("an answer that comes late");
    let confirmed = timeout(SILENCE, &mut read).await;
    assert!(confirmed.is_err(), "confirmed by what was sent before: {confirmed:?}");

    // A server that knows a later term confirms nothing.
    let asked_of_two = within("a heartbeat at 2", fixture.two.next(of_a_read)).await;
    let asked_of_three = within("a heartbeat at 3", fixture.three.next(of_a_read)).await;
    let later = Vote { term: 9, server: 3, committed: false };
    fixture.three.answer(asked_of_three, AppendResponse::HigherVote(later));
    let confirmed = timeout(SILENCE, &mut read).await;
    assert!(confirmed.is_err(), "confirmed by a refusal: {confirmed:?}");
    fixture.two.answer(asked_of_two, AppendResponse::Success);
    let index = within("the read", read).await.unwrap().unwrap();
    assert!(index <= entry, "{index:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_answers_no_read_before_an_entry_of_its_own_term_is_committed() {
    // The others confirm that it leads, but none has its first entry yet: what earlier terms acknowledged may be
    // unknown to it until then.
    let mut fixture = Fixture::new(Hold::Entries).await;
    let index = within("the read", fixture.read(None)).await.unwrap().unwrap();
    let applied = fixture.raft.wait_applied(index);
    tokio::pin!(applied);
    assert!(timeout(SILENCE, &mut applied).await.is_err(), "{index:?} is not committed");
    let term = fixture.raft.view().term;
    let first = within("the first entry", fixture.two.next(|_| true)).await;
    let is_of_term = |entry: &Entry| entry.position.term == term;
    let first_of_term = first.rpc.entries.iter().find(|entry| is_of_term(entry)).unwrap();
    assert_eq!(index, first_of_term.position);
    fixture.two.answer(first, AppendResponse::Success);
    within("the first entry to be applied", applied).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_of_a_read_goes_again_over_the_next_connection() {
    // A connection that breaks while a read waits for an answer on it costs only the time to make it again.
    let mut fixture = Fixture::new(Hold::Nothing).await;
    fixture.settle().await;
    fixture.three.hold(Hold::All);
    fixture.two.hold(Hold::All);
    let read = fixture.read(None);
    let first = within("a heartbeat", fixture.two.next(of_a_read)).await;
    fixture.two.hold(Hold::Nothing);
    fixture.two.end_connections();
    within("the read", read).await.unwrap().unwrap();
    drop(first);
}
