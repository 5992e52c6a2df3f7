//! Ends sessions that were silent for too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jute_proto::SessionId;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::replica::{Command, Op, Origin};
use crate::session::ConnId;

/// Once a tick, on the tick: hears what the connections heard, and proposes the end of the sessions
/// whose deadline has passed. Deadlines are multiples of the tick, so none is noticed late.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tick_ms = u64::from(shared.config.sessions.tick_time_ms);
    loop {
        let now_ms = shared.clock.now_us() / 1000;
        let next_ms = (now_ms / tick_ms + 1) * tick_ms;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(next_ms - now_ms)) => {}
            () = stop.cancelled() => return,
        }
        hear(&shared);
        let expired = shared.expiry.lock().expired(shared.clock.now_us() / 1000);
        for session in expired {
            expire(&shared, session);
        }
    }
}

fn hear(shared: &Shared) {
    for client in shared.clients.all() {
        let session = client.conn.lock().session();
        let heard_ms = client.heard_us.load(Ordering::Relaxed) / 1000;
        shared.expiry.lock().touch(heard_ms, session);
    }
}

fn expire(shared: &Shared, session: SessionId) {
    let record = {
        let replica = shared.replica.read();
        // A client that came back meanwhile has a new deadline, set under the lock held here.
        if shared.expiry.lock().contains(session) {
            return;
        }
        replica.sessions().get(session).cloned()
    };
    let Some(record) = record else { return };
    let command = Command {
        origin: Origin { session, conn: ConnId::NONE, seq: 0 },
        identities: &[],
        op: Op::ExpireSession { owner: record.owner },
    };
    tracing::info!("session {session} expires after {} ms of silence", record.timeout_ms);
    if shared.propose(&command).is_err() {
        // It cannot be written now; the session gets another timeout and is judged again.
        let now_ms = shared.clock.now_us() / 1000;
        shared.expiry.lock().track(now_ms, session, record.timeout_ms);
    }
}
