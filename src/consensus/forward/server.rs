//! The leader's end: takes what followers forward.

use std::collections::VecDeque;
use std::sync::Arc;

use kernel::ensemble::MemberId;
use kernel::ensemble::ServerId;
use kernel::replica::section::check_commands;
use kernel::replica::{Sender, VERSION_2};
use tokio::sync::{mpsc, watch};

use super::super::handle::Consensus;
use super::super::leadership::contact::ConnectionActivity;
use super::super::leadership::read_index::LeadershipAck;
use super::super::status::{Role, Status};
use super::super::transport::WireBytes as Payload;
use super::super::transport::frame::Room;
use super::super::transport::{ForwardConn, PeerStream, Purpose};
use super::channel::ForwardChannel;
use super::protocol::{Later, ToFollower, ToLeader};
use super::reverse_dial::{AbsentFollowers, ConnectedFollowers, ConnectionGuard, dial_follower};
use crate::consensus::peer_status::PeerStatus;
use crate::consensus::proposer::batch::{AckedUpTo, ForwardAck, TermSection};
use crate::consensus::proposer::proposer::Proposer;
use crate::env::task;
use crate::env::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

/// When this many bytes wait, followers are not read any more.
const WAITING_BYTES_HIGH: usize = 16 << 20;

/// Takes what followers forward, from now until the consensus stops. Does nothing if called a second time.
pub fn serve_followers(proposer: &Proposer, peer_status: Arc<dyn PeerStatus>) {
    if let Some(forwards) = proposer.consensus().take_forwards() {
        task::spawn(run(proposer.clone(), forwards, peer_status));
    }
}

async fn run(
    proposer: Proposer,
    mut forwards: mpsc::Receiver<ForwardConn>,
    peer_status: Arc<dyn PeerStatus>,
) {
    let mut status = proposer.consensus().watch_status();
    let (server, mut absent) = (
        ForwardServer { proposer, peer_status, connected: ConnectedFollowers::default() },
        AbsentFollowers::default(),
    );
    let mut checks = interval(server.proposer.consensus().timings().reverse_dial_check_every);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = forwards.recv() => next,
            _ = status.wait_for(|status| status.role == Role::Stopped) => None,
            _ = checks.tick() => {
                let to_dial = absent.take_due(server.proposer.consensus(), &server.connected);
                to_dial.into_iter().for_each(|follower| server.dial(follower));
                continue;
            }
        };
        let Some(ForwardConn { from, purpose, stream, permit, room }) = next else { return };
        if purpose == Purpose::Lead {
            server.proposer.reverse_dials().offer(from, stream);
        } else {
            let conn = server.conn(server.connected.add(from), from, stream, room);
            task::spawn(async move {
                tokio::select! {
                    () = conn.serve() => {}
                    () = permit.evicted() => {}
                }
            });
        }
    }
}

/// What all connections of followers share.
#[derive(Clone)]
struct ForwardServer {
    proposer: Proposer,
    peer_status: Arc<dyn PeerStatus>,
    connected: ConnectedFollowers,
}

impl ForwardServer {
    fn conn(
        &self,
        guard: ConnectionGuard,
        from: u64,
        stream: PeerStream,
        room: Room,
    ) -> FollowerConn {
        FollowerConn {
            from,
            channel: ForwardChannel::new(stream, room),
            status: self.proposer.consensus().watch_status(),
            proposer: self.proposer.clone(),
            peer_status: Arc::clone(&self.peer_status),
            acked: Arc::default(),
            taken: VecDeque::new(),
            _guard: guard,
        }
    }

    /// Opens a connection to a follower and serves it.
    fn dial(&self, follower: u64) {
        let (server, guard) = (self.clone(), self.connected.add(follower));
        task::spawn(async move {
            if let Some(stream) = dial_follower(server.proposer.consensus(), follower).await {
                server.conn(guard, follower, stream, Room::default()).serve().await;
            }
        });
    }
}

/// Messages of a follower that wait until the log has room: more than it has on their way.
const TAKEN_MAX: usize = 16;

