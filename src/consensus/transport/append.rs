//! Entries on their way to one peer: many requests at once, answered in order.
//!
//! Raft hands over a stream of requests for as long as there is something to append, and gets
//! a stream of answers. Waiting for each answer before the next request would make every entry wait
//! for the flush of the one before it on the other server's disk.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};

use super::acknowledged::check;
use super::frame::FRAME_LEN_MAX;
use super::message::{AppendRequest, AppendResponse, Request, Response};
use super::peer::{Peer, Unreachable};
use crate::env::time;
use crate::env::time::timeout_at;
use crate::storage::{LogPosition, Vote};

/// Entries of about this many bytes go into one request.
const REQUEST_BYTES_SOFT_MAX: usize = 1 << 20;

/// So many requests may be on their way.
const REQUESTS_MAX: usize = 64;

/// A connection is expected to carry at least this much; large requests take longer.
const BYTES_PER_SECOND_MIN: usize = 256 << 10;

const _: () = assert!(REQUEST_BYTES_SOFT_MAX < FRAME_LEN_MAX / 2);

/// What the answer to an append says of the other server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It has the leader's entries up to this one.
    UpTo(Option<LogPosition>),
    /// It lacks this entry, which comes in front of those that were sent, or has another one there.
    Conflict(LogPosition),
    /// It knows this later vote.
    HigherVote(Vote),
}

/// An answer, or why there is none.
pub(crate) type Answer = Result<Appended, Unreachable>;

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    prev: Option<LogPosition>,
    last: Option<LogPosition>,
    bytes: usize,
    term: u64,
    /// What the other server had acknowledged in this term when this was sent.
    acknowledged: Option<LogPosition>,
}

impl Sent {
    pub(super) fn of(peer: &Peer, request: &AppendRequest) -> Self {
        let (prev, last) = (request.prev, request.last());
        let bytes = request.entries.iter().map(|entry| entry.payload.len()).sum();
        let term = request.vote.term;
        let acknowledged = peer.acknowledged.by(peer.target, term);
        Self { prev, last, bytes, term, acknowledged }
    }
}

/// A stream of requests over one connection.
///
/// `sent` and the answers that are owed on the connection are in the same order: the next answer belongs to the front
/// of `sent`. So a stream never goes on over another connection while it waits for an answer, and it ends at the first
/// answer that is no success: Raft then decides anew where to begin. What others left unanswered on the connection is
/// skipped by
/// [`Link`](super::link::Link), which counts it.
pub(crate) struct Appends<'s, S> {
    peer: &'s mut Peer,
    /// `None` when it has ended.
    input: Option<S>,
    /// What is left of a request that was too long.
    parts: VecDeque<AppendRequest>,
    sent: VecDeque<Sent>,
}

/// What happened next.
enum Event {
    Request(Option<AppendRequest>),
    Answer(std::io::Result<Option<Response>>),
    /// The idle connection was closed.
    Closed,
}

