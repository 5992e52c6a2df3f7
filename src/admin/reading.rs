//! What a server shows of itself, read at one moment into plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use jute_proto::{SessionId, Zxid};
use kernel::conn::ConnReport;
use kernel::stats::Extremes;

use super::{NodeView, ensemble, process};
use crate::config::DataSizes;
use crate::consensus::{Consensus, Role};
use crate::env::fs;
use crate::node::{self, CheckpointInfo, DigestRecord, ServingMode};
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
pub fn server(view: &NodeView) -> ServerReading {
    let stats = &view.core.stats;
    let figures = view.core.replica.figures();
    ServerReading {
        latency_us: stats.conns.latency_us.read(),
        received: stats.conns.packets_received.get(),
        sent: stats.conns.packets_sent.get(),
        connections: view.core.connections.len(),
        outstanding: stats.conns.outstanding(),
        zxid: figures.last_zxid(),
        mode: mode(view),
        node_count: figures.nodes(),
    }
}

/// The part the server plays, in ZooKeeper's words.
pub fn mode(view: &NodeView) -> &'static str {
    if !view.config.ensemble.is_distributed() {
        return "standalone";
    }
    if is_read_only(view) {
        return "read-only";
    }
    match view.consensus.status().role {
        Role::Leader => "leader",
        Role::Observer => "observer",
        Role::Follower | Role::Candidate | Role::Stopped => "follower",
    }
}

/// Whether the server answers reads only, for want of a quorum.
pub fn is_read_only(view: &NodeView) -> bool {
    view.core.serving.mode() == ServingMode::ReadOnly
}

/// Reads the whole catalogue.
pub fn metrics(view: &NodeView) -> Vec<Metric> {
    let dir = view.consensus.data_dir();
    let storage = StorageHistograms {
        flush_us: dir.log().flush_us(),
        checkpoint_us: dir.state().checkpoint_us(),
    };
    catalogue(&view.core.stats, Some(storage), &gauges(view))
}

fn gauges(view: &NodeView) -> Gauges {
    let sizes = sizes(view);
    let figures = view.core.replica.figures();
    Gauges {
        uptime_ms: view.core.clock.now_us() / 1000,
        connections: view.core.connections.len(),
        sessions: figures.sessions(),
        nodes: figures.nodes(),
        watches: view.core.watches.count(),
        ephemerals: figures.ephemerals(),
        data_size: figures.data_size(),
        last_zxid: figures.last_zxid().0,
        data_dir_bytes: sizes.data_dir_bytes,
        log_dir_bytes: sizes.log_dir_bytes,
        disk_full: view.consensus.disk_full(),
        process: process::gauges(),
        connection_drop_chance: view.ingress.connection_drop_chance(),
        raft: raft(&view.consensus),
        ensemble: ensemble::gauges(view),
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
pub fn reset(view: &NodeView) {
    node::reset_stats(&view.core, &view.consensus);
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
pub fn connections(view: &NodeView) -> Vec<ConnReading> {
    let (now_us, wall_ms) = (view.core.clock.now_us(), view.core.clock.wall_ms());
    let mut readings = Vec::new();
    for client in view.core.connections.all() {
        let heard_us = client.heard_us();
        let conn = client.conn.lock();
        let report = conn.report();
        let age_ms = now_us.saturating_sub(report.established_us) / 1000;
        readings.push(ConnReading {
            peer: conn.peer(),
            secure: conn.is_secure(),
            reading: conn.wants_input(&view.core.settings),
            established_ms: wall_ms.saturating_sub_unsigned(age_ms),
            expires_ms: (heard_us + conn.idle_limit_us(&view.core.settings)) / 1000,
            report,
        });
    }
    readings
}

/// Forgets the counts of all connections (`crst`).
pub fn reset_connections(view: &NodeView) {
    for client in view.core.connections.all() {
        client.conn.lock().reset_report();
    }
}

/// The sessions by the time at which they end if nothing more comes, in milliseconds of the
/// server's clock.
pub fn expiring_sessions(view: &NodeView) -> Vec<(u64, Vec<SessionId>)> {
    view.core.leader_duties.deadlines()
}

/// The sessions with ephemeral nodes, and these.
pub async fn ephemerals(view: &NodeView) -> Vec<(SessionId, Vec<Arc<str>>)> {
    let replica = view.core.replica.read().await;
    let sessions = replica.tree().sessions_with_ephemerals();
    sessions.map(|(id, paths)| (id, paths.cloned().collect())).collect()
}

/// The three figures of `wchs`: watching connections, watched paths, watches.
pub fn watch_summary(view: &NodeView) -> (usize, usize, usize) {
    view.core.watches.data_summary()
}

/// The watched paths and the sessions that watch them.
pub fn watches_by_path(view: &NodeView) -> BTreeMap<Arc<str>, BTreeSet<SessionId>> {
    let watches = view.core.watches.data_watches();
    let session =
        |number| view.core.connections.get(number).map(|client| client.conn.lock().session());
    let by_path = watches.into_iter().map(|(path, watchers)| {
        let sessions = watchers.into_iter().filter_map(session).collect();
        (path, sessions)
    });
    // A watcher that left meanwhile watches nothing.
    by_path.filter(|(_, sessions): &(_, BTreeSet<SessionId>)| !sessions.is_empty()).collect()
}

/// The sessions that watch, and the paths they watch.
pub fn watches_by_session(view: &NodeView) -> BTreeMap<SessionId, BTreeSet<Arc<str>>> {
    let mut by_session: BTreeMap<SessionId, BTreeSet<Arc<str>>> = BTreeMap::new();
    for (path, sessions) in watches_by_path(view) {
        for session in sessions {
            by_session.entry(session).or_default().insert(Arc::clone(&path));
        }
    }
    by_session
}

/// Bytes on disk.
pub fn sizes(view: &NodeView) -> DataSizes {
    let dir = view.consensus.data_dir();
    DataSizes { data_dir_bytes: file_bytes(dir.path()), log_dir_bytes: file_bytes(dir.log_path()) }
}

/// The length of the files right in a folder; 0 where it cannot be read.
fn file_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let files = entries.flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

/// The settings as `conf` shows them.
pub fn settings(view: &NodeView) -> Vec<(&'static str, String)> {
    view.config.describe(sizes(view))
}

/// The digests of the tree at some of the last writes, oldest first.
pub fn digests(view: &NodeView) -> Vec<DigestRecord> {
    view.core.digests.lock().records()
}

/// The newest checkpoint on disk.
pub fn last_checkpoint(view: &NodeView) -> Option<CheckpointInfo> {
    let stands = view.consensus.status().checkpoint?;
    view.core.snapshots.lock().up_to(stands.index)
}
