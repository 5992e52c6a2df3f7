//! Heartbeats to one peer, on a connection that is read all the time.
//!
//! openraft sends one heartbeat after the other, and gives one up when the next is due. Reads ask for heartbeats
//! of their own in between, and wait for none of openraft's. Whoever gave up, the answer is read when it comes,
//! and counts for reads (`read_index.rs`).

use std::collections::VecDeque;
use std::future::pending;
use std::io;

use futures_util::{Stream, StreamExt as _};
use openraft::errors::Unreachable;
use openraft::raft::AppendEntriesRequest;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::read_index::Asked;
use super::super::typ::TypeConfig;
use super::append::{Answer, Sent, answer};
use super::message::{Request, Response};
use super::peer::{Peer, RpcError};

/// Heartbeats of openraft that may wait for the task.
const WAITING_MAX: usize = 4;

/// So many heartbeats of reads may be unanswered: a peer that is slow is asked once for many reads.
const READS_UNANSWERED_MAX: usize = 32;

type Append = AppendEntriesRequest<TypeConfig>;

/// The way to the task that sends heartbeats to one peer. The task ends when this is dropped.
#[derive(Debug)]
pub(super) struct Heartbeats(mpsc::Sender<Ask>);

/// A heartbeat of openraft, and who waits for its answer.
#[derive(Debug)]
struct Ask {
    request: Append,
    answer: oneshot::Sender<Answer>,
}

impl Heartbeats {
    /// Starts the task over the connection of `peer`.
    pub(super) fn start(peer: Peer) -> Self {
        let (sender, asks) = mpsc::channel(WAITING_MAX);
        let reads = peer.witness.reads.asked();
        let task = Task {
            peer,
            asks,
            reads,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            reads_unanswered: 0,
            read_sent: None,
            rests: false,
        };
        tokio::spawn(task.run());
        Self(sender)
    }

    /// The answers to these heartbeats. Each waits for the one before it.
    pub(super) fn answers<S>(&self, requests: S) -> impl Stream<Item = Answer> + Send + use<S>
    where
        S: Stream<Item = Append> + Send + 'static,
    {
        let sender = self.0.clone();
        requests.then(move |request| {
            let sender = sender.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                // The task ends with the lead alone.
                let _ = sender.send(Ask { request, answer }).await;
                answered.await.unwrap_or_else(|_| Err(ended()))
            }
        })
    }
}

fn ended() -> RpcError {
    RpcError::Unreachable(Unreachable::from_string("this server leads no more"))
}

/// Sends heartbeats to one peer.
struct Task {
    peer: Peer,
    asks: mpsc::Receiver<Ask>,
    /// The newest heartbeat that reads have asked for.
    reads: watch::Receiver<Option<Asked>>,
    /// Heartbeats of openraft that are not written yet.
    waiting: VecDeque<Ask>,
    /// What was written and is not answered; `None` for the heartbeats of reads, whose answers nobody waits for.
    sent: VecDeque<Option<(Sent, oneshot::Sender<Answer>)>>,
    reads_unanswered: usize,
    /// Which heartbeat of reads was written last on this connection: term and round.
    read_sent: Option<(u64, u64)>,
    /// Whether the peer could not be reached, and nothing was asked for since.
    rests: bool,
}

/// What happened next.
enum Event {
    Asked(Ask),
    ReadAsked,
    Connected(io::Result<()>),
    Answer(io::Result<Option<Response>>),
}

impl Task {
    async fn run(mut self) {
        while let Some(event) = self.event().await {
            match event {
                Event::Asked(ask) => {
                    self.rests = false;
                    self.waiting.push_back(ask);
                }
                Event::ReadAsked => self.rests = false,
                Event::Answer(Ok(Some(response))) => self.answered(response),
                Event::Answer(Ok(None)) | Event::Connected(Ok(())) => {}
                Event::Answer(Err(error)) => self.lost(&error),
                Event::Connected(Err(error)) => {
                    self.rests = true;
                    self.lost(&error);
                    self.refuse(&error);
                }
            }
            self.write().await;
        }
    }

