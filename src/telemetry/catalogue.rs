//! The catalogue: every number that a server shows, with its name and meaning.
//!
//! `mntr`, the admin command `monitor` and Prometheus all read it, so they cannot disagree. Names and
//! units are ZooKeeper's where it has the number; a number that has no meaning here has no entry.

use kernel::conn::Handling;
use kernel::stats::Histogram;

use super::stats::ServerStats;

/// The shares that a [`Summary`] tells.
pub const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// One entry of the catalogue.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// The name, without any prefix.
    pub name: String,
    /// What it says.
    pub help: &'static str,
    /// What it is now.
    pub value: Value,
}

/// What an entry of the catalogue holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A whole number that goes up and down.
    Gauge(i64),
    /// Any number that goes up and down.
    DecimalGauge(f64),
    /// A number that grows until `srst`.
    Counter(u64),
    /// Any number that grows.
    DecimalCounter(f64),
    /// The distribution of a value.
    Summary(Summary),
}

/// The distribution of a value, in the unit that is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The values at [`QUANTILES`].
    pub quantiles: [f64; QUANTILES.len()],
    /// Whether `mntr` shows the quantiles too, as ZooKeeper's for this name.
    pub detailed: bool,
}

/// What is not counted but looked up when somebody asks.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Gauges {
    /// Milliseconds since the server started.
    pub uptime_ms: u64,
    /// Open connections.
    pub connections: usize,
    /// Live sessions.
    pub sessions: usize,
    /// Nodes of the tree.
    pub nodes: usize,
    /// Watches of the connections of this server.
    pub watches: usize,
    /// Ephemeral nodes.
    pub ephemerals: usize,
    /// Bytes of all paths and data.
    pub data_size: u64,
    /// The last zxid.
    pub last_zxid: i64,
    /// Bytes of the stored state.
    pub data_dir_bytes: u64,
    /// Bytes of the log.
    pub log_dir_bytes: u64,
    /// Whether writes are refused because the disk is full.
    pub disk_full: bool,
    /// What the system says of the process; absent where it does not.
    pub process: ProcessGauges,
    /// How likely it is that a new connection is turned away by chance, 0 to 1.
    pub connection_drop_chance: f64,
    /// Where consensus stands.
    pub raft: RaftGauges,
    /// The ensemble; absent for a server on its own.
    pub ensemble: Option<EnsembleGauges>,
}

/// What the system says of the process.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProcessGauges {
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many it may have.
    pub max_fds: Option<u64>,
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// Time on all processors, in seconds.
    pub cpu_seconds: Option<f64>,
}

/// Where consensus stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RaftGauges {
    /// The current term.
    pub term: u64,
    /// The newest entry of the log.
    pub last_log_index: u64,
    /// The newest committed entry.
    pub committed_index: u64,
    /// The newest applied entry.
    pub applied_index: u64,
    /// Where the newest checkpoint stands.
    pub checkpoint_index: u64,
}

/// The ensemble as a server of it sees it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EnsembleGauges {
    /// How many servers vote.
    pub quorum_size: usize,
    /// Observers that are brought up to date by this server: a follower has none.
    pub synced_observers: usize,
    /// What only a leader knows.
    pub leader: Option<LeaderGauges>,
}

/// What only a leader knows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaderGauges {
    /// Servers that answer it.
    pub learners: usize,
    /// Those of them that vote and are up to date.
    pub synced_followers: usize,
    /// Those that are up to date and belong to the ensemble neither as voters nor as observers.
    pub synced_non_voting_followers: usize,
    /// Those that are not up to date.
    pub pending_syncs: usize,
    /// For how long it leads, in milliseconds.
    pub uptime_ms: u64,
}

/// The storage's own measurements, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct StorageHistograms<'a> {
    /// Flushes of the log.
    pub flush_us: &'a Histogram,
    /// Checkpoints.
    pub checkpoint_us: &'a Histogram,
}

/// Reads everything.
pub fn catalogue(
    stats: &ServerStats,
    storage: Option<StorageHistograms<'_>>,
    gauges: &Gauges,
) -> Vec<Metric> {
    let mut list = List(Vec::new());
    list.latencies(stats);
    list.state(stats, gauges);
    list.process(&gauges.process);
    list.consensus(gauges);
    if let Some(ensemble) = &gauges.ensemble {
        list.ensemble(ensemble);
    }
    list.traffic(stats);
    list.limits(stats);
    list.operations(stats);
    for (kind, count) in stats.closed() {
        let (name, help) = kind.metric();
        list.counter(name, help, count);
    }
    list.summaries(stats, storage);
    list.0
}

