//! What to run and how hard.

use std::net::SocketAddr;
use std::time::Duration;

use super::workload::Workload;

/// What to run and how hard.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// The servers; connections are spread over them. At least one.
    pub servers: Vec<SocketAddr>,
    /// Connections, each with a session of its own. At least one.
    pub connections: usize,
    /// Requests in flight on each connection. At least one.
    pub depth: usize,
    /// Bytes of data in a node.
    pub value_bytes: usize,
    /// How long each workload is measured.
    pub measure: Duration,
    /// How long each workload runs before it is measured.
    pub warmup: Duration,
    /// Nodes that reads and writes choose from. At least one.
    pub keys: u64,
    /// Children of the node that is listed.
    pub children: u64,
    /// Writes in a transaction. At least one.
    pub multi_ops: usize,
    /// Nodes that `fill` makes.
    pub fill: u64,
    /// Nodes that the parents of `create` and `delete` have beforehand.
    pub siblings: u64,
    /// Watches that wait on other connections all the time.
    pub watches: u64,
    /// Whether the nodes of the run stay.
    pub keep: bool,
    /// The processes whose processor time is told, on this machine.
    pub pids: Vec<u32>,
    /// What to run, in order.
    pub workloads: Vec<Workload>,
}

impl BenchOptions {
    /// Moderate settings against `server`.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self {
            servers: vec![server],
            connections: 10,
            depth: 8,
            value_bytes: 100,
            measure: Duration::from_secs(5),
            warmup: Duration::from_secs(1),
            keys: 1000,
            children: 100,
            multi_ops: 4,
            fill: 10_000,
            siblings: 0,
            watches: 0,
            keep: false,
            pids: Vec::new(),
            workloads: Workload::ALL.to_vec(),
        }
    }

    /// The server of the connection with this number.
    pub(super) fn server(&self, connection: usize) -> SocketAddr {
        self.servers[connection % self.servers.len()]
    }
}
