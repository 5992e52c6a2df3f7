//! What a server shows of itself, read at one moment into plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jute_proto::{SessionId, Zxid};
use kernel::conn::ConnReport;
use kernel::stats::Extremes;

use super::{ensemble, process};
use crate::config::DataSizes;
use crate::consensus::{Consensus, Role};
use crate::node::{DigestRecord, ServingMode, Shared, SnapshotInfo};
use crate::storage::LogPosition;
use crate::telemetry::{Gauges, Metric, RaftGauges, StorageHistograms, catalogue};

/// The figures of `srvr`.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerReading {
    /// Time from request to reply, in microseconds.
    pub latency_us: Extremes,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Open connections.
    pub connections: usize,
    /// Writes that wait for the log.
    pub outstanding: u64,
    /// The last zxid.
    pub zxid: Zxid,
    /// `standalone`, `leader`, `follower`, `observer` or `read-only`.
    pub mode: &'static str,
    /// Nodes of the tree.
    pub node_count: usize,
}

/// Reads the figures of `srvr`.
pub fn server(shared: &Shared) -> ServerReading {
    let stats = &shared.stats;
    let figures = shared.replica.figures();
    ServerReading {
        latency_us: stats.conns.latency_us.read(),
        received: stats.conns.packets_received.get(),
        sent: stats.conns.packets_sent.get(),
        connections: shared.connections.len(),
        outstanding: stats.conns.outstanding(),
        zxid: figures.last_zxid(),
        mode: mode(shared),
        node_count: figures.nodes(),
    }
}

/// The part the server plays, in ZooKeeper's words.
pub fn mode(shared: &Shared) -> &'static str {
    if !shared.config.ensemble.is_distributed() {
        return "standalone";
    }
    if is_read_only(shared) {
        return "read-only";
    }
    match shared.consensus().map(|consensus| consensus.status().role) {
        Some(Role::Leader) => "leader",
        Some(Role::Learner) => "observer",
        Some(Role::Follower | Role::Candidate | Role::Stopped) | None => "follower",
    }
}

/// Whether the server answers reads only, for want of a quorum.
pub fn is_read_only(shared: &Shared) -> bool {
    shared.serving_mode() == ServingMode::ReadOnly
}

/// Reads the whole catalogue.
pub fn metrics(shared: &Shared) -> Vec<Metric> {
    let dir = shared.consensus().map(Consensus::data_dir);
    let storage = dir.map(|dir| StorageHistograms {
        flush_us: dir.log().flush_us(),
        checkpoint_us: dir.state().checkpoint_us(),
    });
    catalogue(&shared.stats, storage, &gauges(shared))
}

fn gauges(shared: &Shared) -> Gauges {
    let sizes = sizes(shared);
    let figures = shared.replica.figures();
    Gauges {
        uptime_ms: shared.clock.now_us() / 1000,
        connections: shared.connections.len(),
        sessions: figures.sessions(),
        nodes: figures.nodes(),
        watches: shared.watches.count(),
        ephemerals: figures.ephemerals(),
        data_size: figures.data_size(),
        last_zxid: figures.last_zxid().0,
        data_dir_bytes: sizes.data_dir_bytes,
        log_dir_bytes: sizes.log_dir_bytes,
        disk_full: shared.consensus().is_some_and(Consensus::disk_full),
        process: process::gauges(),
        connection_drop_chance: shared.connection_drop_chance(),
        raft: shared.consensus().map(raft).unwrap_or_default(),
        ensemble: ensemble::gauges(shared),
    }
}

fn raft(consensus: &Consensus) -> RaftGauges {
    let status = consensus.status();
    let index = |position: Option<LogPosition>| position.map_or(0, |position| position.index);
    RaftGauges {
        term: status.term,
        last_log_index: status.last_log_index.unwrap_or(0),
        committed_index: index(status.committed),
        applied_index: index(status.last_applied),
        checkpoint_index: index(status.checkpoint),
    }
}

/// Forgets all counts (`srst`).
pub fn reset(shared: &Shared) {
    shared.stats.reset();
    if let Some(dir) = shared.consensus().map(Consensus::data_dir) {
        dir.log().flush_us().reset();
        dir.state().checkpoint_us().reset();
    }
}

