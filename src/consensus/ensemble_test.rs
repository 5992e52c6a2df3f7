//! Ensembles of three in one process, over real sockets and directories.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use jute_proto::SessionId;
use kernel::replica::entry::push_command;
use kernel::replica::section::RESERVED_LEN;
use kernel::replica::{Command, Op, Origin, Section, Sender};
use kernel::session::ConnId;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{
    AddressBook, BatchSealer, Committed, Consensus, ConsensusConfig, EnsembleName, Fatal,
    KnownVersions, Progress, Proposer, ProposerOptions, StateMachine, Status, Timings,
    serve_followers,
};
use crate::storage::{ClusterId, DataDir, OpenOptions, Row, RowSource, StorageError, Table};
use crate::tls::PeerTlsOptions;
use crate::tls::test_keys::Authority;

/// No condition is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

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
    /// Where servers are told that others are, if not at their address.
    proxies: BTreeMap<u64, SocketAddr>,
    dirs: BTreeMap<u64, TempDir>,
    names: BTreeMap<u64, EnsembleName>,
    books: BTreeMap<u64, AddressBook>,
    tls: BTreeMap<u64, PeerTlsOptions>,
    versions: KnownVersions,
    timings: Timings,
}

impl Ensemble {
    fn new() -> Self {
        let sockets: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = (1..).zip(sockets.iter().map(|s| s.local_addr().unwrap())).collect();
        let dirs = (1..=3).map(|id| (id, tempfile::tempdir().unwrap())).collect();
        let names = (1..=3).map(|id| (id, EnsembleName::default())).collect();
        let books = (1..=3).map(|id| (id, AddressBook::default())).collect();
        let (tls, versions) = (BTreeMap::new(), KnownVersions::default());
        // A busy machine must not look like a dead leader.
        let timings = Timings {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(800),
            election_max: Duration::from_millis(1600),
            ..Timings::default()
        };
        let proxies = BTreeMap::new();
        Self { addresses, proxies, dirs, names, books, tls, versions, timings }
    }

    fn config(&self, id: u64) -> ConsensusConfig {
        let known = |id: &u64| self.proxies.get(id).unwrap_or(&self.addresses[id]).to_string();
        ConsensusConfig {
            servers: self.addresses.keys().map(|id| (*id, known(id))).collect(),
            voters: self.addresses.keys().copied().collect(),
            listen: Some(self.addresses[&id]),
            ensemble: self.names[&id].clone(),
            addresses: self.books[&id].clone(),
            entries_kept: 0,
            tls: self.tls.get(&id).cloned(),
            versions: self.versions.clone(),
            timings: self.timings,
            ..ConsensusConfig::standalone(id)
        }
    }

    async fn start(&self, id: u64) -> Server {
        let mut options = OpenOptions::new(id);
        options.log.segment_bytes = 1 << 16;
        let dir = DataDir::open(self.dirs[&id].path(), &options).unwrap();
        let shown = watch::Sender::new(Vec::new());
        let list = shown.subscribe();
        let mut machine = List { shown, stored: 0 };
        machine.install(&mut dir.state().reader().unwrap().rows()).unwrap();
        let consensus = Consensus::start(self.config(id), &dir, Box::new(machine)).await.unwrap();
        Server { consensus, list }
    }
}

impl Ensemble {
    /// Two servers of an ensemble that was formed with the third one, which has ended.
    async fn two(&self, ids: [u64; 2], third: u64) -> [Server; 2] {
        let third = self.start(third).await;
        let two = [self.start(ids[0]).await, self.start(ids[1]).await];
        leader(&two.iter().chain([&third]).collect::<Vec<_>>()).await;
        third.consensus.shutdown().await;
        drop(third);
        leader(&two.iter().collect::<Vec<_>>()).await;
        two
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

/// All servers but the one at this place.
fn but(servers: &[Server], place: usize) -> Vec<&Server> {
    servers.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, server)| server).collect()
}

