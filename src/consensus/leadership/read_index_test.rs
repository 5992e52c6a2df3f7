use std::collections::BTreeMap;

use kernel::ensemble::MemberId;
use openraft::async_runtime::WatchReceiver as _;
use openraft::raft::AppendEntriesResponse;
use openraft::{BasicNode, Config, Raft, RaftMetrics, SnapshotPolicy};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::check_quorum::QuorumCheck;
use super::*;
use crate::consensus::error::{Fatal, ProposeError};
use crate::consensus::raft::checkpoints::Checkpoints;
use crate::consensus::raft::handle::{BoxFuture, Responder};
use crate::consensus::raft::log_store::LogStore;
use crate::consensus::raft::members::ChangeFailed;
use crate::consensus::raft::state_machine::tests::Nothing;
use crate::consensus::raft::state_machine::{CheckpointLimits, Machine};
use crate::consensus::raft::types::Batch;
use crate::consensus::raft::types::ChangeMembers;
use crate::consensus::raft::types::Entry;
use crate::consensus::raft::types::LogId;
use crate::consensus::raft::types::log_id;
use crate::consensus::status::Role;
use crate::consensus::status::lease_age;
use crate::consensus::status::role;
use crate::consensus::transport::puppet::Held;
use crate::consensus::transport::puppet::Hold;
use crate::consensus::transport::puppet::Puppet;
use crate::consensus::transport::puppet::dialer;
use crate::consensus::transport::{Leadership, Peers};
use crate::storage::{DataDir, OpenOptions};

/// No condition is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long a test makes sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(200);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

type Read = JoinHandle<Result<LogPosition, ReadError>>;

/// A leader, server 1, whose followers 2 and 3 answer what the test wants.
struct Fixture {
    raft: Raft<TypeConfig, Machine>,
    reads: ReadIndex,
    two: Puppet,
    three: Puppet,
    _dir: TempDir,
}

