//! Ends sessions that were silent for too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::replica::{Command, Op, VERSION_ONCE};
use kernel::session::Overdue;
use kernel::time::SessionTime;
use tokio_util::sync::CancellationToken;

use super::super::core::Shared;

/// A tick that comes this late finds a server that was stopped or starved: what its clients sent
/// meanwhile may not have been read.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Where this server leads, once a tick, on the tick: hears what the connections heard, and proposes
/// the end of the sessions whose deadline has passed. Deadlines are multiples of the tick, so none is
/// noticed late.
pub(in crate::node) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tick_ms = u64::from(shared.config.sessions.tick_time_ms);
    loop {
        let now_ms = shared.clock.now_us() / 1000;
        let next_ms = (now_ms / tick_ms + 1) * tick_ms;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(next_ms - now_ms)) => {}
            () = stop.cancelled() => return,
        }
        let late_ms = (shared.clock.now_us() / 1000).saturating_sub(next_ms);
        let leads = shared.leading().is_some() && !shared.awaits_members.load(Ordering::Acquire);
        if !leads || Duration::from_millis(late_ms) > LATE_MAX {
            continue;
        }
        hear(&shared);
        let expired = shared.expiry.lock().expired(SessionTime::from_us(shared.clock.now_us()));
        for overdue in expired {
            expire(&shared, overdue).await;
        }
    }
}

fn hear(shared: &Shared) {
    for client in shared.connections.all() {
        let session = client.session();
        let heard = SessionTime::from_us(client.heard_us.load(Ordering::Relaxed));
        shared.expiry.lock().touch(heard, session);
    }
}

async fn expire(shared: &Shared, overdue: Overdue) {
    let session = overdue.session;
    let record = {
        let replica = shared.replica.read().await;
        // A client that came back meanwhile has a new deadline, set under the lock held here.
        if shared.expiry.lock().contains(session) {
            return;
        }
        replica.sessions().get(session).cloned()
    };
    let Some(record) = record else { return };
    let now = SessionTime::from_us(shared.clock.now_us());
    if may_be_alive(shared, record.owner.server, overdue.due, now) {
        return shared.expiry.lock().postpone(now, overdue, record.timeout_ms);
    }
    let (owner, Some(term)) = (record.owner, shared.leading()) else { return };
    let op = match shared.version.load(Ordering::Acquire) {
        ..VERSION_ONCE => Op::ExpireSession { owner },
        VERSION_ONCE.. => Op::ExpireSessionIn { owner, term },
    };
    let command = Command::of_server_for(session, op);
    tracing::info!("session {session} expires after {} ms of silence", record.timeout_ms);
    if shared.propose_as_leader(&command).is_err() {
        // It cannot be written now; the session gets another timeout and is judged again.
        shared.expiry.lock().track(now, session, record.timeout_ms);
    }
}

/// Whether a session may have been heard of, before it was overdue, by the server of its connection,
/// which has not reported since. A server that has no contact for as long as `syncLimit` lets its
/// clients go.
fn may_be_alive(shared: &Shared, server: u64, due: SessionTime, now: SessionTime) -> bool {
    if server == shared.server() {
        return false;
    }
    let reported_ms = shared.reports.lock().get(&server).copied();
    // Who has not reported to a new leader yet may have much to say.
    let reported_ms = reported_ms.unwrap_or_else(|| shared.leading_since_ms());
    let silent = Duration::from_millis(now.0.saturating_sub(reported_ms));
    reported_ms < due.0 && silent < shared.contact_max()
}