struct List(Vec<Metric>);

impl List {
    fn add(&mut self, name: &str, help: &'static str, value: Value) {
        self.0.push(Metric { name: name.to_owned(), help, value });
    }

    fn gauge(&mut self, name: &str, help: &'static str, value: impl TryInto<i64>) {
        self.add(name, help, Value::Gauge(value.try_into().unwrap_or(i64::MAX)));
    }

    fn decimal(&mut self, name: &str, help: &'static str, value: f64) {
        self.add(name, help, Value::DecimalGauge(value));
    }

    fn counter(&mut self, name: &str, help: &'static str, value: u64) {
        self.add(name, help, Value::Counter(value));
    }

    /// A time: measured in microseconds, shown in milliseconds as ZooKeeper does.
    fn time(&mut self, name: &str, help: &'static str, histogram_us: &Histogram, detailed: bool) {
        self.add(name, help, Value::Summary(summary(histogram_us, 1000.0, detailed)));
    }

    fn amount(&mut self, name: &str, help: &'static str, histogram: &Histogram) {
        self.add(name, help, Value::Summary(summary(histogram, 1.0, false)));
    }

    fn latencies(&mut self, stats: &ServerStats) {
        let latency = stats.conns.latency_us.read();
        self.decimal("avg_latency", "mean time from request to reply, ms", latency.mean() / 1e3);
        self.gauge("min_latency", "shortest time from request to reply, ms", to_ms(latency.min));
        self.gauge("max_latency", "longest time from request to reply, ms", to_ms(latency.max));
        self.gauge("packets_received", "packets received", stats.conns.packets_received.get());
        self.gauge("packets_sent", "packets sent", stats.conns.packets_sent.get());
    }

    fn state(&mut self, stats: &ServerStats, gauges: &Gauges) {
        self.gauge("num_alive_connections", "open connections", gauges.connections);
        self.gauge("outstanding_requests", "writes waiting for the log", stats.conns.outstanding());
        self.gauge("uptime", "time since the start, ms", gauges.uptime_ms);
        self.gauge("znode_count", "znodes", gauges.nodes);
        self.gauge("watch_count", "watches of this server's connections", gauges.watches);
        self.gauge("ephemerals_count", "ephemeral znodes", gauges.ephemerals);
        self.gauge("approximate_data_size", "bytes of all paths and data", gauges.data_size);
        self.gauge("global_sessions", "live sessions", gauges.sessions);
        self.gauge("local_sessions", "live local sessions", 0);
        self.gauge("last_processed_zxid", "the zxid of the last write", gauges.last_zxid);
        let response = stats.conns.response_bytes.read();
        // ZooKeeper says -1 as long as nothing was sent.
        let size = |bytes: u64| if response.count == 0 { -1 } else { bytes.cast_signed() };
        let sizes = [
            ("last_client_response_size", "bytes of the last reply", response.last),
            ("max_client_response_size", "bytes of the longest reply", response.max),
            ("min_client_response_size", "bytes of the shortest reply", response.min),
        ];
        for (name, help, bytes) in sizes {
            self.gauge(name, help, size(bytes));
        }
        self.gauge("auth_failed_count", "credentials refused", stats.conns.auth_failures.get());
        let chance = gauges.connection_drop_chance;
        self.decimal("connection_drop_probability", "share of new connections dropped", chance);
    }

    fn process(&mut self, process: &ProcessGauges) {
        let known = [
            ("open_file_descriptor_count", "open file descriptors", process.open_fds),
            ("max_file_descriptor_count", "most file descriptors allowed", process.max_fds),
            ("process_resident_memory_bytes", "memory in use", process.resident_bytes),
        ];
        for (name, help, value) in known {
            if let Some(value) = value {
                self.gauge(name, help, value);
            }
        }
        if let Some(seconds) = process.cpu_seconds {
            let value = Value::DecimalCounter(seconds);
            self.add("process_cpu_seconds_total", "processor time used, s", value);
        }
    }

