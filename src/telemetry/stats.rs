//! What a server counts while it works.

use jute_proto::{EventType, OpCode};

use super::close_kind::CloseKind;
use super::counter::Counter;
use super::spread::Spread;

/// How many operation codes are counted: one for each, by place in [`OpCode::ALL`].
const OPS: usize = OpCode::ALL.len();

/// What a server counts.
#[derive(Debug)]
pub struct ServerStats {
    /// Packets from clients.
    pub packets_received: Counter,
    /// Packets to clients, events among them.
    pub packets_sent: Counter,
    /// Bytes from clients.
    pub bytes_received: Counter,
    /// Bytes to clients.
    pub bytes_sent: Counter,
    /// Bytes of watch events.
    pub watch_bytes: Counter,
    /// Time from the arrival of a request to its reply, in microseconds.
    pub latency_us: Spread,
    /// The same for reads alone.
    pub read_latency_us: Spread,
    /// The same for writes alone.
    pub write_latency_us: Spread,
    /// Sizes of replies in bytes.
    pub response_bytes: Spread,
    /// Commands of an entry of the log.
    pub batch_commands: Spread,
    /// Commands applied.
    pub commands_applied: Counter,
    /// Sections of servers that came again, and were not applied again.
    pub sections_repeated: Counter,
    /// Sections of servers that came before the one in front of them.
    pub sections_early: Counter,
    /// Sections of processes that had ended.
    pub sections_ended: Counter,
    /// Requests that wait for their place in the log: in now, minus out.
    pub writes_proposed: Counter,
    /// Writes that were answered, whose connection ended, or that were refused.
    pub writes_finished: Counter,
    /// Connections that asked for a session or for theirs back.
    pub connection_requests: Counter,
    /// Connections that were turned away at the door.
    pub connections_rejected: Counter,
    /// Connections that ended before they had sent a handshake.
    pub sessionless_expired: Counter,
    /// Sessions resumed.
    pub sessions_resumed: Counter,
    /// Sessions that ended for silence.
    pub sessions_expired: Counter,
    /// Times that the digest of the tree was another one than the leader's.
    pub digest_mismatches: Counter,
    /// Frames over the limit, each of which ended its connection.
    pub requests_too_large: Counter,
    /// Replies over the limit that most clients have.
    pub replies_too_large: Counter,
    /// Credentials that were refused.
    pub auth_failures: Counter,
    /// Requests answered `THROTTLEDOP`.
    pub throttled_ops: Counter,
    /// Large requests over what all may take together, each of which ended its connection.
    pub large_requests_rejected: Counter,
    /// Writes that were refused because the disk is full.
    pub refused_disk_full: Counter,
    /// Operations that went over a quota, whether or not they were refused.
    pub quotas_exceeded: Counter,
    /// Requests that became stale while they waited (`request_stale_latency_check`), each of which
    /// ended its connection.
    pub stale_requests: Counter,
    /// Watchers told of each creation that anyone watched.
    pub created_watchers: Spread,
    /// Watchers told of each deletion that anyone watched.
    pub deleted_watchers: Spread,
    /// Watchers told of each change of data that anyone watched.
    pub changed_watchers: Spread,
    /// Watchers told of each change of a node's children that anyone watched.
    pub children_watchers: Spread,
    closed: [Counter; CloseKind::ALL.len()],
    ops: [Counter; OPS],
}

impl Default for ServerStats {
    fn default() -> Self {
        Self {
            packets_received: Counter::default(),
            packets_sent: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            watch_bytes: Counter::default(),
            latency_us: Spread::default(),
            read_latency_us: Spread::default(),
            write_latency_us: Spread::default(),
            response_bytes: Spread::default(),
            batch_commands: Spread::default(),
            commands_applied: Counter::default(),
            sections_repeated: Counter::default(),
            sections_early: Counter::default(),
            sections_ended: Counter::default(),
            writes_proposed: Counter::default(),
            writes_finished: Counter::default(),
            connection_requests: Counter::default(),
            connections_rejected: Counter::default(),
            sessionless_expired: Counter::default(),
            sessions_resumed: Counter::default(),
            sessions_expired: Counter::default(),
            digest_mismatches: Counter::default(),
            requests_too_large: Counter::default(),
            replies_too_large: Counter::default(),
            auth_failures: Counter::default(),
            throttled_ops: Counter::default(),
            large_requests_rejected: Counter::default(),
            refused_disk_full: Counter::default(),
            quotas_exceeded: Counter::default(),
            stale_requests: Counter::default(),
            created_watchers: Spread::default(),
            deleted_watchers: Spread::default(),
            changed_watchers: Spread::default(),
            children_watchers: Spread::default(),
            closed: std::array::from_fn(|_| Counter::default()),
            ops: std::array::from_fn(|_| Counter::default()),
        }
    }
}

/// The lowest operation code.
const OP_MIN: i32 = OpCode::CloseSession as i32;

