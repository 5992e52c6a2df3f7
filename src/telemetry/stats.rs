//! Counters that any thread may add to at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jute_proto::OpCode;

/// A number that only grows, until someone resets it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Starts anew at 0.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// How a measured value is spread: how often, the sum, the least, the greatest, the last.
#[derive(Debug)]
pub struct Spread {
    count: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    last: AtomicU64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }
}

/// A reading of a [`Spread`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Extremes {
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least, 0 without any.
    pub min: u64,
    /// The greatest, 0 without any.
    pub max: u64,
    /// The last one, 0 without any.
    pub last: u64,
}

impl Extremes {
    /// The mean, 0 without any value.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

impl Spread {
    /// Adds a value.
    pub fn record(&self, value: u64) {
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        self.last.store(value, Relaxed);
        if value < self.min.load(Relaxed) {
            self.min.fetch_min(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
    }

    /// Reads it. Values that come in at the same time may be counted in part.
    pub fn read(&self) -> Extremes {
        let count = self.count.load(Relaxed);
        Extremes {
            count,
            sum: self.sum.load(Relaxed),
            min: if count == 0 { 0 } else { self.min.load(Relaxed) },
            max: self.max.load(Relaxed),
            last: self.last.load(Relaxed),
        }
    }

    /// Starts anew.
    pub fn reset(&self) {
        self.count.store(0, Relaxed);
        self.sum.store(0, Relaxed);
        self.min.store(u64::MAX, Relaxed);
        self.max.store(0, Relaxed);
        self.last.store(0, Relaxed);
    }
}

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
    /// Time from the arrival of a request to its reply, in microseconds.
    pub latency_us: Spread,
    /// The same for reads alone.
    pub read_latency_us: Spread,
    /// The same for writes alone.
    pub write_latency_us: Spread,
    /// Sizes of replies in bytes.
    pub response_bytes: Spread,
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
    /// Sessions that ended for silence.
    pub sessions_expired: Counter,
    /// Frames over the limit, each of which ended its connection.
    pub requests_too_large: Counter,
    /// Replies over the limit that most clients have.
    pub replies_too_large: Counter,
    /// Connections that ended because their client did not read.
    pub slow_readers_closed: Counter,
    /// Connections that ended because of bytes that are no request.
    pub malformed_closed: Counter,
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
    ops: [Counter; OPS],
}

impl Default for ServerStats {
    fn default() -> Self {
        Self {
            packets_received: Counter::default(),
            packets_sent: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            latency_us: Spread::default(),
            read_latency_us: Spread::default(),
            write_latency_us: Spread::default(),
            response_bytes: Spread::default(),
            writes_proposed: Counter::default(),
            writes_finished: Counter::default(),
            connection_requests: Counter::default(),
            connections_rejected: Counter::default(),
            sessions_resumed: Counter::default(),
            sessions_expired: Counter::default(),
            requests_too_large: Counter::default(),
            replies_too_large: Counter::default(),
            slow_readers_closed: Counter::default(),
            malformed_closed: Counter::default(),
            auth_failures: Counter::default(),
            throttled_ops: Counter::default(),
            large_requests_rejected: Counter::default(),
            refused_disk_full: Counter::default(),
            quotas_exceeded: Counter::default(),
            ops: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl ServerStats {
    /// Counts an operation of this kind.
    pub fn count_op(&self, op: OpCode) {
        if let Some(at) = OpCode::ALL.iter().position(|known| *known == op) {
            self.ops[at].increment();
        }
    }

    /// How often each kind of operation was asked for.
    pub fn ops(&self) -> impl Iterator<Item = (OpCode, u64)> {
        OpCode::ALL.iter().zip(&self.ops).map(|(op, counter)| (*op, counter.get()))
    }

    /// Writes that wait for their place in the log.
    pub fn outstanding(&self) -> u64 {
        self.writes_proposed.get().saturating_sub(self.writes_finished.get())
    }

    /// Forgets what `srst` forgets: packets and latencies.
    pub fn reset(&self) {
        self.packets_received.reset();
        self.packets_sent.reset();
        self.latency_us.reset();
        self.read_latency_us.reset();
        self.write_latency_us.reset();
        self.response_bytes.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_knows_its_extremes() {
        // Mean, least, greatest and last of what was recorded; nothing before and after a reset.
        let spread = Spread::default();
        assert_eq!(spread.read(), Extremes::default());
        for value in [5, 1, 3] {
            spread.record(value);
        }
        assert_eq!(spread.read(), Extremes { count: 3, sum: 9, min: 1, max: 5, last: 3 });
        assert!((spread.read().mean() - 3.0).abs() < f64::EPSILON);
        spread.reset();
        assert_eq!(spread.read(), Extremes::default());
    }

    #[test]
    fn each_operation_is_counted_for_itself() {
        // The counter of one operation does not move another's.
        let stats = ServerStats::default();
        stats.count_op(OpCode::GetData);
        assert_eq!(stats.ops().map(|(_, count)| count).sum::<u64>(), 1);
        assert!(stats.ops().any(|(op, count)| op == OpCode::GetData && count == 1));
    }
}