    fn consensus(&mut self, gauges: &Gauges) {
        self.gauge("data_dir_size", "bytes of the stored state", gauges.data_dir_bytes);
        self.gauge("log_dir_size", "bytes of the log", gauges.log_dir_bytes);
        self.gauge("disk_full", "1 while writes are refused for want of space", gauges.disk_full);
        let raft = &gauges.raft;
        let indexes = [
            ("raft_term", "the current term", raft.term),
            ("raft_last_log_index", "the newest entry of the log", raft.last_log_index),
            ("raft_committed_index", "the newest committed entry", raft.committed_index),
            ("raft_applied_index", "the newest applied entry", raft.applied_index),
            ("raft_checkpoint_index", "where the newest checkpoint stands", raft.checkpoint_index),
        ];
        for (name, help, value) in indexes {
            self.gauge(name, help, value);
        }
    }

    fn ensemble(&mut self, ensemble: &EnsembleGauges) {
        self.gauge("quorum_size", "servers that vote", ensemble.quorum_size);
        let observers = ensemble.synced_observers;
        self.gauge("synced_observers", "observers that are up to date", observers);
        let Some(leader) = &ensemble.leader else { return };
        let counts = [
            ("learners", "servers that answer the leader", leader.learners),
            ("synced_followers", "followers that are up to date", leader.synced_followers),
            (
                "synced_non_voting_followers",
                "servers that are up to date and no members",
                leader.synced_non_voting_followers,
            ),
            ("pending_syncs", "servers that are being brought up to date", leader.pending_syncs),
        ];
        for (name, help, count) in counts {
            self.gauge(name, help, count);
        }
        self.gauge("leader_uptime", "time since this server leads, ms", leader.uptime_ms);
    }

    fn traffic(&mut self, stats: &ServerStats) {
        self.counter("bytes_received_count", "bytes received", stats.bytes_received.get());
        self.counter("bytes_sent_count", "bytes sent", stats.bytes_sent.get());
        self.counter("response_bytes", "bytes of replies", stats.conns.response_bytes.read().sum);
        self.counter("watch_bytes", "bytes of watch events", stats.conns.watch_bytes.get());
        self.counter("commit_count", "writes applied", stats.commands_applied.get());
        let repeated = stats.sections_repeated.get();
        self.counter("sections_repeated", "batches of servers that came again", repeated);
        let early = stats.sections_early.get();
        self.counter("sections_early", "batches of servers that came too early", early);
        let ended = stats.sections_ended.get();
        self.counter("sections_ended", "batches of processes that had ended", ended);
        let requests = stats.conns.connection_requests.get();
        self.counter("connection_request_count", "handshakes received", requests);
        let resumed = stats.conns.sessions_resumed.get();
        self.counter("connection_revalidate_count", "sessions resumed", resumed);
        let expired = stats.sessions_expired.get();
        self.counter("stale_sessions_expired", "sessions ended for silence", expired);
    }

    fn limits(&mut self, stats: &ServerStats) {
        let counters = [
            ("connection_rejected", "connections over a limit", &stats.conns.connections_rejected),
            (
                "sessionless_connections_expired",
                "connections closed because no handshake came",
                &stats.sessionless_expired,
            ),
            ("stale_requests", "requests that became stale while waiting", &stats.stale_requests),
            ("throttled_ops", "requests answered THROTTLEDOP", &stats.conns.throttled_ops),
            (
                "large_requests_rejected",
                "large requests turned away",
                &stats.large_requests_rejected,
            ),
            ("requests_too_large", "packets over jute.maxbuffer", &stats.requests_too_large),
            ("responses_too_large", "replies over jute.maxbuffer", &stats.conns.replies_too_large),
            ("quota_exceeded_count", "operations over a quota", &stats.quotas_exceeded),
            ("disk_full_refusals", "writes refused for want of space", &stats.refused_disk_full),
        ];
        for (name, help, counter) in counters {
            self.counter(name, help, counter.get());
        }
        let differ = stats.digest_mismatches.get();
        self.counter("digest_mismatches_count", "digests that differ between replicas", differ);
    }