    /// Waits for what comes next; `None` when nobody asks any more.
    async fn event(&mut self) -> Option<Event> {
        let is_due = !self.waiting.is_empty() || (self.read_due().is_some() && !self.rests);
        let Self { peer, asks, reads, .. } = self;
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
            asked = asks.recv() => asked.map(Event::Asked),
            _ = reads.changed() => Some(Event::ReadAsked),
        }
    }

    /// The heartbeat that reads wait for, if it was not written on this connection.
    fn read_due(&self) -> Option<Asked> {
        let is_silent = self.peer.witness.hearing.is_silent();
        if is_silent || self.reads_unanswered >= READS_UNANSWERED_MAX {
            return None;
        }
        let asked = self.reads.borrow();
        let is_due = |asked: &&Asked| {
            asked.concerns(self.peer.target) && self.read_sent < Some(asked.number())
        };
        asked.as_ref().filter(is_due).cloned()
    }

    /// Writes all that is due, where there is a connection.
    async fn write(&mut self) {
        if self.peer.witness.hearing.is_silent() {
            return self.refuse(&"this leader hears nobody and is silent");
        }
        if !self.peer.has_usable_link() {
            return self.lost(&"the connection was given up");
        }
        while let Some(Ask { request, answer }) = self.waiting.pop_front() {
            // Given up: the next one is on its way.
            if answer.is_closed() {
                continue;
            }
            let sent = Sent::of(&request);
            self.send(request, Some((sent, answer))).await;
        }
        if let Some(asked) = self.read_due() {
            self.read_sent = Some(asked.number());
            self.reads_unanswered += 1;
            self.send(asked.request(), None).await;
        }
    }

    async fn send(&mut self, request: Append, sent: Option<(Sent, oneshot::Sender<Answer>)>) {
        let Some(link) = self.peer.link.as_mut() else { return };
        self.sent.push_back(sent);
        if let Err(error) = link.send(&Request::Append(request)).await {
            self.lost(&error);
        }
    }

    /// Gives an answer to whoever waits for it.
    fn answered(&mut self, response: Response) {
        match self.sent.pop_front() {
            // Who gave up does not hear it.
            Some(Some((sent, to))) => drop(to.send(answer(&self.peer, &sent, response))),
            Some(None) => self.reads_unanswered -= 1,
            None => {}
        }
    }

    /// The connection is of no use any more.
    fn lost(&mut self, why: &dyn std::fmt::Display) {
        self.peer.link = None;
        (self.reads_unanswered, self.read_sent) = (0, None);
        for (_, to) in self.sent.drain(..).flatten() {
            let _ = to.send(Err(self.peer.unreachable(why)));
        }
    }

    /// Answers what was not written.
    fn refuse(&mut self, why: &dyn std::fmt::Display) {
        for Ask { answer, .. } in self.waiting.drain(..) {
            let _ = answer.send(Err(self.peer.unreachable(why)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use openraft::BasicNode;
    use openraft::network::{NetStreamAppend as _, RPCOption, RaftNetworkFactory as _};
    use openraft::raft::AppendEntriesResponse;
    use tokio::time::timeout;

    use super::super::link::Witness;
    use super::super::peer::Peers;
    use super::super::puppet::{Hold, Puppet, dialer};
    use super::*;
    use crate::consensus::typ::RaftVote;

    /// How long anything may take.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Server 1, which leads, with a way for heartbeats to server 2.
    struct Fixture {
        witness: Witness,
        heartbeats: Peer,
        two: Puppet,
    }

    impl Fixture {
        async fn new() -> Self {
            let (two, witness) = (Puppet::start(2).await, Witness::of(1));
            two.hold(Hold::All);
            let mut peers = Peers::new(dialer(1), witness.clone());
            let heartbeats = peers.new_heartbeat_client(2, &BasicNode::new(&two.address)).await;
            Self { witness, heartbeats, two }
        }

        /// Sends a heartbeat of this term, lets server 2 answer it, and waits for the answer or gives it up at once.
        async fn beat(
            &mut self,
            term: u64,
            response: AppendEntriesResponse<TypeConfig>,
            gives_up: bool,
        ) -> Option<Answer> {
            let vote = RaftVote { committed: true, ..RaftVote::new(term, 1) };
            let (prev_log_id, leader_commit) = (None, None);
            let request = Append { vote, prev_log_id, leader_commit, entries: Vec::new() };
            let requests = futures_util::stream::iter([request]);
            let option = RPCOption::new(Duration::from_millis(1));
            let mut answers = self.heartbeats.stream_append(requests, option).await.unwrap();
            let held = tokio::select! {
                held = self.two.next(|_| true) => held,
                answer = answers.next() => panic!("answered by itself: {answer:?}"),
            };
            if gives_up {
                drop(answers);
                self.two.answer(held, response);
                return None;
            }
            self.two.answer(held, response);
            answers.next().await
        }

        fn confirms(&self, term: u64) -> bool {
            self.witness.reads.since_quorum(term, &[BTreeSet::from([1, 2])]).is_some()
        }
    }

    #[tokio::test]
    async fn an_answer_counts_also_when_nobody_waits_for_it_any_more() {
        // openraft gives up a heartbeat whose answer is late. It is read all the same, with nothing else under way.
        let mut fixture = Fixture::new().await;
        fixture.beat(4, AppendEntriesResponse::Success, true).await;
        let read = async {
            while !fixture.confirms(4) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, read).await.expect("the late answer counts");
    }

    #[tokio::test]
    async fn each_answer_counts_that_knows_no_later_term() {
        // Whether the entries fit does not matter. A refusal of the term counts for nothing.
        let mut fixture = Fixture::new().await;
        let answers = [
            (4, AppendEntriesResponse::Success),
            (5, AppendEntriesResponse::PartialSuccess(None)),
            (6, AppendEntriesResponse::Conflict),
            (7, AppendEntriesResponse::HigherVote(RaftVote::new(9, 3))),
        ];
        for (term, response) in answers {
            let answer = timeout(PATIENCE, fixture.beat(term, response, false)).await;
            assert!(answer.is_ok_and(|answer| answer.is_some()), "term {term}");
            assert_eq!(fixture.confirms(term), term != 7, "term {term}");
        }
    }

    #[tokio::test]
    async fn a_slow_peer_is_asked_once_for_many_reads() {
        // Others confirm these reads meanwhile: what it owes must not become more and more.
        let mut fixture = Fixture::new().await;
        let mut unanswered = Vec::new();
        let next = async |two: &mut Puppet| timeout(PATIENCE, two.next(|_| true)).await.unwrap();
        for _ in 0..READS_UNANSWERED_MAX {
            fixture.witness.reads.begin(&[1, 2]);
            unanswered.push(next(&mut fixture.two).await);
        }
        for _ in 0..READS_UNANSWERED_MAX {
            fixture.witness.reads.begin(&[1, 2]);
            tokio::task::yield_now().await;
        }
        fixture.two.answer(unanswered.remove(0), AppendEntriesResponse::Success);
        let last = next(&mut fixture.two).await;
        for held in unanswered.into_iter().chain([last]) {
            fixture.two.answer(held, AppendEntriesResponse::Success);
        }
        // Nothing is due any more: the next one that comes was asked for now.
        fixture.witness.reads.begin(&[1, 3]);
        let beat = fixture.beat(5, AppendEntriesResponse::Success, false);
        let answer = timeout(PATIENCE, beat).await.expect("one heartbeat for the later reads");
        assert!(matches!(answer, Some(Ok(Ok(None)))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_silent_leader_sends_no_heartbeats() {
        // openraft is told at once.
        let mut fixture = Fixture::new().await;
        fixture.witness.hearing.be_silent();
        let vote = RaftVote { committed: true, ..RaftVote::new(4, 1) };
        let request = Append { vote, prev_log_id: None, leader_commit: None, entries: Vec::new() };
        let requests = futures_util::stream::iter([request]);
        let option = RPCOption::new(Duration::from_millis(1));
        let mut answers = fixture.heartbeats.stream_append(requests, option).await.unwrap();
        let answer = timeout(PATIENCE, answers.next()).await.unwrap();
        assert!(matches!(answer, Some(Err(RpcError::Unreachable(_)))), "{answer:?}");
    }
}