/// The place of each operation code in [`OpCode::ALL`], by the code less [`OP_MIN`]: requests are
/// counted one by one, and a search would cost more than the counting.
const PLACES: [u8; 640] = {
    let mut places = [0; 640];
    let mut at = 0;
    while at < OPS {
        places[(OpCode::ALL[at] as i32 - OP_MIN) as usize] = at as u8;
        at += 1;
    }
    places
};

fn place(op: OpCode) -> usize {
    usize::from(PLACES[(op as i32 - OP_MIN) as usize])
}

impl ServerStats {
    /// Counts an operation of this kind.
    pub fn count_op(&self, op: OpCode) {
        self.ops[place(op)].increment();
    }

    /// How often each kind of operation was asked for.
    pub fn ops(&self) -> impl Iterator<Item = (OpCode, u64)> {
        OpCode::ALL.iter().zip(&self.ops).map(|(op, counter)| (*op, counter.get()))
    }

    /// Counts the end of a connection.
    pub fn count_close(&self, kind: CloseKind) {
        if let Some(at) = CloseKind::ALL.iter().position(|known| *known == kind) {
            self.closed[at].increment();
        }
    }

    /// How often connections ended in each way.
    pub fn closed(&self) -> impl Iterator<Item = (CloseKind, u64)> {
        CloseKind::ALL.into_iter().zip(&self.closed).map(|(kind, counter)| (kind, counter.get()))
    }

    /// Counts how many watchers one change told.
    pub fn count_watchers(&self, event: EventType, watchers: u64) {
        match event {
            EventType::NodeCreated => self.created_watchers.record(watchers),
            EventType::NodeDeleted => self.deleted_watchers.record(watchers),
            EventType::NodeDataChanged => self.changed_watchers.record(watchers),
            EventType::NodeChildrenChanged => self.children_watchers.record(watchers),
            EventType::None
            | EventType::DataWatchRemoved
            | EventType::ChildWatchRemoved
            | EventType::PersistentWatchRemoved => {}
        }
    }

    /// Writes that wait for their place in the log.
    pub fn outstanding(&self) -> u64 {
        self.writes_proposed.get().saturating_sub(self.writes_finished.get())
    }

    /// No outcome will come of the writes that wait: nobody waits for them any more.
    pub fn settle_writes(&self) {
        self.writes_finished.add(self.outstanding());
    }

    /// Forgets what `srst` forgets: everything but the writes that are under way.
    pub fn reset(&self) {
        for counter in self.counters() {
            counter.reset();
        }
        for spread in self.spreads() {
            spread.reset();
        }
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        let counters = [
            &self.packets_received,
            &self.packets_sent,
            &self.bytes_received,
            &self.bytes_sent,
            &self.watch_bytes,
            &self.commands_applied,
            &self.sections_repeated,
            &self.sections_early,
            &self.sections_ended,
            &self.connection_requests,
            &self.connections_rejected,
            &self.sessionless_expired,
            &self.sessions_resumed,
            &self.sessions_expired,
            &self.requests_too_large,
            &self.replies_too_large,
            &self.auth_failures,
            &self.refused_disk_full,
            &self.stale_requests,
            &self.quotas_exceeded,
            &self.throttled_ops,
            &self.large_requests_rejected,
            &self.digest_mismatches,
        ];
        counters.into_iter().chain(&self.closed).chain(&self.ops)
    }

    fn spreads(&self) -> [&Spread; 9] {
        [
            &self.latency_us,
            &self.read_latency_us,
            &self.write_latency_us,
            &self.response_bytes,
            &self.batch_commands,
            &self.created_watchers,
            &self.deleted_watchers,
            &self.changed_watchers,
            &self.children_watchers,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_counted_for_itself() {
        // The counter of one operation does not move another's, whichever it is.
        for (at, op) in OpCode::ALL.iter().enumerate() {
            assert_eq!(place(*op), at);
        }
        let stats = ServerStats::default();
        stats.count_op(OpCode::GetData);
        assert_eq!(stats.ops().map(|(_, count)| count).sum::<u64>(), 1);
        assert!(stats.ops().any(|(op, count)| op == OpCode::GetData && count == 1));
    }

    #[test]
    fn a_reset_spares_the_writes_under_way() {
        // After `srst` the counts start anew, but a write that waits still counts as waiting.
        let stats = ServerStats::default();
        stats.writes_proposed.add(3);
        stats.writes_finished.increment();
        stats.packets_received.increment();
        stats.count_close(CloseKind::Idle);
        stats.count_watchers(EventType::NodeDeleted, 2);
        stats.reset();
        assert_eq!(stats.outstanding(), 2);
        assert_eq!(stats.packets_received.get(), 0);
        assert_eq!(stats.closed().map(|(_, count)| count).sum::<u64>(), 0);
        assert_eq!(stats.deleted_watchers.read().count, 0);
    }
}