impl<'s, S: Stream<Item = AppendRequest> + Unpin + Send + 'static> Appends<'s, S> {
    pub(super) fn new(peer: &'s mut Peer, input: S) -> Self {
        Self { peer, input: Some(input), parts: VecDeque::new(), sent: VecDeque::new() }
    }

    /// The answers. Ends after the first one that is no success.
    pub(super) fn into_stream(self) -> impl Stream<Item = Answer> + Send + 's {
        futures_util::stream::unfold(Some(self), async |appends| {
            let mut appends = appends?;
            let answer = appends.next().await?;
            let goes_on = matches!(answer, Ok(Appended::UpTo(_)));
            Some((answer, goes_on.then_some(appends)))
        })
    }

    async fn next(&mut self) -> Option<Answer> {
        loop {
            let has_room = self.sent.len() < REQUESTS_MAX;
            if let Some(part) = has_room.then(|| self.parts.pop_front()).flatten() {
                if let Err(error) = self.send(part).await {
                    return Some(Err(error));
                }
                continue;
            }
            if self.input.is_none() && self.sent.is_empty() {
                return None;
            }
            match self.event().await {
                Ok(Event::Request(Some(request))) => self.parts = split(request),
                Ok(Event::Request(None)) => self.input = None,
                Ok(Event::Closed) => self.peer.link = None,
                Ok(Event::Answer(Ok(Some(response)))) => return Some(self.answer(response)),
                Ok(Event::Answer(Ok(None))) => {}
                Ok(Event::Answer(Err(error))) => {
                    self.peer.link = None;
                    return Some(Err(self.peer.unreachable(&error)));
                }
                Err(_) => {
                    self.peer.link = None;
                    return Some(Err(self.peer.unreachable(&"it did not answer in time")));
                }
            }
        }
    }

    /// Waits for a request or an answer.
    async fn event(&mut self) -> Result<Event, time::Elapsed> {
        let (wanted, limit) = (self.sent.len(), self.patience());
        let input = async |input: &mut Option<S>| match input {
            Some(input) if wanted < REQUESTS_MAX => input.next().await,
            Some(_) | None => std::future::pending().await,
        };
        let Some(link) = self.peer.link.as_mut() else {
            return Ok(Event::Request(input(&mut self.input).await));
        };
        if wanted == 0 {
            return Ok(tokio::select! {
                biased;
                request = input(&mut self.input) => Event::Request(request),
                () = link.closed() => Event::Closed,
            });
        }
        let until = link.late_at(limit);
        timeout_at(until, async {
            tokio::select! {
                biased;
                answer = link.receive(wanted) => Event::Answer(answer),
                request = input(&mut self.input) => Event::Request(request),
            }
        })
        .await
    }

    /// How long the other server may be silent.
    fn patience(&self) -> Duration {
        let bytes: usize = self.sent.iter().map(|sent| sent.bytes).sum();
        let seconds = u32::try_from(bytes / BYTES_PER_SECOND_MIN).unwrap_or(u32::MAX);
        let patience = self.peer.dialer.timings().append_answered_within();
        patience.saturating_add(Duration::from_secs(seconds.into()))
    }

    async fn send(&mut self, part: AppendRequest) -> Result<(), Unreachable> {
        if self.peer.leadership.quorum_check.suppresses_heartbeats() {
            return Err(self.peer.unreachable(&"this leader hears nobody and is silent"));
        }
        // On another connection the answers would be taken for those to earlier requests.
        if !self.sent.is_empty() && !self.peer.has_usable_link() {
            return Err(self.peer.unreachable(&"it owes too many answers"));
        }
        let sent = Sent::of(self.peer, &part);
        let sending = async { self.peer.link().await?.send(&Request::Append(part)).await };
        if let Err(error) = sending.await {
            self.peer.link = None;
            return Err(self.peer.unreachable(&error));
        }
        self.sent.push_back(sent);
        Ok(())
    }

    fn answer(&mut self, response: Response) -> Answer {
        match self.sent.pop_front() {
            Some(sent) => answer(self.peer, &sent, response),
            None => Err(self.peer.unexpected_answer()),
        }
    }
}

/// What the response to a request says.
pub(super) fn answer(peer: &Peer, sent: &Sent, response: Response) -> Answer {
    if let Response::Failed(reason) = response {
        return Err(peer.unreachable(&reason));
    }
    let Response::Append(response) = response else { return Err(peer.unexpected_answer()) };
    let acknowledge = |last: Option<LogPosition>| {
        last.into_iter().for_each(|last| peer.acknowledged.note(peer.target, sent.term, last));
        Ok(Appended::UpTo(last))
    };
    match (response, sent.prev) {
        (AppendResponse::Success, _) => acknowledge(sent.last),
        (AppendResponse::PartialSuccess(matching), _) => acknowledge(matching),
        (AppendResponse::HigherVote(vote), _) => Ok(Appended::HigherVote(vote)),
        (AppendResponse::Conflict, Some(prev)) => {
            match check(peer.target, prev, sent.acknowledged) {
                Ok(()) => Ok(Appended::Conflict(prev)),
                Err(reason) => Err(peer.lost_entries(&reason)),
            }
        }
        // Nothing comes before the first entry that could conflict with anything.
        (AppendResponse::Conflict, None) => Err(peer.unexpected_answer()),
    }
}