    fn operations(&mut self, stats: &ServerStats) {
        let mut families: Vec<(&'static str, u64)> = Vec::new();
        for (op, count) in stats.conns.ops() {
            let Some(family) = Handling::of(op).metric else { continue };
            match families.iter_mut().find(|(known, _)| *known == family) {
                Some((_, total)) => *total += count,
                None => families.push((family, count)),
            }
        }
        let total = families.iter().map(|(_, count)| count).sum();
        self.counter("op_count_total", "operations asked for", total);
        for (family, count) in families {
            self.counter(&format!("op_count_{family}"), "operations of this kind", count);
        }
    }

    fn summaries(&mut self, stats: &ServerStats, storage: Option<StorageHistograms<'_>>) {
        self.time(
            "readlatency",
            "time from a read to its reply, ms",
            &stats.conns.read_latency_us,
            true,
        );
        let writes = &stats.conns.write_latency_us;
        self.time("updatelatency", "time from a write to its reply, ms", writes, true);
        if let Some(storage) = storage {
            self.time("fsynctime", "time to flush the log, ms", storage.flush_us, false);
            let checkpoint = storage.checkpoint_us;
            self.time("snapshottime", "time to write a checkpoint, ms", checkpoint, false);
        }
        let batches = &stats.batch_commands;
        self.amount("sync_processor_batch_size", "writes of one log entry", batches);
        let watchers = [
            ("node_created_watch_count", "watchers told of a creation", &stats.created_watchers),
            ("node_deleted_watch_count", "watchers told of a deletion", &stats.deleted_watchers),
            ("node_changed_watch_count", "watchers told of new data", &stats.changed_watchers),
            (
                "node_children_watch_count",
                "watchers told of new or lost children",
                &stats.children_watchers,
            ),
        ];
        for (name, help, histogram) in watchers {
            self.amount(name, help, histogram);
        }
    }
}

fn summary(histogram: &Histogram, unit: f64, detailed: bool) -> Summary {
    let read = histogram.read();
    Summary {
        count: read.count,
        sum: read.sum as f64 / unit,
        min: read.min as f64 / unit,
        max: read.max as f64 / unit,
        quantiles: histogram.quantiles(QUANTILES).map(|value| value as f64 / unit),
        detailed,
    }
}

/// Microseconds in whole milliseconds, rounded.
pub fn to_ms(us: u64) -> u64 {
    us.saturating_add(500) / 1000
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jute_proto::OpCode;

    use super::*;

    fn find(list: &[Metric], name: &str) -> Value {
        let found = list.iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("{name} is in the catalogue")).value.clone()
    }

    #[test]
    fn every_name_is_there_once() {
        // Two entries of one name would make the surfaces disagree.
        let (stats, histogram) = (ServerStats::default(), Histogram::default());
        let storage = StorageHistograms { flush_us: &histogram, checkpoint_us: &histogram };
        let list = catalogue(&stats, Some(storage), &Gauges::default());
        let names: BTreeSet<&str> = list.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names.len(), list.len());
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(names.iter().all(|name| name.chars().all(valid)), "{names:?}");
    }

    #[test]
    fn times_are_shown_in_milliseconds() {
        // What is measured in microseconds is shown in ZooKeeper's unit.
        let stats = ServerStats::default();
        [500, 1500, 4000].iter().for_each(|us| stats.conns.latency_us.record(*us));
        stats.conns.read_latency_us.record(2500);
        let list = catalogue(&stats, None, &Gauges::default());
        assert_eq!(find(&list, "avg_latency"), Value::DecimalGauge(2.0));
        assert_eq!(find(&list, "min_latency"), Value::Gauge(1));
        assert_eq!(find(&list, "max_latency"), Value::Gauge(4));
        let Value::Summary(reads) = find(&list, "readlatency") else { panic!("a summary") };
        assert_eq!((reads.count, reads.sum, reads.quantiles[0]), (1, 2.5, 2.5));
    }

    #[test]
    fn related_operations_are_counted_together() {
        // create and create2 are one kind of operation for a reader of the numbers.
        let stats = ServerStats::default();
        [OpCode::Create, OpCode::Create2, OpCode::Ping]
            .iter()
            .for_each(|op| stats.conns.count_op(*op));
        let list = catalogue(&stats, None, &Gauges::default());
        assert_eq!(find(&list, "op_count_create"), Value::Counter(2));
        assert_eq!(find(&list, "op_count_total"), Value::Counter(3));
    }

    #[test]
    fn without_replies_their_size_is_minus_one() {
        // As in ZooKeeper, where -1 stands for "none yet".
        let list = catalogue(&ServerStats::default(), None, &Gauges::default());
        assert_eq!(find(&list, "last_client_response_size"), Value::Gauge(-1));
    }
}
