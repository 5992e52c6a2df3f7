//! Servers whose answers a test gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot, watch};

use super::address_book::AddressBook;
use super::authenticator::Authenticator;
use super::dialer::Dialer;
use super::frame::Frames;
use super::frame::Room;
use super::frame::send;
use super::handshake::hello::PeerIdentity;
use super::message::{AppendRequest, AppendResponse, Request, Response, VoteResponse};
use super::security::Security;
use super::stream::PeerStream;
use crate::env::net::TcpListener;
use crate::env::task;
use crate::storage::ClusterId;

/// What the answers wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Hold {
    /// Nothing: all is taken.
    Nothing,
    /// Those to entries wait for the test.
    Entries,
    /// Those to all appends and heartbeats wait for the test.
    All,
}

/// An append or heartbeat that waits for the test to answer it. One that is dropped is never answered, nor are
/// those behind it on its connection.
#[derive(Debug)]
pub(crate) struct Held {
    /// Which connection of the scripted peer it came on.
    pub(crate) connection: usize,
    /// Which request of that connection it is.
    number: u64,
    pub(crate) rpc: AppendRequest,
    answer: oneshot::Sender<AppendResponse>,
}

/// A member that grants each vote, has all that its leader has, and answers when the test wants.
#[derive(Debug)]
pub(crate) struct ScriptedPeer {
    pub(crate) address: String,
    hold: Arc<AtomicU8>,
    /// Counts how often all connections were ended.
    ended: watch::Sender<u64>,
    held: mpsc::UnboundedReceiver<Held>,
    /// What came while another one was waited for.
    passed_over: Vec<Held>,
}

fn member(server: u64) -> PeerIdentity {
    PeerIdentity { cluster: ClusterId(7), server }
}

/// The way of server `own` to scripted peers.
pub(crate) fn dialer(own: u64) -> Dialer {
    Dialer::new(member(own), AddressBook::default(), Security::default())
}

impl ScriptedPeer {
    /// Starts server `own`.
    pub(crate) async fn start(own: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let authenticator =
            Authenticator::new(member(own), (Security::default(), AddressBook::naming([1])), None);
        let (to_test, held) = mpsc::unbounded_channel();
        let hold = Arc::new(AtomicU8::new(Hold::Nothing as u8));
        let ended = watch::Sender::default();
        let (holds, ends) = (Arc::clone(&hold), ended.clone());
        task::spawn(async move {
            for connection in 0.. {
                let (stream, from) = listener.accept().await.unwrap();
                let Some((_, stream)) = authenticator.authenticate(stream, from).await else {
                    continue;
                };
                let serving = serve(stream, connection, Arc::clone(&holds), to_test.clone());
                let mut ends = ends.subscribe();
                task::spawn(async move {
                    tokio::select! {
                        () = serving => {}
                        _ = ends.changed() => {}
                    }
                });
            }
        });
        Self { address, hold, ended, held, passed_over: Vec::new() }
    }

    /// Ends all connections; new ones may be made.
    pub(crate) fn end_connections(&self) {
        self.ended.send_modify(|count| *count += 1);
    }

    /// What the answers to all that comes from now on wait for.
    pub(crate) fn hold(&self, hold: Hold) {
        self.hold.store(hold as u8, Ordering::SeqCst);
    }

    /// The next request that fits; those that do not are kept.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Held) -> bool) -> Held {
        if let Some(at) = self.passed_over.iter().position(&fits) {
            return self.passed_over.remove(at);
        }
        loop {
            let held = self.held.recv().await.unwrap();
            if fits(&held) {
                return held;
            }
            self.passed_over.push(held);
        }
    }

    /// Answers a request; those that came before it on its connection are taken.
    pub(crate) fn answer(&mut self, held: Held, response: AppendResponse) {
        let before =
            |other: &mut Held| other.connection == held.connection && other.number < held.number;
        for other in self.passed_over.extract_if(.., before) {
            other.answer.send(AppendResponse::Success).unwrap();
        }
        held.answer.send(response).unwrap();
    }
}

async fn serve(
    mut stream: PeerStream,
    connection: usize,
    hold: Arc<AtomicU8>,
    to_test: mpsc::UnboundedSender<Held>,
) {
    let (mut frames, mut answers) = (Frames::new(Room::default()), FuturesOrdered::new());
    let mut number = 0;
    loop {
        tokio::select! {
            request = frames.next(&mut stream) => {
                let (answer, answered) = oneshot::channel();
                match request {
                    Ok(Request::Append(rpc)) => {
                        let is_held = match hold.load(Ordering::SeqCst) {
                            0 => false,
                            1 => !rpc.entries.is_empty(),
                            _ => true,
                        };
                        if is_held {
                            let (to, waits) = oneshot::channel();
                            task::spawn(async move {
                                match waits.await {
                                    Ok(response) => answer.send(Response::Append(response)).unwrap(),
                                    Err(_) => std::mem::forget(answer),
                                }
                            });
                            number += 1;
                            let _ = to_test.send(Held { connection, number, rpc, answer: to });
                        } else {
                            answer.send(Response::Append(AppendResponse::Success)).unwrap();
                        }
                    }
                    Ok(Request::Vote(rpc) | Request::PreVote(rpc)) => {
                        let granted = VoteResponse { vote: rpc.vote, last: None, is_granted: true };
                        answer.send(Response::Vote(granted)).unwrap();
                    }
                    Ok(_) | Err(_) => return,
                }
                answers.push_back(answered);
            }
            Some(Ok(response)) = answers.next() => {
                if send(&mut stream, &response).await.is_err() {
                    return;
                }
            }
        }
    }
}
