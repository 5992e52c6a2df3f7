//! What a connection counts of itself, for `cons` and `stat`.

use jute_proto::{OpCode, SessionId, Xid, Zxid};

use super::handling::Handling;

/// A reading of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnReport {
    /// The session, 0 before the handshake is done.
    pub session: SessionId,
    /// Requests that wait for their turn.
    pub queued: usize,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// The last answered operation, in four letters.
    pub last_op: &'static str,
    /// When the connection was made, in microseconds of the server's clock.
    pub established_us: u64,
    /// The session timeout in milliseconds.
    pub timeout_ms: u32,
    /// The xid of the last answered request that was not a ping or the like; -1 before any.
    pub last_xid: Xid,
    /// The zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was made.
    pub last_response_us: u64,
    /// How long the last request took, in microseconds.
    pub last_latency_us: u64,
    /// The shortest.
    pub min_latency_us: u64,
    /// The longest.
    pub max_latency_us: u64,
    /// The mean.
    pub mean_latency_us: u64,
}

/// The counters behind a [`ConnReport`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    established_us: u64,
    received: u64,
    sent: u64,
    answered: u64,
    last_op: Option<OpCode>,
    last_xid: Xid,
    last_zxid: Zxid,
    last_response_us: u64,
    last_latency_us: u64,
    sum_latency_us: u64,
    min_latency_us: u64,
    max_latency_us: u64,
}

impl Tally {
    pub(super) fn new(established_us: u64) -> Self {
        Self { established_us, last_xid: Xid(-1), ..Self::default() }
    }

    pub(super) fn received(&mut self) {
        self.received += 1;
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn answered(
        &mut self,
        op: OpCode,
        xid: Xid,
        zxid: Zxid,
        now_us: u64,
        latency_us: u64,
    ) {
        self.last_op = Some(op);
        // What operators look for is the client's last own request, not one with a reserved xid.
        if xid.0 >= 0 {
            self.last_xid = xid;
        }
        self.last_zxid = zxid;
        self.last_response_us = now_us;
        self.last_latency_us = latency_us;
        self.sum_latency_us += latency_us;
        let first = self.answered == 0;
        self.min_latency_us = if first { latency_us } else { self.min_latency_us.min(latency_us) };
        self.max_latency_us = self.max_latency_us.max(latency_us);
        self.answered += 1;
    }

    /// Forgets what `crst` forgets.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.established_us);
    }

    pub(super) fn report(&self, session: SessionId, queued: usize, timeout_ms: u32) -> ConnReport {
        ConnReport {
            session,
            queued,
            timeout_ms,
            received: self.received,
            sent: self.sent,
            last_op: self.last_op.map_or("NA", |op| Handling::of(op).short_name),
            established_us: self.established_us,
            last_xid: self.last_xid,
            last_zxid: self.last_zxid,
            last_response_us: self.last_response_us,
            last_latency_us: self.last_latency_us,
            min_latency_us: self.min_latency_us,
            max_latency_us: self.max_latency_us,
            mean_latency_us: self.sum_latency_us.checked_div(self.answered).unwrap_or(0),
        }
    }
}
