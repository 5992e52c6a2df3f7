//! Heartbeats to one peer, on a connection that is read all the time.
//!
//! Raft sends one heartbeat after the other, and gives one up when the next is due. Reads ask for heartbeats
//! of their own in between, and wait for none of Raft's. The answer is read when it comes, also if the caller gave up,
//! and counts for reads (`leadership/read_index.rs`).
//!
//! Where each answer comes after the next heartbeat is due, Raft would never hear one, and the leader would
//! lose its lease however well the ensemble works. There a heartbeat is answered with what the peer answered to an
//! earlier one, if that was sent within a lease. So Raft takes the peer's trust for newer than it is, by up to
//! a lease. That is no harm: nothing but whether writes are tried rests on Raft's clock, and a write is acknowledged
//! by a majority or not at all.

use std::collections::VecDeque;
use std::future::pending;
use std::io;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::leadership::read_index::ReadHeartbeat;
use super::append::{Answer, Appended, Sent, answer};
use super::message::{AppendRequest, AppendResponse, Request, Response};
use super::peer::{Peer, Unreachable};
use crate::env::task;
use crate::env::time::Instant;
use crate::storage::Vote;

/// Heartbeats of Raft that may wait for the task.
const WAITING_MAX: usize = 4;

/// So many heartbeats of reads may be unanswered: a peer that is slow is asked once for many reads.
const READS_UNANSWERED_MAX: usize = 32;

/// The way to the task that sends heartbeats to one peer. The task ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Heartbeats(mpsc::Sender<Call>);

/// A heartbeat of Raft, and who waits for its answer.
#[derive(Debug)]
struct Call {
    request: AppendRequest,
    answer: oneshot::Sender<Answer>,
}

impl Heartbeats {
    /// Starts the task over the connection of `peer`.
    pub(super) fn start(peer: Peer) -> Self {
        let (sender, calls) = mpsc::channel(WAITING_MAX);
        let reads = peer.leadership.read_index.heartbeats();
        let task = HeartbeatTask {
            peer,
            calls,
            reads,
            waiting: VecDeque::new(),
            unanswered: VecDeque::new(),
            newest: None,
            reads_unanswered: 0,
            read_sent: None,
            backs_off: false,
        };
        task::spawn(task.run());
        Self(sender)
    }

    /// The answers to these heartbeats. Each waits for the one before it.
    pub(super) fn answers<S>(&self, requests: S) -> impl Stream<Item = Answer> + Send + use<S>
    where
        S: Stream<Item = AppendRequest> + Send + 'static,
    {
        let sender = self.0.clone();
        requests.then(move |request| {
            let sender = sender.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                // The task ends with the lead alone.
                let _ = sender.send(Call { request, answer }).await;
                answered.await.unwrap_or_else(|_| Err(ended()))
            }
        })
    }
}

fn ended() -> Unreachable {
    Unreachable("this server leads no more".to_owned())
}

/// A heartbeat that was written and is not answered.
struct Unanswered {
    vote: Vote,
    at: Instant,
    asker: Asker,
}

/// Who asked for a heartbeat.
enum Asker {
    /// Raft; and who waits for the answer, unless an earlier one stood for it.
    Raft(Sent, Option<oneshot::Sender<Answer>>),
    /// Reads; nobody waits.
    Reads,
}

/// The request of a heartbeat that reads ask for. It names no entry that the peer should have: only the vote is asked
/// about.
fn request_of(heartbeat: &ReadHeartbeat) -> AppendRequest {
    let leader = heartbeat.leader();
    let committed = leader.committed;
    AppendRequest { vote: leader.vote, prev: None, entries: Vec::new(), committed }
}

/// The newest heartbeat that the peer has answered.
struct LastAnswer {
    vote: Vote,
    at: Instant,
    /// The later vote that it knows, if it does.
    later: Option<Vote>,
}

/// Sends heartbeats to one peer.
struct HeartbeatTask {
    peer: Peer,
    calls: mpsc::Receiver<Call>,
    /// The newest heartbeat that reads have asked for.
    reads: watch::Receiver<Option<ReadHeartbeat>>,
    /// Heartbeats of Raft that are not written yet.
    waiting: VecDeque<Call>,
    unanswered: VecDeque<Unanswered>,
    newest: Option<LastAnswer>,
    /// How many unanswered heartbeats are of reads.
    reads_unanswered: usize,
    /// Which heartbeat of reads was written last on this connection: term and round.
    read_sent: Option<(u64, u64)>,
    /// Whether the peer could not be reached, and nothing was asked for since.
    backs_off: bool,
}

