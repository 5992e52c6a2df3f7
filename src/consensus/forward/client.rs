//! The follower's end: the proposer's task while this server follows a leader.
//!
//! `LeaderConn::sent` counts how many of the unfinished batches were sent on this connection. Those are the first
//! ones of `unfinished`, so a new connection begins with none sent, and everything goes again in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::ensemble::MemberId;

use super::super::error::ReadError;
use super::super::handle::Consensus;
use super::super::leadership::contact::ConnectionActivity;
use super::super::transport::Purpose;
use super::super::transport::WireBytes as Payload;
use super::super::transport::frame::Room;
use super::channel::ForwardChannel;
use super::protocol::{Later, ToFollower, ToLeader};
use crate::consensus::proposer::progress::SectionNumber;
use crate::consensus::proposer::proposer::BarrierRequest;
use crate::consensus::proposer::task::{ProposalTarget, ProposerTask};
use crate::env::task;
use crate::env::time::{Instant, MissedTickBehavior, interval, sleep};
use crate::storage::LogPosition;

type LeaderChannel = ForwardChannel<ToLeader, ToFollower>;

/// A connection to the leader, and what was sent on it.
struct LeaderConn {
    channel: LeaderChannel,
    /// How many of the unfinished batches were sent.
    sent: usize,
    /// The number of the first of them on this connection, while sections are not numbered.
    first: u64,
    /// When one of them was last applied, or none was on its way.
    progressed: Instant,
    barriers: BTreeMap<u64, BarrierRequest>,
    last_barrier: u64,
    activity: ConnectionActivity,
}

impl LeaderConn {
    fn new(channel: LeaderChannel) -> Self {
        let now = Instant::now();
        Self {
            channel,
            sent: 0,
            first: 1,
            progressed: now,
            barriers: BTreeMap::new(),
            last_barrier: 0,
            activity: ConnectionActivity::new(),
        }
    }

    /// Keeps who asks for a read, and asks the leader.
    fn ask_for_read(
        &mut self,
        asked: BarrierRequest,
        consensus: Consensus,
        leader: MemberId,
        term: u64,
    ) {
        self.last_barrier += 1;
        let id = self.last_barrier;
        self.barriers.insert(id, asked);
        let to_send = self.channel.to_send.clone();
        task::spawn(async move {
            // Asked after the read had begun: an earlier look would say nothing of that time.
            let acks_leader = Later(consensus.follows(leader.raft_id(), term).await);
            // If the connection is broken, the wait for the answer ends with it.
            let _ = to_send.send(ToLeader::ReadIndex { id, acks_leader }).await;
        });
    }
}

/// What the loop waited for.
enum Next {
    Message(Option<ToFollower>),
    Barrier(Option<BarrierRequest>),
    Report,
    /// There may be more to send, or another target.
    Recheck,
}