/// Proposes an entry and waits until it is applied. A leader that has just been elected refuses
/// entries until a majority has answered it once.
async fn propose(server: &Server, entry: &str) {
    let entry = Bytes::copy_from_slice(entry.as_bytes());
    let applied = async {
        loop {
            let mut outcome = server.consensus.submit(entry.clone()).await.unwrap();
            if outcome.applied().await {
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
    within(&format!("a list of {}", expected.len()), list.wait_for(is_there)).await.unwrap();
}

/// Entries are the commands alone.
struct Plain;

impl BatchSealer for Plain {
    fn seal<'a>(
        &mut self,
        _in_sections: bool,
        mut buffer: BytesMut,
        _own: Option<(Sender, u32)>,
        others: &mut dyn Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        buffer.advance(RESERVED_LEN);
        others.for_each(|other| buffer.extend_from_slice(other.commands));
        (buffer.freeze(), 0)
    }
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
    let others = but(&servers, first);
    let second = leader(&others).await;
    propose(others[second], "d").await;
    for server in &others {
        wait_for_list(server, &["a", "b", "c", "d"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_ends_is_replaced_when_its_lease_is_over() {
    // Otherwise nobody would ask for votes before the shortest random time is over as well.
    let mut ensemble = Ensemble::new();
    let (lease, shortest) = (Duration::from_millis(4100), Duration::from_secs(4));
    ensemble.timings.election_max = lease;
    ensemble.timings.election_min = shortest;
    let servers = [ensemble.start(1).await, ensemble.start(2).await, ensemble.start(3).await];
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    propose(&servers[first], "a").await;
    for server in &servers {
        wait_for_list(server, &["a"]).await;
    }
    servers[first].consensus.shutdown().await;
    let ended = Instant::now();
    let others = but(&servers, first);
    leader(&others).await;
    assert!(ended.elapsed() < lease + shortest / 2, "{:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_far_behind_gets_the_checkpoint() {
    // Where the log that a server lacks is gone, it gets the state itself, then the rest of the log.
    let ensemble = Ensemble::new();
    let servers = ensemble.two([1, 2], 3).await;
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

/// Stands between servers, and breaks all connections once, in the middle of much data.
struct Proxy {
    addr: SocketAddr,
    passed: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(target: SocketAddr, break_at: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let passed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&passed);
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                let Ok(to) = TcpStream::connect(target).await else { continue };
                tokio::spawn(pass(from, to, Arc::clone(&counter), break_at));
            }
        });
        Self { addr, passed }
    }
}

async fn pass(from: TcpStream, to: TcpStream, passed: Arc<AtomicU64>, break_at: u64) {
    let (mut from_read, mut from_write) = from.into_split();
    let (mut to_read, mut to_write) = to.into_split();
    let there = async {
        let mut bytes = vec![0; 1 << 14];
        loop {
            let Ok(len @ 1..) = from_read.read(&mut bytes).await else { return };
            let before = passed.fetch_add(len as u64, Ordering::Relaxed);
            if (before..before + len as u64).contains(&break_at) {
                return;
            }
            if to_write.write_all(&bytes[..len]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut to_read, &mut from_write) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_breaks_off_is_continued() {
    // What a server has of a checkpoint is not sent again when the connection breaks.
    const ENTRY_LEN: usize = 128 << 10;
    const ENTRIES: usize = 128;
    let size = (ENTRY_LEN * ENTRIES) as u64;
    let mut ensemble = Ensemble::new();
    // Another leader would have another checkpoint.
    ensemble.timings.election_min *= 5;
    ensemble.timings.election_max *= 5;
    let proxy = Proxy::start(ensemble.addresses[&3], size / 2).await;
    ensemble.proxies.insert(3, proxy.addr);
    let servers = ensemble.two([1, 2], 3).await;
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    let entries: Vec<String> =
        (0..ENTRIES).map(|at| format!("{at:04}").repeat(ENTRY_LEN / 4)).collect();
    for entry in &entries {
        propose(&servers[first], entry).await;
    }
    servers[first].consensus.checkpoint_now().await.unwrap();
    let late = ensemble.start(3).await;
    propose(&servers[first], "end").await;
    let mut expected: Vec<&str> = entries.iter().map(String::as_str).collect();
    expected.push("end");
    wait_for_list(&late, &expected).await;
    let passed = proxy.passed.load(Ordering::Relaxed);
    assert!(passed > size && passed < size * 5 / 4, "{passed} bytes for {size}");
    assert!(!ensemble.dirs[&3].path().join("received.rows").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_reaches_is_given_commands() {
    // A leader that reaches the others while they cannot connect to it takes their commands all the
    // same, and they know that a majority stands behind it.
    let ensemble = Ensemble::new();
    let servers = [ensemble.start(1).await, ensemble.start(2).await, ensemble.start(3).await];
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    propose(&servers[first], "a").await;
    for server in &servers {
        wait_for_list(server, &["a"]).await;
    }
    let deaf = (first + 1) % 3;
    let number = servers[deaf].consensus.member().number;
    for (_, book) in ensemble.books.iter().filter(|(id, _)| **id != number) {
        // A port that nobody listens on: bound, and closed again.
        let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        book.own_only();
        book.set(number, nowhere.to_string());
    }
    let mut status = servers[deaf].consensus.watch_status();
    let handed_over = async {
        while !status.borrow_and_update().is_leader() {
            // Refused while the others trust another leader; which that deposes.
            servers[deaf].consensus.raft.begin_next_term(None).await;
            let leads = status.wait_for(Status::is_leader);
            let _ = timeout(ensemble.timings.election_min, leads).await;
        }
    };
    within("the lead of one that nobody reaches", handed_over).await;
    let proposers = servers.each_ref().map(|server| {
        let (options, progress) = (ProposerOptions::default(), Progress::default());
        let proposer = Proposer::start(&server.consensus, options, Plain, Arc::new(()), progress);
        serve_followers(&proposer, Arc::new(()));
        proposer
    });
    let follower = &proposers[(deaf + 2) % 3];
    let origin = Origin { session: SessionId(1), conn: ConnId::NONE, seq: 1 };
    let command = Command { origin, identities: &[], op: Op::CreateSession { timeout_ms: 4000 } };
    follower.push(|buffer| push_command(buffer, &command)).unwrap();
    let mut expected = BytesMut::new();
    push_command(&mut expected, &command);
    for server in &servers {
        let mut list = server.list.clone();
        let forwarded = list.wait_for(|list| list.last().is_some_and(|last| *last == expected));
        within("a forwarded command", forwarded).await.unwrap();
    }
    within("a read barrier", async { while follower.read_barrier().await.is_err() {} }).await;
    assert!(servers[deaf].consensus.status().is_leader(), "it still leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_ensemble_is_not_heard() {
    // A server whose data belongs to another ensemble neither votes nor leads here.
    let ensemble = Ensemble::new();
    let members = ensemble.two([1, 3], 2).await;
    let leader = leader(&members.iter().collect::<Vec<_>>()).await;
    ensemble.names[&1].set(ClusterId(77));
    ensemble.names[&3].set(ClusterId(77));
    ensemble.names[&2].set(ClusterId(78));
    let stranger = ensemble.start(2).await;
    propose(&members[leader], "a").await;
    for member in &members {
        wait_for_list(member, &["a"]).await;
    }
    assert!(stranger.list.borrow().is_empty());
    let (here, there) = (members[leader].consensus.status(), stranger.consensus.status());
    assert!(there.last_log_index < here.last_log_index && !there.is_leader(), "{there:?}");
    assert_eq!(here.term, members[1 - leader].consensus.status().term, "nobody voted for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_certificates_are_among_themselves() {
    // With TLS the servers agree as without it, and one with a foreign certificate, or with none,
    // has no part in it.
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(&dir.path().join("ours"));
    let others = Authority::new(&dir.path().join("others"));
    let tls = |authority: &Authority, id: u64| PeerTlsOptions {
        tls: authority.options(&id.to_string(), "127.0.0.1"),
        dial: true,
        accept_plain: false,
        verify_client_host: true,
        handshake_timeout_ms: 5000,
    };
    let mut ensemble = Ensemble::new();
    ensemble.tls = (1..=3).map(|id| (id, tls(&ours, id))).collect();
    let servers = ensemble.two([1, 2], 3).await;
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    for stranger in [Some(tls(&others, 3)), None] {
        ensemble.tls.remove(&3);
        ensemble.tls.extend(stranger.map(|tls| (3, tls)));
        let stranger = ensemble.start(3).await;
        propose(&servers[first], "a").await;
        assert!(stranger.list.borrow().is_empty());
        stranger.consensus.shutdown().await;
    }
    ensemble.tls.insert(3, tls(&ours, 3));
    let third = ensemble.start(3).await;
    for server in servers.iter().chain([&third]) {
        wait_for_list(server, &["a", "a"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ensemble_is_upgraded_server_by_server() {
    // Servers of two versions agree all the time; what is new waits for the last server.
    let mut ensemble = Ensemble::new();
    let mut servers = Vec::new();
    for id in 1..=3 {
        ensemble.versions = KnownVersions::as_if(2, 2);
        servers.push(ensemble.start(id).await);
    }
    let mut expected = vec!["0", "1", "2", "3"];
    let first = leader(&servers.iter().collect::<Vec<_>>()).await;
    propose(&servers[first], expected[0]).await;
    for id in 1..=3 {
        let old = servers.remove(0);
        old.consensus.shutdown().await;
        drop(old);
        assert!(servers.iter().all(|server| server.consensus.common_version() == 2));
        ensemble.versions = KnownVersions::as_if(2, 3);
        servers.push(ensemble.start(id).await);
        let leader = leader(&servers.iter().collect::<Vec<_>>()).await;
        let at = usize::try_from(id).unwrap();
        propose(&servers[leader], expected[at]).await;
        for server in &servers {
            wait_for_list(server, &expected[..=at]).await;
        }
    }
    let leads = leader(&servers.iter().collect::<Vec<_>>()).await;
    let common = async {
        while servers[leads].consensus.common_version() < 3 {
            tokio::task::yield_now().await;
        }
    };
    within("the new version", common).await;
    // A server without a common version has no part in it.
    expected.push("4");
    servers.remove(2).consensus.shutdown().await;
    ensemble.versions = KnownVersions::as_if(4, 4);
    let stranger = ensemble.start(3).await;
    let leads = leader(&servers.iter().collect::<Vec<_>>()).await;
    propose(&servers[leads], expected[4]).await;
    assert!(stranger.list.borrow().len() < expected.len());
    assert!(!stranger.consensus.status().is_leader());
}
