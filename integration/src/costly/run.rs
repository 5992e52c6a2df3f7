//! Running the requests against an ensemble.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jute_proto::{OpCode, Xid};

use super::bystander::{Bystander, Latencies};
use super::request::{Call, Costly, Size, Work};
use crate::eventually::{Stopwatch, pause_for};
use crate::raw::Nothing;
use crate::{Ensemble, RawClient};

/// Those that are prepared say that they are there, while others are being prepared.
const SILENT_MAX: Duration = Duration::from_secs(5);

/// The number that changes with each election.
const TERM: &str = "zk_raft_term\t";

/// What was noticed while requests were sent.
#[derive(Debug, Clone, Default)]
pub struct Noticed {
    /// How long the requests took.
    pub requests: Vec<Duration>,
    /// How long a bystander's reads took.
    pub reads: Latencies,
    /// How long a bystander's writes took.
    pub writes: Latencies,
}

impl Noticed {
    /// How long a request took at most.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.requests.iter().max().copied().unwrap_or_default()
    }
}

/// Requests at the leader of an ensemble.
#[derive(Debug)]
pub struct Run<'e> {
    ensemble: &'e mut Ensemble,
    addr: SocketAddr,
    size: Size,
    term: String,
    next_number: usize,
}

impl<'e> Run<'e> {
    /// Begins; all servers serve.
    pub fn new(ensemble: &'e mut Ensemble, size: Size) -> Self {
        let leader = ensemble.wait_for_leader();
        let addr = ensemble.addr(leader);
        let term = ensemble.metric(leader, TERM).expect("a leader says its term");
        Self { ensemble, addr, size, term, next_number: 0 }
    }

    /// What follows is of another size.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
    }

    /// What a bystander sees where nothing else happens.
    pub fn quiet(&self, time: Duration) -> Noticed {
        self.beside(|| {
            pause_for(time);
            Vec::new()
        })
    }

    /// One connection sends a request, again and again.
    pub fn alone(&mut self, costly: Costly, time: Duration) -> Noticed {
        self.together(&[costly], time)
    }

    /// As many connections as there are requests, each sends its own.
    ///
    /// # Panics
    ///
    /// When one of them is not answered as it should be.
    pub fn together(&mut self, requests: &[Costly], time: Duration) -> Noticed {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = self.prepare(requests);
        self.beside(|| {
            let threads: Vec<_> = senders
                .into_iter()
                .map(|(costly, mut client, work)| {
                    let stop = Arc::clone(&stop);
                    std::thread::spawn(move || {
                        let mut took = Vec::new();
                        while !stop.load(Ordering::Relaxed) {
                            let clock = Stopwatch::start();
                            send_at_once(&mut client, &work.round, &costly);
                            took.push(clock.elapsed());
                        }
                        send(&mut client, &work.after, &costly);
                        client.close().expect("closed");
                        took
                    })
                })
                .collect();
            pause_for(time);
            stop.store(true, Ordering::Relaxed);
            threads.into_iter().flat_map(|thread| thread.join().expect("answered")).collect()
        })
    }

    /// A connection for each request, and what that needs.
    fn prepare(&mut self, requests: &[Costly]) -> Vec<(Costly, RawClient, Work)> {
        let mut prepared: Vec<(Costly, RawClient, Work)> = Vec::new();
        let mut silent = Stopwatch::start();
        for costly in requests {
            self.next_number += 1;
            let work = costly.work(self.next_number, self.size);
            let mut client = connect(self.addr);
            for call in &work.before {
                send_at_once(&mut client, std::slice::from_ref(call), costly);
                if silent.elapsed() > SILENT_MAX {
                    silent = Stopwatch::start();
                    for (_, client, _) in &mut prepared {
                        client.exists("/", false).expect("a session");
                    }
                }
            }
            prepared.push((*costly, client, work));
        }
        prepared
    }

    /// A session with many ephemeral znodes ends, so many times.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn closes(&mut self, times: usize) -> Noticed {
        let first = self.next_number + 1;
        self.next_number += times;
        self.beside(|| {
            let mut took = Vec::new();
            for number in first..first + times {
                let work = Costly::Ephemerals.work(number, self.size);
                let mut client = connect(self.addr);
                send(&mut client, &work.before, &Costly::Ephemerals);
                let clock = Stopwatch::start();
                client.call(OpCode::CloseSession, &Nothing).expect("closed");
                took.push(clock.elapsed());
                let mut client = connect(self.addr);
                let top = work.after.last().expect("the directory itself");
                send(&mut client, std::slice::from_ref(top), &Costly::Ephemerals);
            }
            took
        })
    }

    fn beside(&self, work: impl FnOnce() -> Vec<Duration>) -> Noticed {
        let reader = Bystander::start(self.addr, "/reader", false);
        let writer = Bystander::start(self.addr, "/writer", true);
        let requests = work();
        Noticed { requests, reads: reader.stop(), writes: writer.stop() }
    }

    /// The most memory that one of the servers has taken so far, in KiB.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        self.ensemble.servers().map(|server| self.ensemble.peak_kib(server)).max().unwrap_or(0)
    }

    /// What went wrong: a server ended, or there was an election.
    pub fn complaints(&mut self) -> Vec<String> {
        let ended = self.ensemble.ended();
        let mut complaints: Vec<String> =
            ended.iter().map(|(server, how)| format!("server {server} ended: {how}")).collect();
        for server in self.ensemble.servers() {
            let term = self.ensemble.metric(server, TERM);
            if term.as_ref() != Some(&self.term) {
                complaints.push(format!("term {term:?} at server {server}, not {}", self.term));
            }
        }
        complaints
    }
}

/// A session that outlives what takes long.
fn connect(addr: SocketAddr) -> RawClient {
    RawClient::connect_for(addr, Duration::from_secs(40)).expect("a session")
}

fn send(client: &mut RawClient, calls: &[Call], costly: &Costly) {
    for call in calls {
        send_at_once(client, std::slice::from_ref(call), costly);
    }
}

/// Sends requests in one go, and takes their answers while more of them go out.
fn send_at_once(client: &mut RawClient, calls: &[Call], costly: &Costly) {
    let mut socket = client.socket().try_clone().expect("a second handle");
    let frames: Vec<_> = calls.iter().map(|call| call.frame.clone()).collect();
    let sender = std::thread::spawn(move || {
        frames.iter().try_for_each(|frame| socket.write_all(frame)).expect("sent");
    });
    for call in calls {
        let reply = loop {
            let packet = client.receive_any().expect("an answer");
            if packet.header.xid != Xid::NOTIFICATION {
                break packet;
            }
        };
        assert_eq!(reply.header.err, call.code, "{costly:?}");
    }
    sender.join().expect("sent");
}
