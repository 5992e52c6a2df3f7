//! Ends sessions that were silent for too long.

use std::sync::Arc;
use std::time::Duration;

use kernel::replica::{Command, Op, VERSION_2};
use kernel::session::Overdue;
use tokio_util::sync::CancellationToken;

use super::commands::LeaderCommands;
use crate::env::time::sleep;
use crate::node::core::Core;

/// A tick that comes this late finds a server that was stopped or starved: what its clients sent
/// meanwhile may not have been read.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Where this server leads, once a tick, on the tick: hears what the connections heard, and proposes
/// the end of the sessions whose deadline has passed. Deadlines are multiples of the tick, so none is
/// noticed late.
pub(in crate::node) async fn run(
    core: Arc<Core>,
    leader: LeaderCommands,
    tick_ms: u64,
    stop: CancellationToken,
) {
    loop {
        let now_ms = core.clock.now_us() / 1000;
        let next_ms = (now_ms / tick_ms + 1) * tick_ms;
        tokio::select! {
            () = sleep(Duration::from_millis(next_ms - now_ms)) => {}
            () = stop.cancelled() => return,
        }
        let late_ms = (core.clock.now_us() / 1000).saturating_sub(next_ms);
        if !core.leader_duties.may_expire() || Duration::from_millis(late_ms) > LATE_MAX {
            continue;
        }
        // After this, a deadline that has passed is that of a session which no connection of this server heard of.
        for (session, heard_us) in core.connections.last_heard() {
            core.leader_duties.touch(heard_us / 1000, session);
        }
        for overdue in core.leader_duties.take_overdue(core.clock.now_us() / 1000) {
            expire(&core, &leader, overdue).await;
        }
    }
}

async fn expire(core: &Core, leader: &LeaderCommands, overdue: Overdue) {
    let session = overdue.session;
    let record = {
        let replica = core.replica.read().await;
        // A client that came back meanwhile has a new deadline, set under the lock held here.
        if core.leader_duties.tracks(session) {
            return;
        }
        replica.sessions().get(session).cloned()
    };
    let Some(record) = record else { return };
    let now_ms = core.clock.now_us() / 1000;
    if may_be_alive(core, record.owner.server.0, overdue.due.0, now_ms) {
        return core.leader_duties.postpone(now_ms, overdue, record.timeout_ms);
    }
    let (owner, Some(term)) = (record.owner, core.leader_duties.term()) else { return };
    let op = match core.process.version() {
        ..VERSION_2 => Op::ExpireSession { owner },
        VERSION_2.. => Op::ExpireSessionIn { owner, term },
    };
    let command = Command::of_server_for(session, op);
    tracing::info!("session {session} expires after {} ms of silence", record.timeout_ms);
    if leader.propose(&command).is_err() {
        // It cannot be written now; the session gets another timeout and is judged again.
        core.leader_duties.track(now_ms, session, record.timeout_ms);
    }
}

/// Whether a session may have been heard of, before it was overdue, by the server of its connection,
/// which has not reported since. A server that has no contact for as long as `syncLimit` disconnects its
/// clients.
fn may_be_alive(core: &Core, server: u64, due_ms: u64, now_ms: u64) -> bool {
    if server == core.process.server() {
        return false;
    }
    let reported_ms = core.leader_duties.last_report_ms(server);
    let silent = Duration::from_millis(now_ms.saturating_sub(reported_ms));
    reported_ms < due_ms && silent < core.serving.contact_max()
}