/// One connection.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnReading {
    /// The client's address.
    pub peer: SocketAddr,
    /// Whether it talks TLS.
    pub secure: bool,
    /// Whether its socket is read at the moment.
    pub reading: bool,
    /// What the connection counted.
    pub report: ConnReport,
    /// When it was made, in milliseconds since 1970.
    pub established_ms: i64,
    /// When it ends if nothing more comes, in milliseconds of the server's clock.
    pub expires_ms: u64,
}

/// Reads the connections, in the order in which they were made.
pub fn connections(shared: &Shared) -> Vec<ConnReading> {
    let (now_us, wall_ms) = (shared.clock.now_us(), shared.clock.wall_ms());
    let mut readings = Vec::new();
    for client in shared.connections.all() {
        let heard_us = client.heard_us.load(Ordering::Relaxed);
        let conn = client.conn.lock();
        let report = conn.report();
        let age_ms = now_us.saturating_sub(report.established_us) / 1000;
        readings.push(ConnReading {
            peer: conn.peer(),
            secure: conn.is_secure(),
            reading: conn.wants_input(&shared.settings),
            established_ms: wall_ms.saturating_sub_unsigned(age_ms),
            expires_ms: (heard_us + conn.idle_limit_us(&shared.settings)) / 1000,
            report,
        });
    }
    readings
}

/// Forgets the counts of all connections (`crst`).
pub fn reset_connections(shared: &Shared) {
    for client in shared.connections.all() {
        client.conn.lock().reset_report();
    }
}

/// The sessions by the time at which they end if nothing more comes, in milliseconds of the
/// server's clock.
pub fn expiring_sessions(shared: &Shared) -> Vec<(u64, Vec<SessionId>)> {
    let expiry = shared.expiry.lock();
    expiry.buckets().map(|(at, ids)| (at.0, ids.iter().copied().collect())).collect()
}

/// The sessions with ephemeral nodes, and these.
pub async fn ephemerals(shared: &Shared) -> Vec<(SessionId, Vec<Arc<str>>)> {
    let replica = shared.replica.read().await;
    let sessions = replica.tree().sessions_with_ephemerals();
    sessions.map(|(id, paths)| (id, paths.cloned().collect())).collect()
}

/// The three figures of `wchs`: watching connections, watched paths, watches.
pub fn watch_summary(shared: &Shared) -> (usize, usize, usize) {
    shared.watches.data_summary()
}

/// The watched paths and the sessions that watch them.
pub fn watches_by_path(shared: &Shared) -> BTreeMap<Arc<str>, BTreeSet<SessionId>> {
    let watches = shared.watches.data_watches();
    let session =
        |number| shared.connections.get(number).map(|client| client.conn.lock().session());
    let by_path = watches.into_iter().map(|(path, watchers)| {
        let sessions = watchers.into_iter().filter_map(session).collect();
        (path, sessions)
    });
    // A watcher that left meanwhile watches nothing.
    by_path.filter(|(_, sessions): &(_, BTreeSet<SessionId>)| !sessions.is_empty()).collect()
}

/// The sessions that watch, and the paths they watch.
pub fn watches_by_session(shared: &Shared) -> BTreeMap<SessionId, BTreeSet<Arc<str>>> {
    let mut by_session: BTreeMap<SessionId, BTreeSet<Arc<str>>> = BTreeMap::new();
    for (path, sessions) in watches_by_path(shared) {
        for session in sessions {
            by_session.entry(session).or_default().insert(Arc::clone(&path));
        }
    }
    by_session
}

/// Bytes on disk.
pub fn sizes(shared: &Shared) -> DataSizes {
    let Some(dir) = shared.consensus().map(Consensus::data_dir) else {
        return DataSizes::default();
    };
    DataSizes { data_dir_bytes: file_bytes(dir.path()), log_dir_bytes: file_bytes(dir.log_path()) }
}

/// The length of the files right in a folder; 0 where it cannot be read.
fn file_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let files = entries.flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

/// The settings as `conf` shows them.
pub fn settings(shared: &Shared) -> Vec<(&'static str, String)> {
    shared.config.describe(sizes(shared))
}

/// The digests of the tree at some of the last writes, oldest first.
pub fn digests(shared: &Shared) -> Vec<DigestRecord> {
    shared.digests.lock().records()
}

/// The newest checkpoint on disk.
pub fn last_checkpoint(shared: &Shared) -> Option<SnapshotInfo> {
    let stands = shared.consensus()?.status().checkpoint?;
    shared.checkpoints.lock().up_to(stands.index)
}
