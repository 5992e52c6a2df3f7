use futures_util::future::BoxFuture;
use kernel::ensemble::MemberId;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::super::raft_leader::RaftView;
use super::*;
use crate::consensus::status::Role;

type Read = JoinHandle<Result<LogPosition, ReadError>>;

/// A leader that needs no network: it is told who answered.
struct Told {
    leader: LeaderView,
    contact: Contact,
    reads: ReadIndex,
    status: watch::Sender<Status>,
}

impl Told {
    /// Server 1 as leader of term 5, with these sets of voters.
    fn new(voters: &[&[u64]]) -> Self {
        let index = LogPosition { term: 5, index: 70 };
        let vote = Vote { term: 5, server: 1, committed: true };
        let voters = voters.iter().map(|set| set.iter().copied().collect()).collect();
        let leader = LeaderView { vote, index, committed: Some(index), voters };
        let contact = Contact::new(1);
        let reads = ReadIndex::new(contact.clone(), Timings::default());
        Self {
            leader,
            contact,
            reads,
            status: watch::Sender::new(status(Role::Leader, 5, Some(1))),
        }
    }

    /// Lets `server` have answered what is written now.
    fn answer(&self, server: u64) {
        self.contact.note_answer(server, self.reads.stamp(5));
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

/// A Raft that is asked for nothing but what it knows as the leader.
struct Leads(LeaderView);

impl RaftLeader for Leads {
    fn leader_view(&self) -> BoxFuture<'_, Result<LeaderView, ReadError>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn view(&self) -> RaftView {
        unreachable!()
    }

    fn pre_vote(&self) -> BoxFuture<'_, Result<(), String>> {
        unreachable!()
    }

    fn append_noop(&self) -> BoxFuture<'_, bool> {
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
        told.contact.note_answer(server, before);
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
    // It is one of the majority of its read, if it acknowledges the same term and has a vote. A read of another
    // server may have begun after its acknowledgement.
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
    told.contact.note_answer(2, told.reads.stamp(4));
    told.contact.note_answer(3, told.reads.stamp(6));
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
    let since = |term| told.contact.since_quorum(term, &told.leader.voters);
    assert_eq!(since(5), None);
    let stamp = told.reads.stamp(5);
    tokio::time::advance(Duration::from_secs(3)).await;
    told.contact.note_answer(2, stamp);
    assert_eq!(since(5), Some(Duration::from_secs(3)));
    assert_eq!(since(6), None, "nothing is known of another term");
    told.answer(3);
    assert_eq!(since(5), Some(Duration::ZERO));
    told.contact.note_answer(3, stamp);
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
    stamp: RequestMark,
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
                    let stamp = RequestMark { term, round, at };
                    naive.open.push(Written { to, term, after: count, stamp });
                }
                Happens::Answer(..) if naive.open.is_empty() => {}
                Happens::Answer(which, kept) => {
                    let written = naive.open.remove(which % naive.open.len());
                    if kept {
                        answered.note(written.to, written.stamp);
                        naive.answered.push(written);
                    }
                }
            }
            for (of, round, after) in &reads {
                let has = |server| server == 1 || answered.has(server, *of, *round);
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