/// One follower's connection.
struct FollowerConn {
    from: u64,
    channel: ForwardChannel<ToFollower, ToLeader>,
    status: watch::Receiver<Status>,
    proposer: Proposer,
    peer_status: Arc<dyn PeerStatus>,
    acked: Arc<AckedUpTo>,
    /// Commands that wait until the log has room. Reports and reads do not wait behind them: a follower to which
    /// nothing comes gives up the connection and sends everything again.
    taken: VecDeque<TermSection>,
    _guard: ConnectionGuard,
}

impl FollowerConn {
    async fn serve(mut self) {
        let timings = *self.proposer.consensus().timings();
        let opened = timeout(timings.forward_idle_max(), self.channel.receive()).await;
        let Ok(Some(ToLeader::Open { term })) = opened else { return };
        let leads = |status: &Status| status.is_leader() && status.term == term;
        let waited = async { self.status.wait_for(leads).await.is_ok() };
        if !timeout(timings.lead_known_within, waited).await.unwrap_or(false) {
            let from = MemberId::from_raft_id(self.from);
            return tracing::debug!("server {from} takes this one for leader of {term}");
        }
        if self.channel.send(ToFollower::Accepted).await.is_some() {
            let _ = self.exchange(term).await;
        }
    }

    /// Takes what comes until the lead ends, the connection breaks, or nothing came on it for too long.
    async fn exchange(&mut self, term: u64) -> Option<()> {
        let acked = Arc::clone(&self.acked);
        let timings = *self.proposer.consensus().timings();
        let idle_max = timings.forward_idle_max();
        // A follower reports several times a second.
        let (mut told, mut activity) = (0, ConnectionActivity::new());
        while self.leads(term) {
            self.propose_taken()?;
            let room = self.taken.len() < TAKEN_MAX;
            tokio::select! {
                message = self.channel.receive(), if room => {
                    self.handle(term, message?).await?;
                    activity.note();
                }
                () = sleep_until(activity.idle_at(idle_max)) => return None,
                () = sleep(timings.full_log_retry_after), if !self.taken.is_empty() => {}
                () = acked.changed.notified() => {
                    let number = acked.number();
                    if number > told {
                        told = number;
                        self.channel.send(ToFollower::Applied { number }).await?;
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

    async fn handle(&mut self, term: u64, message: ToLeader) -> Option<()> {
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
                let sender = Some(Sender { server: ServerId(server), incarnation, number });
                let commands =
                    TermSection { sender, count: commands, commands: payload.0, term, ack: None };
                self.take_commands(commands)
            }
            ToLeader::Register { process } => {
                let server = MemberId::number_of(self.from);
                let commands = self.peer_status.registration(server, process);
                self.proposer.push_unnumbered(term, commands).ok()
            }
            ToLeader::ReadIndex { id, acks_leader: Later(acks_leader) } => {
                let consensus = self.proposer.consensus().clone();
                let answer = self.channel.to_send.clone();
                let asker = acks_leader.then_some(LeadershipAck { server: self.from, term });
                task::spawn(async move {
                    let at = consensus.read_index(asker).await.ok();
                    let at = at.map(|at| (at.term, at.index));
                    let _ = answer.send(ToFollower::ReadIndex { id, at }).await;
                });
                Some(())
            }
            ToLeader::Report { report } => {
                self.peer_status.take_follower_report(MemberId::number_of(self.from), &report.0);
                let has_quorum = has_quorum(self.proposer.consensus());
                let notice = Payload(self.peer_status.leader_notice());
                self.channel.send(ToFollower::Notice { has_quorum, notice }).await
            }
            ToLeader::Open { .. } => None,
        }
    }

    /// Takes a follower's commands, if they are valid and numbered exactly when the version in force numbers them.
    /// `None` closes the connection; the follower tries again.
    fn take_commands(&mut self, section: TermSection) -> Option<()> {
        let is_numbered = section.sender.is_some();
        if section.sender.is_some_and(|sender| sender.incarnation == 0) {
            return None;
        }
        if is_numbered != (self.proposer.version() >= VERSION_2) {
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
    let max = consensus.timings().quorum_age_max();
    consensus.since_quorum().is_some_and(|age| age < max)
}
