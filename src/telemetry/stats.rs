//! What a server counts while it works.

use jute_proto::EventType;
use kernel::conn::{CloseKind, ConnStats};
use kernel::stats::{Counter, Histogram};

/// What a server counts.
#[derive(Debug)]
pub struct ServerStats {
    /// What connections count.
    pub conns: ConnStats,
    /// Bytes from clients.
    pub bytes_received: Counter,
    /// Bytes to clients.
    pub bytes_sent: Counter,
    /// Commands of an entry of the log.
    pub batch_commands: Histogram,
    /// Commands applied.
    pub commands_applied: Counter,
    /// Sections of servers that came again, and were not applied again.
    pub sections_repeated: Counter,
    /// Sections of servers that came before the one in front of them.
    pub sections_early: Counter,
    /// Sections of processes that had ended.
    pub sections_ended: Counter,
    /// Connections that ended before they had sent a handshake.
    pub sessionless_expired: Counter,
    /// Sessions that ended for silence.
    pub sessions_expired: Counter,
    /// Times that the digest of the tree was another one than the leader's.
    pub digest_mismatches: Counter,
    /// Frames over the limit, each of which ended its connection.
    pub requests_too_large: Counter,
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
    pub created_watchers: Histogram,
    /// Watchers told of each deletion that anyone watched.
    pub deleted_watchers: Histogram,
    /// Watchers told of each change of data that anyone watched.
    pub changed_watchers: Histogram,
    /// Watchers told of each change of a node's children that anyone watched.
    pub children_watchers: Histogram,
    closed: [Counter; CloseKind::ALL.len()],
}

impl Default for ServerStats {
    fn default() -> Self {
        Self {
            conns: ConnStats::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            batch_commands: Histogram::default(),
            commands_applied: Counter::default(),
            sections_repeated: Counter::default(),
            sections_early: Counter::default(),
            sections_ended: Counter::default(),
            sessionless_expired: Counter::default(),
            sessions_expired: Counter::default(),
            digest_mismatches: Counter::default(),
            requests_too_large: Counter::default(),
            large_requests_rejected: Counter::default(),
            refused_disk_full: Counter::default(),
            quotas_exceeded: Counter::default(),
            stale_requests: Counter::default(),
            created_watchers: Histogram::default(),
            deleted_watchers: Histogram::default(),
            changed_watchers: Histogram::default(),
            children_watchers: Histogram::default(),
            closed: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl ServerStats {
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

    /// Forgets what `srst` forgets: everything but the writes that are under way.
    pub fn reset(&self) {
        self.conns.reset();
        for counter in self.counters() {
            counter.reset();
        }
        for histogram in self.histograms() {
            histogram.reset();
        }
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        let counters = [
            &self.bytes_received,
            &self.bytes_sent,
            &self.commands_applied,
            &self.sections_repeated,
            &self.sections_early,
            &self.sections_ended,
            &self.sessionless_expired,
            &self.sessions_expired,
            &self.requests_too_large,
            &self.refused_disk_full,
            &self.stale_requests,
            &self.quotas_exceeded,
            &self.large_requests_rejected,
            &self.digest_mismatches,
        ];
        counters.into_iter().chain(&self.closed)
    }

    fn histograms(&self) -> [&Histogram; 5] {
        [
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
    fn a_reset_spares_the_writes_under_way() {
        // After `srst` the counts start anew, but a write that waits still counts as waiting.
        let stats = ServerStats::default();
        stats.conns.writes_proposed.add(3);
        stats.conns.writes_finished.increment();
        stats.conns.packets_received.increment();
        stats.count_close(CloseKind::Idle);
        stats.count_watchers(EventType::NodeDeleted, 2);
        stats.reset();
        assert_eq!(stats.conns.outstanding(), 2);
        assert_eq!(stats.conns.packets_received.get(), 0);
        assert_eq!(stats.closed().map(|(_, count)| count).sum::<u64>(), 0);
        assert_eq!(stats.deleted_watchers.read().count, 0);
    }
}
