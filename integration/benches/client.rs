//! What the client crate costs beside a bare loop of the protocol, and beside the crate
//! `zookeeper-client`: `cargo build --release && cargo bench -p integration --bench client`.
//!
//! One server, one connection, a hundred requests in flight, 100 bytes a node, and all three on one
//! thread. The bare loop is `grovekeeper bench`. Rounds alternate between the three; the table shows
//! medians. Read the ratios: the load generator shares the machine with the server. Names of workloads
//! behind `--` choose among them.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and reports")]

use std::collections::VecDeque;
use std::fmt::Display;
use std::process::Command;
use std::time::{Duration, Instant};

use grovekeeper_client::{Client, CreateMode};
use integration::{Kind, Server, ServerOptions};

const DEPTH: usize = 100;
const KEYS: usize = 1000;
const DATA: [u8; 100] = [b'x'; 100];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    Get,
    Exists,
    Set,
}

const WORKLOADS: [(Workload, &str); 3] =
    [(Workload::Get, "get"), (Workload::Exists, "exists"), (Workload::Set, "set")];

fn main() {
    // `cargo test --benches` passes no `--bench`; then a small run shows that it works.
    let whole = std::env::args().any(|arg| arg == "--bench");
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let (rounds, period) = if whole { (5, 2.0) } else { (1, 0.05) };
    let server = ServerOptions::new(Kind::Grovekeeper).start();
    println!("operations a second, and processor time of the client in ns for each");
    row("workload", ["bare loop", "", "client", "", "ratio", "zookeeper-client", ""]);
    for (workload, name) in WORKLOADS {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        let mut measured = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            measured[0].push(bare(&server, name, period));
            measured[1].push(run(ours(&server, workload, period)));
            measured[2].push(run(theirs(&server, workload, period)));
        }
        let [bare, ours, theirs] = measured.map(median);
        let (rate, cost) = (
            |side: Rate| format!("{:.0}", side.a_second),
            |side: Rate| format!("{:.0}", side.cpu_ns),
        );
        let ratio = format!("{:.2}", ours.a_second / bare.a_second);
        let columns =
            [rate(bare), cost(bare), rate(ours), cost(ours), ratio, rate(theirs), cost(theirs)];
        row(name, columns);
    }
}

/// How fast something went, and what it cost.
#[derive(Clone, Copy, Debug)]
struct Rate {
    a_second: f64,
    cpu_ns: f64,
}

fn row(name: &str, columns: [impl Display; 7]) {
    let columns = columns.map(|column| format!("{column:>17}"));
    println!("{name:<10}{}", columns.concat());
}

fn median(mut rates: Vec<Rate>) -> Rate {
    rates.sort_unstable_by(|a, b| a.a_second.total_cmp(&b.a_second));
    rates[rates.len() / 2]
}

fn run(load: impl Future<Output = Rate>) -> Rate {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(load)
}

/// Processor time of this process, or of its children that have ended, in nanoseconds; Linux counts
/// in hundredths of a second.
fn busy_ns(children: bool) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let field = |at: usize| fields.split_whitespace().nth(at)?.parse::<f64>().ok();
    let (user, system) = if children { (13, 14) } else { (11, 12) };
    (field(user).unwrap_or_default() + field(system).unwrap_or_default()) * 1e7
}

/// The rate of `grovekeeper bench`, which writes requests and reads replies without a client.
fn bare(server: &Server, workload: &str, period: f64) -> Rate {
    let json = server.folder().join("bench.json");
    let before = busy_ns(true);
    let status = Command::new(integration::binary())
        .args(["bench", "--connections", "1", "--warmup", "0", "--server"])
        .arg(server.connect_string())
        .args(["--depth", &DEPTH.to_string(), "--keys", &KEYS.to_string()])
        .args(["--seconds", &period.to_string(), "--workload", workload, "--json"])
        .arg(&json)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.expect("it starts").success(), "the bare loop failed");
    let cpu_ns = busy_ns(true) - before;
    let report = std::fs::read(&json).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let workload = &report["workloads"][0];
    let ops = workload["ops"].as_f64().expect("a count");
    let a_second = workload["ops_per_second"].as_f64().expect("a rate");
    Rate { a_second, cpu_ns: cpu_ns / ops }
}

fn key(number: usize) -> String {
    format!("/client-bench/node-{number:04}")
}

/// The rate of this repository's client.
async fn ours(server: &Server, workload: Workload, period: f64) -> Rate {
    let client = Client::connect(&server.connect_string()).await.expect("connected");
    client.create_all("/client-bench").await.expect("created");
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    for key in &keys {
        drop(client.create(key, &DATA, CreateMode::Persistent).await);
    }
    let rate = match workload {
        Workload::Get => keep_in_flight(|n| client.get(&keys[n % KEYS]), period).await,
        Workload::Exists => keep_in_flight(|n| client.exists(&keys[n % KEYS]), period).await,
        Workload::Set => keep_in_flight(|n| client.set(&keys[n % KEYS], &DATA, None), period).await,
    };
    client.close().await;
    rate
}

/// The rate of the crate `zookeeper-client`.
async fn theirs(server: &Server, workload: Workload, period: f64) -> Rate {
    let hosts = server.connect_string();
    let client = zookeeper_client::Client::connect(&hosts).await.expect("connected");
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    match workload {
        Workload::Get => keep_in_flight(|n| client.get_data(&keys[n % KEYS]), period).await,
        Workload::Exists => keep_in_flight(|n| client.check_stat(&keys[n % KEYS]), period).await,
        Workload::Set => {
            keep_in_flight(|n| client.set_data(&keys[n % KEYS], &DATA, None), period).await
        }
    }
}

/// Keeps requests in flight and counts those that are answered.
async fn keep_in_flight<F, T, E>(send: impl Fn(usize) -> F, seconds: f64) -> Rate
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    // A future that is polled for the first time later than its request was sent may be moved.
    let mut window: VecDeque<F> = (0..DEPTH).map(&send).collect();
    let (mut sent, mut answered, cpu) = (DEPTH, 0_u32, busy_ns(false));
    let (start, period) = (Instant::now(), Duration::from_secs_f64(seconds));
    while answered % 64 != 0 || start.elapsed() < period {
        if let Some(oldest) = window.pop_front() {
            oldest.await.expect("an answer");
            answered += 1;
        }
        window.push_back(send(sent));
        sent += 1;
    }
    let a_second = f64::from(answered) / start.elapsed().as_secs_f64();
    let cpu_ns = (busy_ns(false) - cpu) / f64::from(answered);
    for call in window {
        call.await.expect("an answer");
    }
    Rate { a_second, cpu_ns }
}
