//! The leader's side: takes what followers forward.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kernel::ensemble::MemberId;
use kernel::replica::section::check_commands;
use kernel::replica::{Sender, VERSION_ONCE};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::super::leadership::read_index::LeadershipAck;
use super::super::raft::handle::Consensus;
use super::super::raft::types::Batch as Payload;
use super::super::status::{Role, Status};
use super::super::transport::frame::Room;
use super::super::transport::{ForwardConn, PeerStream, Purpose};
use super::client::SILENCE_MAX;
use super::link::Link;
use super::peer_status::Liaison;
use super::protocol::{Later, ToFollower, ToLeader};
use super::reverse_dial::Entered;
use super::reverse_dial::LOOK_EVERY;
use super::reverse_dial::Missed;
use super::reverse_dial::Roll;
use super::reverse_dial::call;
use crate::consensus::proposer::batch::{AckedUpTo, ForwardAck, TermSection};
use crate::consensus::proposer::proposer::Proposer;

/// How long a follower that heard of a new leader waits for this server to hear of it too.
const LEAD_WITHIN: Duration = Duration::from_millis(500);

/// When this many bytes wait, followers are not read any more.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// How long to wait then before looking again.
const STALL: Duration = Duration::from_millis(2);

/// A leader behind which a majority stood this lately counts as one; longer ago where servers are far apart.
const QUORUM_AGE_MAX: Duration = Duration::from_secs(1);

/// Serves followers until the consensus stops.
pub(crate) async fn run(
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
        let Some(ForwardConn { from, purpose, stream, guest, room }) = next else { return };
        if purpose == Purpose::Lead {
            hosts.proposer.calls().put(from, stream);
        } else {
            let host = hosts.host(hosts.roll.enter(from), from, stream, room);
            tokio::spawn(async move {
                tokio::select! {
                    () = host.serve() => {}
                    () = guest.has_to_leave() => {}
                }
            });
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
    fn host(&self, entered: Entered, from: u64, stream: PeerStream, room: Room) -> Host {
        Host {
            from,
            link: Link::new(stream, room),
            status: self.proposer.consensus().watch_status(),
            proposer: self.proposer.clone(),
            liaison: Arc::clone(&self.liaison),
            acked: Arc::default(),
            taken: VecDeque::new(),
            _entered: entered,
        }
    }

    /// Opens a connection to a follower and serves it.
    fn call(&self, follower: u64) {
        let (hosts, entered) = (self.clone(), self.roll.enter(follower));
        tokio::spawn(async move {
            if let Some(stream) = call(hosts.proposer.consensus(), follower).await {
                hosts.host(entered, follower, stream, Room::default()).serve().await;
            }
        });
    }
}

/// Messages of a follower that wait until the log has room: more than it has on their way.
const TAKEN_MAX: usize = 16;

/// One follower's connection.
struct Host {
    from: u64,
    link: Link<ToFollower, ToLeader>,
    status: watch::Receiver<Status>,
    proposer: Proposer,
    liaison: Arc<dyn Liaison>,
    acked: Arc<AckedUpTo>,
    /// Commands that wait until the log has room. What else the follower says does not wait behind them: one that
    /// hears nothing takes this server for gone, and sends everything again.
    taken: VecDeque<TermSection>,
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
            let from = MemberId::from_raft_id(self.from);
            return tracing::debug!("server {from} takes this one for leader of {term}");
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
            self.propose_taken()?;
            let room = self.taken.len() < TAKEN_MAX;
            tokio::select! {
                message = self.link.receive(), if room => {
                    self.take(term, message?).await?;
                    heard = Instant::now();
                }
                () = sleep_until(heard + silence_max) => return None,
                () = sleep(STALL), if !self.taken.is_empty() => {}
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

    /// Passes on what was taken while the log has room.
    fn propose_taken(&mut self) -> Option<()> {
        while self.proposer.waiting_bytes() < WAITING_BYTES_HIGH {
            let Some(section) = self.taken.pop_front() else { break };
            self.proposer.push_term_section(section).ok()?;
        }
        Some(())
    }

    async fn take(&mut self, term: u64, message: ToLeader) -> Option<()> {
        match message {
            ToLeader::Batch { number, commands, payload } => {
                let ack = Some(ForwardAck { to: Arc::clone(&self.acked), number });
                self.take_commands(TermSection {
                    sender: None,
                    count: commands,
                    commands: payload.0,
                    term,
                    ack,
                })
            }
            ToLeader::Numbered { incarnation, number, commands, payload } => {
                let server = MemberId::number_of(self.from);
                let sender = Some(Sender { server, incarnation, number });
                let commands =
                    TermSection { sender, count: commands, commands: payload.0, term, ack: None };
                self.take_commands(commands)
            }
            ToLeader::Register { process } => {
                let server = MemberId::number_of(self.from);
                let commands = self.liaison.registration(server, process);
                self.proposer.push_unnumbered(term, commands).ok()
            }
            ToLeader::ReadIndex { id, acks_leader: Later(acks_leader) } => {
                let consensus = self.proposer.consensus().clone();
                let answer = self.link.to_send.clone();
                let asker = acks_leader.then_some(LeadershipAck { server: self.from, term });
                tokio::spawn(async move {
                    let at = consensus.read_index(asker).await.ok();
                    let at = at.map(|at| (at.term, at.index));
                    let _ = answer.send(ToFollower::ReadIndex { id, at }).await;
                });
                Some(())
            }
            ToLeader::Report { report } => {
                self.liaison.reported(MemberId::number_of(self.from), &report.0);
                let has_quorum = has_quorum(self.proposer.consensus());
                let notice = Payload(self.liaison.notice());
                self.link.send(ToFollower::Notice { has_quorum, notice }).await
            }
            ToLeader::Open { .. } => None,
        }
    }

    /// Takes commands of a follower that can be applied, and in the way of the version in force: of one that
    /// lags behind the others, or is ahead of this server, the connection ends, and it tries again.
    fn take_commands(&mut self, section: TermSection) -> Option<()> {
        let is_numbered = section.sender.is_some();
        if section.sender.is_some_and(|sender| sender.incarnation == 0) {
            return None;
        }
        if is_numbered != (self.proposer.version() >= VERSION_ONCE) {
            return None;
        }
        if let Err(error) = check_commands(section.count, &section.commands) {
            let from = MemberId::from_raft_id(self.from);
            tracing::warn!("server {from} forwarded commands that cannot be applied: {error}");
            return None;
        }
        self.taken.push_back(section);
        Some(())
    }
}

fn has_quorum(consensus: &Consensus) -> bool {
    let max = consensus.for_round_trips(2, QUORUM_AGE_MAX);
    consensus.since_quorum().is_some_and(|age| age < max)
}
