//! What connections count.

use jute_proto::OpCode;

use crate::stats::{Counter, Histogram};

/// What all connections of a server count together.
#[derive(Debug)]
pub struct ConnStats {
    /// Packets from clients.
    pub packets_received: Counter,
    /// Packets to clients, events among them.
    pub packets_sent: Counter,
    /// Bytes of watch events.
    pub watch_bytes: Counter,
    /// Time from the arrival of a request to its reply, in microseconds.
    pub latency_us: Histogram,
    /// The same for reads alone.
    pub read_latency_us: Histogram,
    /// The same for writes alone.
    pub write_latency_us: Histogram,
    /// Sizes of replies in bytes.
    pub response_bytes: Histogram,
    /// Requests that wait for their place in the log: in now, minus out.
    pub writes_proposed: Counter,
    /// Writes that were answered, whose connection ended, or that were refused.
    pub writes_finished: Counter,
    /// Connections that asked for a session or for theirs back.
    pub connection_requests: Counter,
    /// Connections that were turned away at the door.
    pub connections_rejected: Counter,
    /// Sessions resumed.
    pub sessions_resumed: Counter,
    /// Replies over the limit that most clients have.
    pub replies_too_large: Counter,
    /// Credentials that were refused.
    pub auth_failures: Counter,
    /// Requests answered `THROTTLEDOP`.
    pub throttled_ops: Counter,
    /// In the order of [`OpCode::ALL`].
    ops: [Counter; OpCode::COUNT],
}

impl Default for ConnStats {
    fn default() -> Self {
        Self {
            packets_received: Counter::default(),
            packets_sent: Counter::default(),
            watch_bytes: Counter::default(),
            latency_us: Histogram::default(),
            read_latency_us: Histogram::default(),
            write_latency_us: Histogram::default(),
            response_bytes: Histogram::default(),
            writes_proposed: Counter::default(),
            writes_finished: Counter::default(),
            connection_requests: Counter::default(),
            connections_rejected: Counter::default(),
            sessions_resumed: Counter::default(),
            replies_too_large: Counter::default(),
            auth_failures: Counter::default(),
            throttled_ops: Counter::default(),
            ops: core::array::from_fn(|_| Counter::default()),
        }
    }
}

impl ConnStats {
    /// Counts an operation of this kind.
    pub fn count_op(&self, op: OpCode) {
        self.ops[op.index()].increment();
    }

    /// How often each kind of operation was asked for.
    pub fn ops(&self) -> impl Iterator<Item = (OpCode, u64)> {
        OpCode::ALL.iter().zip(&self.ops).map(|(op, counter)| (*op, counter.get()))
    }

    /// Writes that wait for their place in the log.
    pub fn outstanding(&self) -> u64 {
        self.writes_proposed.get().saturating_sub(self.writes_finished.get())
    }

    /// No outcome will come of the writes that wait: nobody waits for them any more.
    pub fn settle_writes(&self) {
        self.writes_finished.add(self.outstanding());
    }

    /// Starts anew, except for the writes that are under way.
    pub fn reset(&self) {
        let counters = [
            &self.packets_received,
            &self.packets_sent,
            &self.watch_bytes,
            &self.connection_requests,
            &self.connections_rejected,
            &self.sessions_resumed,
            &self.replies_too_large,
            &self.auth_failures,
            &self.throttled_ops,
        ];
        counters.into_iter().chain(&self.ops).for_each(Counter::reset);
        let histograms =
            [&self.latency_us, &self.read_latency_us, &self.write_latency_us, &self.response_bytes];
        histograms.into_iter().for_each(Histogram::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_counted_for_itself() {
        // The counter of one operation does not move another's, whichever it is.
        let stats = ConnStats::default();
        stats.count_op(OpCode::GetData);
        assert_eq!(stats.ops().map(|(_, count)| count).sum::<u64>(), 1);
        assert!(stats.ops().any(|(op, count)| op == OpCode::GetData && count == 1));
    }
}