impl Fixture {
    /// The others hold their answers as said from the first one on.
    async fn new(hold: Hold) -> Self {
        let (two, three) = (Puppet::start(2).await, Puppet::start(3).await);
        two.hold(hold);
        three.hold(hold);
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path(), &OpenOptions::new(1)).unwrap();
        let (written, _) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), written).unwrap();
        let limits = CheckpointLimits { bytes: u64::MAX, entries: u64::MAX };
        let machine = Machine::new(Box::new(Nothing), &dir, checkpoints, limits, 0).unwrap();
        let config = Config {
            // Seldom, so that none of openraft's comes in between.
            heartbeat_interval: 3000,
            election_timeout_min: 8000,
            election_timeout_max: 9000,
            snapshot_policy: SnapshotPolicy::Never,
            ..Config::default()
        };
        let reads = ReadIndex::new(1, Timings::default());
        let leadership =
            Leadership { quorum_check: QuorumCheck::default(), read_index: reads.clone() };
        let raft = Raft::<TypeConfig, Machine>::new(
            1,
            Arc::new(config.validate().unwrap()),
            Peers::new(dialer(1), leadership),
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
            while role(metrics.borrow_watched().state) != Role::Leader {
                metrics.changed().await.unwrap();
            }
        })
        .await;
        Self { raft, reads, two, three, _dir: temp }
    }

    /// Waits until the first entry of the term is applied.
    async fn settle(&self) {
        within("the first entry", async {
            let outcome = self.raft.client_write(Batch(Default::default()));
            // A new leader refuses entries until a majority has answered it once.
            if outcome.await.is_err() {
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
            let status = watch::Sender::new(Status::new(&raft.metrics().borrow_watched()));
            reads.confirm(&raft, status.subscribe(), asker).await
        })
    }

    /// Waits until so many reads have begun.
    async fn has_begun(&self, count: u64) {
        within("a read to begin", async {
            while self.reads.0.round.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until openraft takes it for known that a majority answered what was sent after `at`.
    async fn openraft_confirms(&self, at: Instant) {
        let mut metrics = self.raft.metrics();
        within("openraft's clock", async {
            while lease_age(&metrics.borrow_watched()).is_none_or(|age| age >= at.elapsed()) {
                metrics.changed().await.unwrap();
            }
        })
        .await;
    }
}

/// Whether a read asked for this heartbeat: one of openraft names the entry that the other one is known to have.
fn of_a_read(held: &Held) -> bool {
    held.rpc.entries.is_empty() && held.rpc.prev_log_id.is_none()
}

/// A read while two requests that end at the same entry are on their way to server 3, one sent before the read and one
/// after it, of which the first was answered. `None` where the leader had to connect again in between.
async fn answered_late(fixture: &mut Fixture) -> Option<(LogId, Read)> {
    fixture.settle().await;
    fixture.two.hold(Hold::All);
    fixture.three.hold(Hold::All);
    fixture.raft.client_write_ff(Batch(Default::default()), None).await.unwrap();
    let has_entries = |held: &Held| !held.rpc.entries.is_empty();
    let to_two = within("the entry at 2", fixture.two.next(has_entries)).await;
    let to_three = within("the entry at 3", fixture.three.next(has_entries)).await;
    let entry = to_three.rpc.entries[0].log_id;

    let (began, read) = (Instant::now(), fixture.read(None));
    fixture.has_begun(1).await;
    fixture.two.answer(to_two, AppendEntriesResponse::Success);
    let only_commits =
        |held: &Held| held.rpc.entries.is_empty() && held.rpc.leader_commit == Some(entry);
    let commits = within("the commit at 3", fixture.three.next(only_commits)).await;
    if commits.connection != to_three.connection {
        return None;
    }
    fixture.three.answer(to_three, AppendEntriesResponse::Success);
    fixture.openraft_confirms(began).await;
    // The second one is never answered.
    drop(commits);
    Some((entry, read))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_what_was_sent_before_a_read_do_not_confirm_it() {
    // Not even where openraft takes them for answers to something newer.
    let (mut fixture, entry, mut read) = within("an answer that comes late", async {
        loop {
            let mut fixture = Fixture::new(Hold::Nothing).await;
            if let Some((entry, read)) = answered_late(&mut fixture).await {
                break (fixture, entry, read);
            }
        }
    })
    .await;
    let confirmed = timeout(SILENCE, &mut read).await;
    assert!(confirmed.is_err(), "confirmed by what was sent before: {confirmed:?}");

    // A server that knows a later term confirms nothing.
    let asked_of_two = within("a heartbeat at 2", fixture.two.next(of_a_read)).await;
    let asked_of_three = within("a heartbeat at 3", fixture.three.next(of_a_read)).await;
    let later = RaftVote::new(9, 3);
    fixture.three.answer(asked_of_three, AppendEntriesResponse::HigherVote(later));
    let confirmed = timeout(SILENCE, &mut read).await;
    assert!(confirmed.is_err(), "confirmed by a refusal: {confirmed:?}");
    fixture.two.answer(asked_of_two, AppendEntriesResponse::Success);
    let index = within("the read", read).await.unwrap().unwrap();
    assert!(index <= position(&entry), "{index:?}");
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
    let term = fixture.raft.metrics().borrow_watched().current_term;
    let first = within("the first entry", fixture.two.next(|_| true)).await;
    let is_of_term = |entry: &Entry| entry.log_id.leader_id.term == term;
    let first_of_term = first.rpc.entries.iter().find(|entry| is_of_term(entry)).unwrap();
    assert_eq!(index, position(&first_of_term.log_id));
    fixture.two.answer(first, AppendEntriesResponse::Success);
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

/// A leader that needs no network: it is told who answered.
struct Told {
    leader: LeaderView,
    reads: ReadIndex,
    status: watch::Sender<Status>,
}

impl Told {
    /// Server 1 as leader of term 5, with these sets of voters.
    fn new(voters: &[&[u64]]) -> Self {
        let index = LogPosition { term: 5, index: 70 };
        let vote = RaftVote { committed: true, ..RaftVote::new(5, 1) };
        let voters = voters.iter().map(|set| set.iter().copied().collect()).collect();
        let leader = LeaderView { vote, index, committed: Some(log_id(index)), voters };
        let reads = ReadIndex::new(1, Timings::default());
        Self { leader, reads, status: watch::Sender::new(status(Role::Leader, 5, Some(1))) }
    }

    /// Lets `server` have answered what is written now.
    fn answer(&self, server: u64) {
        self.reads.note_answer(server, self.reads.stamp(5));
    }

    /// Begins a read, and returns when it waits.
    async fn read(&self, asker: Option<LeadershipAck>) -> Read {
        let (reads, status, lead) =
            (self.reads.clone(), self.status.subscribe(), Leads(self.leader.clone()));
        let read = tokio::spawn(async move { reads.confirm(&lead, status, asker).await });
        tokio::task::yield_now().await;
        read
    }
}

fn status(role: Role, term: u64, leader: Option<u64>) -> Status {
    Status {
        role,
        term,
        leader: leader.map(MemberId::from_raft_id),
        last_log_index: None,
        committed: None,
        last_applied: None,
        checkpoint: None,
        purged: None,
        failure: None,
    }
}

/// A consensus that is asked for nothing but its view as the leader.
struct Leads(LeaderView);

impl Handle for Leads {
    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn propose(&self, _: Batch, _: Option<Responder>) -> BoxFuture<'_, Result<(), ProposeError>> {
        unreachable!()
    }

    fn follows(&self, _: u64, _: u64) -> BoxFuture<'_, bool> {
        unreachable!()
    }

    fn wait_applied(&self, _: LogPosition) -> BoxFuture<'_, Result<(), ReadError>> {
        unreachable!()
    }

    fn begin_next_term(&self, _: Option<u64>) -> BoxFuture<'_, ()> {
        unreachable!()
    }

    fn begin_checkpoint(&self) -> BoxFuture<'_, Result<bool, Fatal>> {
        unreachable!()
    }

    fn change_members(&self, _: ChangeMembers) -> BoxFuture<'_, Result<(), ChangeFailed>> {
        unreachable!()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        unreachable!()
    }

    fn metrics(&self) -> RaftMetrics<TypeConfig> {
        unreachable!()
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_a_majority_of_the_old_voters_and_one_of_the_new() {
    // What was written before it does not count, nor does who has no vote.
    let told = Told::new(&[&[1, 2, 3], &[1, 4, 5]]);
    let before = told.reads.stamp(5);
    let read = told.read(None).await;
    for server in 2..=5 {
        told.reads.note_answer(server, before);
    }
    told.answer(2);
    told.answer(9);
    tokio::task::yield_now().await;
    assert!(!read.is_finished());
    told.answer(5);
    assert_eq!(read.await.unwrap(), Ok(told.leader.index));
}

#[tokio::test(start_paused = true)]
async fn a_leader_alone_confirms_its_reads_itself() {
    // Nobody else has a vote.
    assert!(Told::new(&[&[1]]).read(None).await.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_asks_counts_for_its_own_read_alone() {
    // It is one of the majority of its read, if it acknowledges the same term and has a vote. A read of another server
    // may have begun after its acknowledgement.
    let told = Told::new(&[&[1, 2, 3]]);
    let ack = |server, term| Some(LeadershipAck { server, term });
    let other = told.read(None).await;
    assert_eq!(told.read(ack(2, 5)).await.await.unwrap(), Ok(told.leader.index));
    let of_another_term = told.read(ack(2, 4)).await;
    let without_vote = told.read(ack(7, 5)).await;
    assert!(!other.is_finished() && !of_another_term.is_finished() && !without_vote.is_finished());
    told.answer(3);
    assert!(other.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_with_the_lead_or_when_nobody_answers() {
    // It fails at once when another term has begun, and after two seconds without a majority; answers to what
    // another term sent do not confirm it.
    let told = Told::new(&[&[1, 2, 3]]);
    let (begun, unanswered) = (Instant::now(), told.read(None).await);
    told.reads.note_answer(2, told.reads.stamp(4));
    told.reads.note_answer(3, told.reads.stamp(6));
    assert_eq!(unanswered.await.unwrap(), Err(ReadError::NoQuorum));
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    let read = told.read(None).await;
    told.status.send_replace(status(Role::Follower, 6, Some(3)));
    assert_eq!(read.await.unwrap(), Err(ReadError::NotLeader { hint: Some(3) }));
}

#[tokio::test(start_paused = true)]
async fn contact_is_as_old_as_what_the_majority_answered() {
    // Not as old as the answers: those may have been on their way for long.
    let told = Told::new(&[&[1, 2, 3]]);
    let since = |term| told.reads.since_quorum(term, &told.leader.voters);
    assert_eq!(since(5), None);
    let stamp = told.reads.stamp(5);
    tokio::time::advance(Duration::from_secs(3)).await;
    told.reads.note_answer(2, stamp);
    assert_eq!(since(5), Some(Duration::from_secs(3)));
    assert_eq!(since(6), None, "nothing is known of another term");
    told.answer(3);
    assert_eq!(since(5), Some(Duration::ZERO));
    told.reads.note_answer(3, stamp);
    assert_eq!(since(5), Some(Duration::ZERO), "an older answer takes nothing away");
}

/// What happens in an ensemble where server 1 leads now and then.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// The next term begins.
    Term,
    /// A read begins.
    Read,
    /// The first byte of a request to this server is written.
    Write(u64),
    /// A request is answered, whichever: connections are independent. Or it is refused.
    Answer(usize, bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => Just(Happens::Term),
        4 => Just(Happens::Read),
        8 => (2..=7_u64).prop_map(Happens::Write),
        8 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(at, kept)| Happens::Answer(at, kept)),
    ]
}

/// A request that was written.
#[derive(Clone, Copy)]
struct Written {
    to: u64,
    term: u64,
    /// What had happened before it.
    after: usize,
    stamp: RequestStamp,
}

/// All that happened, kept as it was.
#[derive(Default)]
struct Naive {
    open: Vec<Written>,
    answered: Vec<Written>,
}

impl Naive {
    /// Whether a majority of each set has answered a request of this term that was written after so much had
    /// happened.
    fn confirms(&self, sets: &[BTreeSet<u64>], term: u64, after: usize) -> bool {
        let has = |server: &&u64| {
            **server == 1
                || self.answered.iter().any(|written| {
                    written.to == **server && written.term == term && written.after >= after
                })
        };
        sets.iter().all(|set| set.iter().filter(has).count() * 2 > set.len())
    }
}

proptest! {
    #[test]
    fn answers_confirm_what_a_majority_answered(
        events in prop::collection::vec(happens(), 1..200),
        sets in prop::collection::vec(prop::collection::btree_set(1..=7_u64, 1..6), 1..3),
    ) {
        // A read is confirmed as soon as a majority of each set of voters has answered something that was written
        // after it began, and not before; the time of contact is the last one of which that is true.
        let (start, mut naive, mut answered) = (Instant::now(), Naive::default(), AnsweredRequests::default());
        let (mut term, mut round, mut reads) = (1, 0, Vec::new());
        for (count, event) in events.into_iter().enumerate() {
            let at = start + Duration::from_millis(count as u64);
            match event {
                Happens::Term => term += 1,
                Happens::Read => {
                    round += 1;
                    reads.push((term, round, count));
                }
                Happens::Write(to) => {
                    let stamp = RequestStamp { term, round, at };
                    naive.open.push(Written { to, term, after: count, stamp });
                }
                Happens::Answer(..) if naive.open.is_empty() => {}
                Happens::Answer(which, kept) => {
                    let written = naive.open.remove(which % naive.open.len());
                    if kept {
                        answered.note_answer(written.to, written.stamp);
                        naive.answered.push(written);
                    }
                }
            }
            for (of, round, after) in &reads {
                let has = |server| server == 1 || answered.has_answered(server, *of, *round);
                let confirmed = is_majority(&sets, has);
                let right = naive.confirms(&sets, *of, *after);
                // What is known of terms that are over may be forgotten.
                prop_assert!(confirmed == right || (*of < term && !confirmed));
            }
            let known = answered.quorum_at((1, at), term, &sets);
            let moments = (0..=count).rev();
            let right = moments.into_iter().find(|after| naive.confirms(&sets, term, *after));
            let right = right.map(|after| start + Duration::from_millis(after as u64));
            prop_assert_eq!(known, right);
        }
    }
}
