//! The leader's side: takes what followers forward.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::super::handle::Consensus;
use super::super::network::{ForwardConn, PeerStream, Purpose};
use super::super::read_index::Vouch;
use super::super::status::{Role, Status};
use super::super::typ::Batch as Payload;
use super::batch::{Ack, Acked};
use super::calls::{Entered, LOOK_EVERY, Missed, Roll, call};
use super::follow::SILENCE_MAX;
use super::liaison::Liaison;
use super::link::Link;
use super::proposer::Proposer;
use super::wire::{Later, ToFollower, ToLeader};

/// How long a follower that heard of a new leader waits for this server to hear of it too.
const LEAD_WITHIN: Duration = Duration::from_millis(500);

/// When this many bytes wait, followers are not read any more.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long to wait then before looking again.
const STALL: Duration = Duration::from_millis(2);

/// A leader behind which a majority stood this lately counts as one; longer ago where servers are far apart.
const QUORUM_AGE_MAX: Duration = Duration::from_secs(1);

/// Serves followers until the consensus stops.
pub(super) async fn run(
    proposer: Proposer,
    mut forwards: mpsc::Receiver<ForwardConn>,
    liaison: Arc<dyn Liaison>,
) {
    let mut status = proposer.consensus().watch_status();
    let (hosts, mut missed) =
        (Hosts { proposer, liaison, roll: Roll::default() }, Missed::default());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = forwards.recv() => next,
            _ = status.wait_for(|status| status.role == Role::Stopped) => None,
            _ = looks.tick() => {
                let servers = missed.look(hosts.proposer.consensus(), &hosts.roll);
                servers.into_iter().for_each(|server| hosts.call(server));
                continue;
            }
        };
        let Some(ForwardConn { from, purpose, stream }) = next else { return };
        if purpose == Purpose::Lead {
            hosts.proposer.calls().put(from, stream);
        } else {
            let host = hosts.host(hosts.roll.enter(from), from, stream);
            tokio::spawn(host.serve());
        }
    }
}

/// What all connections of followers share.
#[derive(Clone)]
struct Hosts {
    proposer: Proposer,
    liaison: Arc<dyn Liaison>,
    roll: Roll,
}

impl Hosts {
    fn host(&self, entered: Entered, from: u64, stream: PeerStream) -> Host {
        Host {
            from,
            link: Link::new(stream),
            status: self.proposer.consensus().watch_status(),
            proposer: self.proposer.clone(),
            liaison: Arc::clone(&self.liaison),
            acked: Arc::default(),
            _entered: entered,
        }
    }

    /// Opens a connection to a follower and serves it.
    fn call(&self, follower: u64) {
        let (hosts, entered) = (self.clone(), self.roll.enter(follower));
        tokio::spawn(async move {
            if let Some(stream) = call(hosts.proposer.consensus(), follower).await {
                hosts.host(entered, follower, stream).serve().await;
            }
        });
    }
}

/// One follower's connection.
struct Host {
    from: u64,
    link: Link<ToFollower, ToLeader>,
    status: watch::Receiver<Status>,
    proposer: Proposer,
    liaison: Arc<dyn Liaison>,
    acked: Arc<Acked>,
    _entered: Entered,
}

impl Host {
    async fn serve(mut self) {
        let silence_max = self.proposer.consensus().for_round_trips(2, SILENCE_MAX);
        let opened = timeout(silence_max, self.link.receive()).await;
        let Ok(Some(ToLeader::Open { term })) = opened else { return };
        let leads = |status: &Status| status.is_leader() && status.term == term;
        let waited = async { self.status.wait_for(leads).await.is_ok() };
        if !timeout(LEAD_WITHIN, waited).await.unwrap_or(false) {
            return tracing::debug!("server {} takes this one for leader of {term}", self.from);
        }
        if self.link.send(ToFollower::Accepted).await.is_some() {
            let _ = self.talk(term).await;
        }
    }

    /// Takes what comes until the leadership ends, the connection breaks or the follower falls silent.
    async fn talk(&mut self, term: u64) -> Option<()> {
        let acked = Arc::clone(&self.acked);
        let silence_max = self.proposer.consensus().for_round_trips(2, SILENCE_MAX);
        // A follower reports several times a second.
        let (mut told, mut heard) = (0, Instant::now());
        while self.leads(term) {
            tokio::select! {
                message = self.link.receive() => {
                    self.take(term, message?).await?;
                    heard = Instant::now();
                }
                () = sleep_until(heard + silence_max) => return None,
                () = acked.changed.notified() => {
                    let number = acked.number();
                    if number > told {
                        told = number;
                        self.link.send(ToFollower::Applied { number }).await?;
                    }
                }
                _ = self.status.changed() => {}
            }
        }
        Some(())
    }

    fn leads(&mut self, term: u64) -> bool {
        let status = self.status.borrow_and_update();
        status.is_leader() && status.term == term
    }

    async fn take(&mut self, term: u64, message: ToLeader) -> Option<()> {
        match message {
            ToLeader::Batch { number, commands, payload } => {
                while self.proposer.waiting_bytes() >= WAITING_BYTES_HIGH {
                    tokio::time::sleep(STALL).await;
                    if !self.leads(term) {
                        return None;
                    }
                }
                let ack = Ack { to: Arc::clone(&self.acked), number };
                self.proposer.push_forwarded(term, commands, &payload.0, ack).ok()
            }
            ToLeader::ReadIndex { id, vouches: Later(vouches) } => {
                let consensus = self.proposer.consensus().clone();
                let answer = self.link.to_send.clone();
                let vouched = vouches.then_some(Vouch { server: self.from, term });
                tokio::spawn(async move {
                    let at = consensus.read_index(vouched).await.ok();
                    let at = at.map(|at| (at.term, at.index));
                    let _ = answer.send(ToFollower::ReadIndex { id, at }).await;
                });
                Some(())
            }
            ToLeader::Report { report } => {
                self.liaison.reported(self.from, &report.0);
                let has_quorum = has_quorum(self.proposer.consensus());
                let notice = Payload(self.liaison.notice());
                self.link.send(ToFollower::Notice { has_quorum, notice }).await
            }
            ToLeader::Open { .. } => None,
        }
    }
}

fn has_quorum(consensus: &Consensus) -> bool {
    let max = consensus.for_round_trips(2, QUORUM_AGE_MAX);
    consensus.since_quorum().is_some_and(|age| age < max)
}
