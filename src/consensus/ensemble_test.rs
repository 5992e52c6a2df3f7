//! Ensembles of three in one process, over real sockets and directories.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Committed, Consensus, ConsensusConfig, Fatal, StateMachine, Status, Timings};
use crate::storage::{ClusterId, DataDir, OpenOptions, Row, RowSource, StorageError, Table};

/// No condition is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(30);

/// A state that is the list of all payloads.
struct List {
    shown: watch::Sender<Vec<Bytes>>,
    stored: usize,
}

impl StateMachine for List {
    fn apply(&mut self, entry: Committed<'_>) -> Result<(), Fatal> {
        if let Some(payload) = entry.payload {
            self.shown.send_modify(|list| list.push(Bytes::copy_from_slice(payload)));
        }
        Ok(())
    }

    fn batch_end(&mut self) {}

    fn begin_checkpoint(&mut self) -> Box<dyn RowSource> {
        let list = self.shown.borrow().clone();
        let rows = (self.stored..list.len()).map(|at| Row {
            table: Table::Nodes,
            key: Bytes::copy_from_slice(&(at as u64).to_be_bytes()),
            value: Some(list[at].clone()),
        });
        let rows: Vec<Row> = rows.collect();
        self.stored = list.len();
        Box::new(rows)
    }

    fn install(
        &mut self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        let list: Result<Vec<Bytes>, StorageError> =
            rows.map(|row| Ok(row?.value.unwrap_or_default())).collect();
        let list = list?;
        self.stored = list.len();
        self.shown.send_replace(list);
        Ok(())
    }
}

struct Server {
    consensus: Consensus,
    list: watch::Receiver<Vec<Bytes>>,
}

struct Ensemble {
    addresses: BTreeMap<u64, SocketAddr>,
    dirs: BTreeMap<u64, TempDir>,
    cluster: ClusterId,
}

impl Ensemble {
    fn new() -> Self {
        let sockets: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = (1..).zip(sockets.iter().map(|s| s.local_addr().unwrap())).collect();
        let dirs = (1..=3).map(|id| (id, tempfile::tempdir().unwrap())).collect();
        Self { addresses, dirs, cluster: ClusterId(77) }
    }

    fn config(&self, id: u64) -> ConsensusConfig {
        ConsensusConfig {
            members: self.addresses.iter().map(|(id, addr)| (*id, addr.to_string())).collect(),
            listen: Some(self.addresses[&id]),
            entries_kept: 0,
            // A busy machine must not look like a dead leader.
            timings: Timings {
                heartbeat: Duration::from_millis(100),
                election_min: Duration::from_millis(800),
                election_max: Duration::from_millis(1600),
            },
            ..ConsensusConfig::standalone(id)
        }
    }

    async fn start(&self, id: u64) -> Server {
        let mut options = OpenOptions::new(id);
        options.cluster = Some(self.cluster);
        options.log.segment_bytes = 1 << 16;
        let dir = DataDir::open(self.dirs[&id].path(), &options).unwrap();
        let shown = watch::Sender::new(Vec::new());
        let list = shown.subscribe();
        let mut machine = List { shown, stored: 0 };
        machine.install(&mut dir.state().reader().unwrap().rows()).unwrap();
        let consensus = Consensus::start(self.config(id), &dir, machine).await.unwrap();
        Server { consensus, list }
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits until one of the servers leads, and returns its place.
async fn leader(servers: &[&Server]) -> usize {
    let watches = servers.iter().map(|server| {
        let mut status = server.consensus.watch_status();
        Box::pin(async move { status.wait_for(Status::is_leader).await.map(drop).unwrap() })
    });
    within("a leader", futures_util::future::select_all(watches)).await.1
}

/// Proposes an entry and waits until it is applied. A leader that has just been elected refuses
/// entries until a majority has answered it once.
async fn propose(server: &Server, entry: &str) {
    let entry = Bytes::copy_from_slice(entry.as_bytes());
    let applied = async {
        loop {
            let outcome = server.consensus.submit(entry.clone()).await.unwrap();
            if outcome.await.unwrap().is_ok() {
                return;
            }
            let _ = server.consensus.read_barrier().await;
            tokio::task::yield_now().await;
        }
    };
    within("an entry to be applied", applied).await;
}

async fn wait_for_list(server: &Server, expected: &[&str]) {
    let mut list = server.list.clone();
    let is_there = |list: &Vec<Bytes>| {
        list.iter().map(AsRef::as_ref).eq(expected.iter().map(|e| e.as_bytes()))
    };
    within(&format!("{expected:?}"), list.wait_for(is_there)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_keep_one_list() {
    // Entries proposed at the leader are applied by all, in one order; the loss of the leader loses
    // nothing; a server that comes back catches up.
    let ensemble = Ensemble::new();
    let servers = [ensemble.start(1).await, ensemble.start(2).await, ensemble.start(3).await];
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    for entry in ["a", "b", "c"] {
        propose(&servers[first], entry).await;
    }
    for server in &servers {
        wait_for_list(server, &["a", "b", "c"]).await;
    }
    servers[first].consensus.shutdown().await;
    let others: Vec<&Server> =
        servers.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, s)| s).collect();
    let second = leader(&others).await;
    propose(others[second], "d").await;
    for server in &others {
        wait_for_list(server, &["a", "b", "c", "d"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_far_behind_gets_the_checkpoint() {
    // Where the log that a server lacks is gone, it gets the state itself, then the rest of the log.
    let ensemble = Ensemble::new();
    let servers = [ensemble.start(1).await, ensemble.start(2).await];
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    propose(&servers[first], "a").await;
    propose(&servers[first], "b").await;
    for server in &servers {
        wait_for_list(server, &["a", "b"]).await;
    }
    servers[first].consensus.checkpoint_now().await.unwrap();
    let mut status = servers[first].consensus.watch_status();
    let late = ensemble.start(3).await;
    propose(&servers[first], "c").await;
    wait_for_list(&late, &["a", "b", "c"]).await;
    assert!(status.borrow_and_update().failure.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_ensemble_is_not_heard() {
    // A server whose data belongs to another ensemble neither votes nor leads here.
    let mut ensemble = Ensemble::new();
    let first = ensemble.start(1).await;
    ensemble.cluster = ClusterId(78);
    let stranger = ensemble.start(2).await;
    ensemble.cluster = ClusterId(77);
    let second = ensemble.start(3).await;
    let members = [&first, &second];
    let leader = leader(&members).await;
    propose(members[leader], "a").await;
    for member in members {
        wait_for_list(member, &["a"]).await;
    }
    assert!(stranger.list.borrow().is_empty());
    assert_eq!(stranger.consensus.status().leader, None);
}