/// What happened next.
enum Event {
    Called(Call),
    ReadHeartbeatDue,
    Connected(io::Result<()>),
    Answer(io::Result<Option<Response>>),
}

impl HeartbeatTask {
    async fn run(mut self) {
        while let Some(event) = self.event().await {
            match event {
                Event::Called(ask) => {
                    self.backs_off = false;
                    self.waiting.push_back(ask);
                }
                Event::ReadHeartbeatDue => self.backs_off = false,
                Event::Answer(Ok(Some(response))) => self.answered(response),
                Event::Answer(Ok(None)) | Event::Connected(Ok(())) => {}
                Event::Answer(Err(error)) => self.lost(&error),
                Event::Connected(Err(error)) => {
                    self.backs_off = true;
                    self.lost(&error);
                    self.refuse(&error);
                }
            }
            self.write().await;
        }
    }

    /// Waits for what comes next; `None` when nobody sends any more.
    async fn event(&mut self) -> Option<Event> {
        let is_due = !self.waiting.is_empty() || (self.read_due().is_some() && !self.backs_off);
        let Self { peer, calls, reads, .. } = self;
        let connection = async {
            match &mut peer.link {
                Some(link) => Event::Answer(link.receive(usize::MAX).await),
                None if is_due => Event::Connected(peer.link().await.map(drop)),
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            event = connection => Some(event),
            asked = calls.recv() => asked.map(Event::Called),
            _ = reads.changed() => Some(Event::ReadHeartbeatDue),
        }
    }

    /// The heartbeat that reads wait for, if it was not written on this connection.
    fn read_due(&self) -> Option<ReadHeartbeat> {
        let is_suppressed = self.peer.leadership.quorum_check.suppresses_heartbeats();
        if is_suppressed || self.reads_unanswered >= READS_UNANSWERED_MAX {
            return None;
        }
        let asked = self.reads.borrow();
        let is_due = |asked: &&ReadHeartbeat| {
            asked.concerns(self.peer.target) && self.read_sent < Some(asked.id())
        };
        asked.as_ref().filter(is_due).cloned()
    }

    /// Writes all that is due, where there is a connection.
    async fn write(&mut self) {
        if self.peer.leadership.quorum_check.suppresses_heartbeats() {
            return self.refuse(&"this leader hears nobody and is silent");
        }
        if !self.peer.has_usable_link() {
            return self.lost(&"the connection was given up");
        }
        while let Some(Call { request, answer }) = self.waiting.pop_front() {
            // Given up: the next one is on its way.
            if answer.is_closed() {
                continue;
            }
            let sent = Sent::of(&self.peer, &request);
            let waits = match self.substitute_answer(&request) {
                Some(earlier) => {
                    let _ = answer.send(earlier);
                    None
                }
                None => Some(answer),
            };
            self.send(request, Asker::Raft(sent, waits)).await;
        }
        if let Some(asked) = self.read_due() {
            self.read_sent = Some(asked.id());
            self.reads_unanswered += 1;
            self.send(request_of(&asked), Asker::Reads).await;
        }
    }

    async fn send(&mut self, request: AppendRequest, asker: Asker) {
        let Some(link) = self.peer.link.as_mut() else { return };
        self.unanswered.push_back(Unanswered { vote: request.vote, at: Instant::now(), asker });
        if let Err(error) = link.send(&Request::Append(request)).await {
            self.lost(&error);
        }
    }

    /// What stands for the answer to this heartbeat: that the peer knows a later vote; or that it did not know one when
    /// it answered an earlier heartbeat, where answers come after the next one is due.
    fn substitute_answer(&self, request: &AppendRequest) -> Option<Answer> {
        let newest = self.newest.as_ref().filter(|newest| newest.vote == request.vote)?;
        if let Some(later) = newest.later {
            return Some(Ok(Appended::HigherVote(later)));
        }
        let are_late =
            self.unanswered.iter().any(|unanswered| matches!(unanswered.asker, Asker::Raft(..)));
        let is_fresh = newest.at.elapsed() < self.peer.dialer.lease();
        (are_late && is_fresh).then_some(Ok(Appended::UpTo(request.prev)))
    }

    /// Keeps an answer, and gives it to the caller that waits for it.
    fn answered(&mut self, response: Response) {
        let Some(Unanswered { vote, at, asker }) = self.unanswered.pop_front() else { return };
        if let Response::Append(response) = &response {
            let later = match response {
                AppendResponse::HigherVote(later) => Some(*later),
                AppendResponse::Success
                | AppendResponse::PartialSuccess(_)
                | AppendResponse::Conflict => None,
            };
            self.newest = Some(LastAnswer { vote, at, later });
        }
        match asker {
            // Who gave up does not hear it.
            Asker::Raft(sent, Some(to)) => drop(to.send(answer(&self.peer, &sent, response))),
            Asker::Raft(_, None) => {}
            Asker::Reads => self.reads_unanswered -= 1,
        }
    }

    /// The connection is of no use any more.
    fn lost(&mut self, why: &dyn std::fmt::Display) {
        self.peer.link = None;
        (self.reads_unanswered, self.read_sent) = (0, None);
        for unanswered in self.unanswered.drain(..) {
            match unanswered.asker {
                Asker::Raft(_, Some(to)) => drop(to.send(Err(self.peer.unreachable(why)))),
                Asker::Raft(_, None) | Asker::Reads => {}
            }
        }
    }

    /// Answers what was not written.
    fn refuse(&mut self, why: &dyn std::fmt::Display) {
        for Call { answer, .. } in self.waiting.drain(..) {
            let _ = answer.send(Err(self.peer.unreachable(why)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use futures_util::stream::BoxStream;
    use tokio::time::timeout;

    use super::super::link::LeadershipHandles;
    use super::super::peer::Peers;
    use super::super::scripted_peer::Held;
    use super::super::scripted_peer::Hold;
    use super::super::scripted_peer::ScriptedPeer;
    use super::super::scripted_peer::dialer;
    use super::*;
    use crate::consensus::leadership::timings::Timings;

    /// How long anything may take.
    const PATIENCE: Duration = Duration::from_secs(10);

    const LATER: Vote = Vote { term: 9, server: 3, committed: false };

    const SUCCESS: AppendResponse = AppendResponse::Success;

    /// Server 1, which leads, with a way for heartbeats to server 2.
    struct Fixture {
        leadership: LeadershipHandles,
        heartbeats: Peer,
        two: ScriptedPeer,
    }

    /// The answers to one heartbeat, which is sent when they are waited for.
    fn beat(heartbeats: &mut Peer, term: u64) -> BoxStream<'_, Answer> {
        let vote = Vote { term, server: 1, committed: true };
        let request = AppendRequest { vote, prev: None, committed: None, entries: Vec::new() };
        heartbeats.append(futures_util::stream::iter([request]))
    }

    impl Fixture {
        async fn new(lease: Duration) -> Self {
            let (two, leadership) = (ScriptedPeer::start(2).await, LeadershipHandles::of(1));
            two.hold(Hold::All);
            let timings = Timings { election_max: lease, ..Timings::default() };
            let peers = Peers::new(dialer(1).with_timings(timings), leadership.clone());
            let heartbeats = peers.heartbeat_peer(2, &two.address);
            Self { leadership, heartbeats, two }
        }

        /// Sends a heartbeat, and gives it up when it has come.
        async fn given_up(&mut self, term: u64) -> Held {
            let mut answers = beat(&mut self.heartbeats, term);
            tokio::select! {
                held = self.two.next(|_| true) => held,
                answer = answers.next() => panic!("answered by itself: {answer:?}"),
            }
        }

        /// Sends a heartbeat, and waits for the answer that server 2 gives.
        async fn answered(&mut self, term: u64, response: AppendResponse) -> Option<Answer> {
            let mut answers = beat(&mut self.heartbeats, term);
            let held = tokio::select! {
                held = self.two.next(|_| true) => held,
                answer = answers.next() => panic!("answered by itself: {answer:?}"),
            };
            self.two.answer(held, response);
            timeout(PATIENCE, answers.next()).await.unwrap()
        }

        /// Sends a heartbeat, and waits for the answer that it has without server 2.
        async fn at_once(&mut self, term: u64) -> Option<Answer> {
            timeout(PATIENCE, beat(&mut self.heartbeats, term).next()).await.unwrap()
        }

        fn confirms(&self, term: u64) -> bool {
            self.leadership.contact.since_quorum(term, &[BTreeSet::from([1, 2])]).is_some()
        }

        /// Waits until an answer to a heartbeat of this term was read.
        async fn has_read(&self, term: u64) {
            let read = async {
                while !self.confirms(term) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, read).await.expect("the late answer counts");
        }
    }

    #[tokio::test]
    async fn an_answer_counts_also_when_nobody_waits_for_it_any_more() {
        // Raft gives up a heartbeat whose answer is late. It is read all the same, with nothing else under way.
        let mut fixture = Fixture::new(PATIENCE).await;
        let late = fixture.given_up(4).await;
        fixture.two.answer(late, SUCCESS);
        fixture.has_read(4).await;
    }

    #[tokio::test]
    async fn each_answer_counts_that_knows_no_later_term() {
        // Whether the entries fit does not matter. A refusal of the term counts for nothing.
        let mut fixture = Fixture::new(PATIENCE).await;
        let answers = [
            (4, SUCCESS),
            (5, AppendResponse::PartialSuccess(None)),
            (6, AppendResponse::Conflict),
            (7, AppendResponse::HigherVote(LATER)),
        ];
        for (term, response) in answers {
            assert!(fixture.answered(term, response).await.is_some());
            assert_eq!(fixture.confirms(term), term != 7, "term {term}");
        }
    }

    #[tokio::test]
    async fn where_each_answer_is_late_the_one_before_stands_for_it() {
        // Else Raft would hear none, and take no write any more. It learns likewise of a later term.
        let mut fixture = Fixture::new(PATIENCE).await;
        let first = fixture.given_up(4).await;
        let second = fixture.given_up(4).await;
        fixture.two.answer(first, SUCCESS);
        fixture.has_read(4).await;
        let third = fixture.at_once(4).await;
        assert!(matches!(third, Some(Ok(Appended::UpTo(None)))), "{third:?}");
        let later = LATER;
        fixture.two.answer(second, AppendResponse::HigherVote(later));
        let refused = async {
            let refused = Ok(Appended::HigherVote(later));
            while fixture.at_once(4).await != Some(refused.clone()) {}
        };
        timeout(PATIENCE, refused).await.expect("the later term is told");
    }

    #[tokio::test]
    async fn an_answer_older_than_a_lease_stands_for_none() {
        // A leader whose followers answer that late is to lose its lease, and so is one of another term.
        for (lease, term) in [(Duration::ZERO, 4), (PATIENCE, 5)] {
            let mut fixture = Fixture::new(lease).await;
            let first = fixture.given_up(4).await;
            let _second = fixture.given_up(4).await;
            fixture.two.answer(first, SUCCESS);
            fixture.has_read(4).await;
            fixture.given_up(term).await;
        }
    }

    #[tokio::test]
    async fn a_slow_peer_is_asked_once_for_many_reads() {
        // Others confirm these reads meanwhile: what it owes must not become more and more.
        let mut fixture = Fixture::new(PATIENCE).await;
        let mut unanswered = Vec::new();
        let next =
            async |two: &mut ScriptedPeer| timeout(PATIENCE, two.next(|_| true)).await.unwrap();
        for _ in 0..READS_UNANSWERED_MAX {
            fixture.leadership.read_index.begin(&[1, 2]);
            unanswered.push(next(&mut fixture.two).await);
        }
        for _ in 0..READS_UNANSWERED_MAX {
            fixture.leadership.read_index.begin(&[1, 2]);
            tokio::task::yield_now().await;
        }
        fixture.two.answer(unanswered.remove(0), SUCCESS);
        let last = next(&mut fixture.two).await;
        for held in unanswered.into_iter().chain([last]) {
            fixture.two.answer(held, SUCCESS);
        }
        // Nothing is due any more: the next one that comes was asked for now.
        fixture.leadership.read_index.begin(&[1, 3]);
        let answer = timeout(PATIENCE, fixture.answered(5, SUCCESS)).await;
        let answer = answer.expect("one heartbeat for the later reads");
        assert!(matches!(answer, Some(Ok(Appended::UpTo(None)))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_leader_that_suppresses_heartbeats_sends_none() {
        // Raft is told at once.
        let mut fixture = Fixture::new(PATIENCE).await;
        fixture.leadership.quorum_check.suppress_heartbeats();
        let answer = fixture.at_once(4).await;
        assert!(matches!(answer, Some(Err(_))), "{answer:?}");
    }
}