/// Cuts a request into parts of about [`REQUEST_BYTES_SOFT_MAX`].
fn split(mut request: AppendRequest) -> VecDeque<AppendRequest> {
    let committed = request.committed;
    let mut parts = VecDeque::new();
    loop {
        let mut bytes = 0;
        let full = request.entries.iter().position(|entry| {
            bytes += entry.payload.len();
            bytes > REQUEST_BYTES_SOFT_MAX
        });
        let Some(rest) = full.map(|at| request.entries.split_off(at.max(1))) else { break };
        if rest.is_empty() {
            break;
        }
        let last = request.entries.last().map(|entry| entry.position);
        let vote = request.vote;
        let next = AppendRequest { vote, prev: last, committed, entries: rest };
        // What comes with a later part is not there yet.
        request.committed = committed.min(last);
        parts.push_back(std::mem::replace(&mut request, next));
    }
    parts.push_back(request);
    parts
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    use super::super::address_book::AddressBook;
    use super::super::authenticator::Authenticator;
    use super::super::dialer::Dialer;
    use super::super::frame::receive;
    use super::super::frame::send;
    use super::super::handshake::hello::PeerIdentity;
    use super::super::peer::Peers;
    use super::super::security::Security;
    use super::super::stream::PeerStream;
    use super::*;
    use crate::consensus::transport::LeadershipHandles;
    use crate::consensus::transport::message::{Entry, EntryPayload};
    use crate::consensus::transport::wire_bytes::WireBytes;
    use crate::storage::ClusterId;

    const VOTE: Vote = Vote { term: 1, server: 1, committed: false };

    fn at(index: u64) -> LogPosition {
        LogPosition { term: 1, index }
    }

    fn commands(len: usize) -> EntryPayload {
        EntryPayload::Commands(WireBytes(vec![0; len].into()))
    }

    fn request(indexes: std::ops::Range<u64>, len: usize) -> AppendRequest {
        let entry = |index| Entry { position: at(index), payload: commands(len) };
        AppendRequest {
            vote: VOTE,
            prev: Some(at(indexes.start - 1)),
            committed: Some(at(10)),
            entries: indexes.map(entry).collect(),
        }
    }

    #[test]
    fn long_requests_are_cut_between_entries() {
        // The parts are the request: each follows the one before it, and none commits what it does
        // not bring.
        let mut long = request(8..14, 0);
        let lens = [10, REQUEST_BYTES_SOFT_MAX + 1, 5, 600 << 10, 600 << 10, 0];
        for (entry, len) in long.entries.iter_mut().zip(lens) {
            entry.payload = commands(len);
        }
        let mut prev = long.prev;
        let parts = split(long);
        for part in &parts {
            assert_eq!(part.prev, prev);
            prev = part.entries.last().map(|entry| entry.position);
            assert_eq!(part.committed, Some(at(10)).min(prev));
        }
        let lens: Vec<usize> = parts.iter().map(|part| part.entries.len()).collect();
        assert_eq!(lens, [1, 1, 2, 2]);
        assert_eq!(split(request(8..8, 0)).len(), 1);
    }

    /// The other server, as its peer sees it.
    struct Other {
        listener: TcpListener,
        authenticator: Authenticator,
    }

    impl Other {
        async fn new() -> (Self, Peer) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let member = |server| PeerIdentity { cluster: ClusterId(7), server };
            let place = (Security::default(), AddressBook::naming([1]));
            let authenticator = Authenticator::new(member(2), place, None);
            let dialer = Dialer::new(member(1), AddressBook::default(), Security::default());
            let address = listener.local_addr().unwrap().to_string();
            let peer = Peers::new(dialer, LeadershipHandles::of(1)).peer(2, &address);
            (Self { listener, authenticator }, peer)
        }

        async fn accept(&self) -> PeerStream {
            let (stream, from) = self.listener.accept().await.unwrap();
            self.authenticator.authenticate(stream, from).await.unwrap().1
        }
    }

    async fn last_of_next(stream: &mut PeerStream) -> Option<LogPosition> {
        let Request::Append(rpc) = receive(stream).await.unwrap() else { panic!("no append") };
        rpc.entries.last().map(|entry| entry.position)
    }

    async fn answer(stream: &mut PeerStream, response: AppendResponse) {
        send(stream, &Response::Working).await.unwrap();
        send(stream, &Response::Append(response)).await.unwrap();
    }

    fn appends(indexes: std::ops::Range<u64>) -> impl Stream<Item = AppendRequest> + Send + Unpin {
        futures_util::stream::iter(indexes.map(|index| request(index..index + 1, 9)))
    }

    #[tokio::test]
    async fn many_requests_are_on_their_way_at_once() {
        // No request waits for the answer to the one before it; the answers are told apart.
        let (other, mut peer) = Other::new().await;
        let answering = async {
            let mut stream = other.accept().await;
            for index in 1..=20 {
                assert_eq!(last_of_next(&mut stream).await, Some(at(index)));
            }
            for _ in 1..=20 {
                answer(&mut stream, AppendResponse::Success).await;
            }
            stream
        };
        let sending = async {
            let answers = peer.append(appends(1..21));
            answers.map(Result::unwrap).collect::<Vec<_>>().await
        };
        let (_stream, answers) = tokio::join!(answering, sending);
        let expected: Vec<_> = (1..=20).map(|index| Appended::UpTo(Some(at(index)))).collect();
        assert_eq!(answers, expected);
    }

    #[tokio::test]
    async fn a_conflict_ends_the_stream_but_not_the_connection() {
        // Whoever gives up waiting, or ends at a conflict, leaves a connection that can be used:
        // answers that come late are not taken for others.
        let (other, mut peer) = Other::new().await;
        let accepted = async {
            let mut stream = other.accept().await;
            for _ in 0..3 {
                last_of_next(&mut stream).await;
            }
            answer(&mut stream, AppendResponse::Conflict).await;
            stream
        };
        let sending = async {
            let answers = peer.append(appends(5..8));
            answers.collect::<Vec<_>>().await
        };
        let (mut stream, answers) = tokio::join!(accepted, sending);
        assert_eq!(answers, [Ok(Appended::Conflict(at(4)))]);
        let answering = async {
            answer(&mut stream, AppendResponse::Conflict).await;
            answer(&mut stream, AppendResponse::Conflict).await;
            assert_eq!(last_of_next(&mut stream).await, Some(at(4)));
            answer(&mut stream, AppendResponse::Success).await;
        };
        let sending = async {
            let answers = peer.append(appends(4..5));
            answers.collect::<Vec<_>>().await
        };
        let ((), answers) = tokio::join!(answering, sending);
        assert_eq!(answers, [Ok(Appended::UpTo(Some(at(4))))]);
    }

    #[tokio::test]
    async fn a_connection_that_owes_too_much_takes_its_requests_with_it() {
        // Answers that come over the next connection are not taken for those to requests of this one.
        let (other, mut peer) = Other::new().await;
        let taken = Notify::new();
        let sending = async {
            // Most of what it owes nobody waits for any more.
            for _ in 0..4 {
                let mut answers = peer.append(appends(1..51));
                tokio::select! {
                    answer = answers.next() => panic!("{answer:?}"),
                    () = taken.notified() => {}
                }
            }
            let mut answers = peer.append(appends(1..65));
            answers.next().await.unwrap()
        };
        let answering = async {
            let mut first = other.accept().await;
            for number in 1..=4 * 50 + 56 {
                last_of_next(&mut first).await;
                if number <= 4 * 50 && number % 50 == 0 {
                    taken.notify_one();
                }
            }
            let mut second = other.accept().await;
            loop {
                last_of_next(&mut second).await;
                answer(&mut second, AppendResponse::Success).await;
            }
        };
        let answer = tokio::select! {
            answer = sending => answer,
            () = answering => unreachable!(),
        };
        assert!(answer.is_err(), "{answer:?}");
    }

    #[tokio::test]
    async fn a_follower_that_lacks_what_it_acknowledged_is_not_heard() {
        // It was brought back to an earlier moment in the midst of a term: nothing that it says is told to Raft. The
        // conflict of one that acknowledged nothing is.
        for has_acknowledged in [false, true] {
            let (other, mut peer) = Other::new().await;
            let answering = async {
                let mut stream = other.accept().await;
                for index in 1..4 {
                    assert_eq!(last_of_next(&mut stream).await, Some(at(index)));
                    if has_acknowledged {
                        answer(&mut stream, AppendResponse::Success).await;
                    }
                }
                if !has_acknowledged {
                    answer(&mut stream, AppendResponse::Conflict).await;
                    return stream;
                }
                assert_eq!(last_of_next(&mut stream).await, Some(at(3)));
                answer(&mut stream, AppendResponse::Conflict).await;
                stream
            };
            let sending = async {
                let answers = peer.append(appends(1..4));
                let first: Vec<_> = answers.collect().await;
                if !has_acknowledged {
                    return first;
                }
                let answers = peer.append(appends(3..4));
                answers.collect().await
            };
            let (_stream, mut answers) = tokio::join!(answering, sending);
            let answer = answers.pop().unwrap();
            match has_acknowledged {
                false => assert!(matches!(answer, Ok(Appended::Conflict(_)))),
                true => assert!(answer.unwrap_err().to_string().contains("lacks entry 2")),
            }
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_made_again() {
        // An append over a connection that breaks fails, the next one gets a new connection.
        let (other, mut peer) = Other::new().await;
        let breaking = async {
            let mut stream = other.accept().await;
            last_of_next(&mut stream).await;
        };
        let sending = async {
            let answers = peer.append(appends(1..3));
            answers.collect::<Vec<_>>().await
        };
        let ((), answers) = tokio::join!(breaking, sending);
        assert!(matches!(&answers[..], [Err(_)]), "{answers:?}");
        let answering = async {
            let mut stream = other.accept().await;
            last_of_next(&mut stream).await;
            answer(&mut stream, AppendResponse::Success).await;
        };
        let sending = async {
            let mut answers = peer.append(appends(1..2));
            answers.next().await.unwrap()
        };
        let ((), answered) = tokio::join!(answering, sending);
        assert_eq!(answered, Ok(Appended::UpTo(Some(at(1)))));
    }
}