impl ProposerTask {
    /// Sends batches to the leader for as long as it leads in this term and can be reached.
    pub(crate) async fn forward_to(&mut self, target: ProposalTarget, leader: MemberId, term: u64) {
        if let Some(channel) = self.connect(target, leader, term).await {
            self.reports.connection_ended();
            let _ = self.exchange(target, (leader, term), &mut LeaderConn::new(channel)).await;
            tracing::debug!("no longer forwards to server {leader}, leader of term {term}");
        }
        let pause = self.shared.consensus.timings().forward_retry_after;
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.status.changed() => {}
        }
    }

    async fn connect(
        &mut self,
        target: ProposalTarget,
        leader: MemberId,
        term: u64,
    ) -> Option<LeaderChannel> {
        let shared = Arc::clone(&self.shared);
        let patience = shared.consensus.timings().forward_open_within();
        let dialled = async {
            let stream = tokio::select! {
                biased;
                taken = shared.reverse_dials.take(leader.raft_id()) => taken,
                dialled = shared.consensus.dial(leader.raft_id(), Purpose::Forward) => dialled?,
            };
            let mut channel = LeaderChannel::new(stream, Room::default());
            channel.send(ToLeader::Open { term }).await?;
            matches!(channel.receive().await?, ToFollower::Accepted).then_some(channel)
        };
        tokio::pin!(dialled);
        while self.target() == target {
            tokio::select! {
                channel = &mut dialled => return channel,
                _ = self.status.changed() => {}
                asked = self.barriers.recv() => {
                    if let Some(asked) = asked {
                        let _ = asked.send(Err(ReadError::NoQuorum));
                    }
                }
                () = sleep(patience) => return None,
            }
        }
        None
    }

    /// Sends batches and reports, and takes what the leader answers, until the target changes. `None` where the
    /// connection broke or has to be made anew.
    async fn exchange(
        &mut self,
        target: ProposalTarget,
        (leader, term): (MemberId, u64),
        conn: &mut LeaderConn,
    ) -> Option<()> {
        let shared = Arc::clone(&self.shared);
        let timings = *shared.consensus.timings();
        let idle_max = timings.forward_idle_max();
        let mut reports = interval(timings.report_every);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.target() == target && Instant::now() < conn.activity.idle_at(idle_max) {
            if self.take_progress() {
                // Under other numbers, or in another version, everything goes again.
                return None;
            }
            self.finish_applied(conn);
            if conn.progressed.elapsed() > timings.resend_after {
                return None;
            }
            if self.registration().is_some() {
                let process = shared.consensus.process();
                self.send(target, conn, ToLeader::Register { process }).await?;
            }
            self.send_batches(target, conn).await?;
            let room = conn.sent < self.shared.options.batches_in_flight_max;
            let next = tokio::select! {
                message = conn.channel.receive() => Next::Message(message),
                asked = self.barriers.recv() => Next::Barrier(asked),
                _ = reports.tick() => Next::Report,
                // The leader dialled before it saw this connection: one is enough.
                _ = shared.reverse_dials.take(leader.raft_id()) => Next::Recheck,
                () = self.shared.filled.notified(), if room => Next::Recheck,
                () = shared.progress.changed() => Next::Recheck,
                _ = self.status.changed() => Next::Recheck,
            };
            match next {
                Next::Message(message) => self.handle(conn, message?),
                Next::Barrier(Some(asked)) => {
                    conn.ask_for_read(asked, shared.consensus.clone(), leader, term);
                }
                Next::Report => {
                    let (until, report) = self.peer_status.follower_report(self.reports.since());
                    self.reports.sent(until);
                    let report = Payload(report);
                    self.send(target, conn, ToLeader::Report { report }).await?;
                }
                Next::Barrier(None) | Next::Recheck => {}
            }
        }
        Some(())
    }

    /// Finishes what this server's own state shows to be applied.
    fn finish_applied(&mut self, conn: &mut LeaderConn) {
        while self.numbers() && conn.sent > 0 && self.oldest_is_applied() {
            self.finish_oldest();
            conn.sent -= 1;
            conn.progressed = Instant::now();
        }
        if conn.sent == 0 {
            conn.progressed = Instant::now();
        }
    }

    async fn send_batches(&mut self, target: ProposalTarget, conn: &mut LeaderConn) -> Option<()> {
        while conn.sent < self.shared.options.batches_in_flight_max {
            if conn.sent == self.unfinished.len() && self.take(None).is_none() {
                break;
            }
            let batch = self.unfinished.get_mut(conn.sent)?;
            let (payload, commands) = (Payload(batch.payload()), batch.own.commands);
            let message = match batch.number {
                Some(SectionNumber { incarnation, number }) => {
                    ToLeader::Numbered { incarnation, number, commands, payload }
                }
                None => {
                    let number = conn.first + conn.sent as u64;
                    ToLeader::Batch { number, commands, payload }
                }
            };
            self.send(target, conn, message).await?;
            conn.sent += 1;
        }
        Some(())
    }

    /// Queues a message for a leader that may have stopped reading; `None` where there is no sense
    /// in waiting for it.
    async fn send(
        &mut self,
        target: ProposalTarget,
        conn: &LeaderConn,
        message: ToLeader,
    ) -> Option<()> {
        let sent = conn.channel.send(message);
        tokio::pin!(sent);
        let patience = self.shared.consensus.timings().forward_idle_min;
        loop {
            tokio::select! {
                sent = &mut sent => return sent,
                _ = self.status.changed() => if self.target() != target { return None },
                () = sleep(patience) => return None,
            }
        }
    }

    fn handle(&mut self, conn: &mut LeaderConn, message: ToFollower) {
        conn.activity.note();
        match message {
            ToFollower::Applied { number } => {
                while !self.numbers() && conn.sent > 0 && conn.first <= number {
                    self.finish_oldest();
                    conn.first += 1;
                    conn.sent -= 1;
                }
            }
            ToFollower::ReadIndex { id, at } => {
                let Some(asked) = conn.barriers.remove(&id) else { return };
                let consensus = self.shared.consensus.clone();
                task::spawn(async move {
                    let _ = asked.send(match at {
                        Some((term, index)) => {
                            consensus.wait_applied(LogPosition { term, index }).await
                        }
                        None => Err(ReadError::NoQuorum),
                    });
                });
            }
            ToFollower::Notice { has_quorum, notice } => {
                // The notice may have been under way for long. It says nothing of any time after the report was
                // sent.
                let reported = self.reports.answered();
                if let Some(at) = reported.filter(|_| has_quorum) {
                    self.shared.consensus.contact().quorum().note_at(at);
                }
                self.peer_status.take_leader_notice(&notice.0);
            }
            ToFollower::Accepted => {}
        }
    }
}
