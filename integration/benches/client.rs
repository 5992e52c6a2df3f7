//! What the client crate costs beside a bare loop of the protocol, and beside the crate
//! `zookeeper-client`: `cargo build --release && cargo bench -p integration --bench client`.
//!
//! One server, one connection, a hundred requests in flight, 100 bytes a node, and all three on one
//! thread. The bare loop is `grovekeeper bench`. Rounds alternate between the three; the table shows
//! medians. Read the ratios: the load generator shares the machine with the server.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and reports")]

use std::collections::VecDeque;
use std::fmt::Display;
use std::process::Command;
use std::time::{Duration, Instant};

use grovekeeper_client::{Client, CreateMode};
use integration::{Kind, Server, ServerOptions};
use zookeeper_client::Acls;

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
    let (rounds, period) = if whole { (5, 3.0) } else { (1, 0.05) };
    let server = ServerOptions::new(Kind::Grovekeeper).start();
    println!("operations a second, one connection, {DEPTH} in flight");
    row("workload", ["bare loop", "client", "ratio", "zookeeper-client", "client ahead by"]);
    for (workload, name) in WORKLOADS {
        let mut measured = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            measured[0].push(bare(&server, name, period));
            measured[1].push(run(ours(&server, workload, period)));
            measured[2].push(run(theirs(&server, workload, period)));
        }
        let [bare, ours, theirs] = measured.map(median);
        let (share, lead) = (format!("{:.2}", ours / bare), format!("{:.2}", ours / theirs));
        let whole = |rate: f64| format!("{rate:.0}");
        row(name, [&whole(bare), &whole(ours), &share, &whole(theirs), &lead]);
    }
}

fn row(name: &str, columns: [impl Display; 5]) {
    let columns = columns.map(|column| format!("{column:>18}"));
    println!("{name:<10}{}", columns.concat());
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn run(load: impl Future<Output = f64>) -> f64 {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(load)
}

/// The rate of `grovekeeper bench`, which writes requests and reads replies without a client.
fn bare(server: &Server, workload: &str, period: f64) -> f64 {
    let json = server.folder().join("bench.json");
    let status = Command::new(integration::binary())
        .args(["bench", "--connections", "1", "--warmup", "0.2", "--server"])
        .arg(server.connect_string())
        .args(["--depth", &DEPTH.to_string(), "--keys", &KEYS.to_string()])
        .args(["--seconds", &period.to_string(), "--workload", workload, "--json"])
        .arg(&json)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.expect("it starts").success(), "the bare loop failed");
    let report = std::fs::read(&json).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    report["workloads"][0]["ops_per_second"].as_f64().expect("a rate")
}

fn key(number: usize) -> String {
    format!("/client-bench/node-{number:04}")
}

/// The rate of this repository's client.
async fn ours(server: &Server, workload: Workload, period: f64) -> f64 {
    let client = Client::connect(&server.connect_string()).await.expect("connected");
    client.create_all("/client-bench").await.expect("created");
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    for key in &keys {
        drop(client.create(key, &DATA, CreateMode::Persistent).await);
    }
    let send = |number: usize| {
        let (client, key) = (&client, &keys[number % KEYS]);
        match workload {
            Workload::Get => {
                let call = client.get(key);
                either(async move {
                    let _ = call.await.expect("read");
                })
            }
            Workload::Exists => {
                let call = client.exists(key);
                either(async move {
                    let _ = call.await.expect("asked");
                })
            }
            Workload::Set => {
                let call = client.set(key, &DATA, None);
                either(async move {
                    let _ = call.await.expect("set");
                })
            }
        }
    };
    let rate = keep_in_flight(send, period).await;
    client.close().await;
    rate
}

/// The rate of the crate `zookeeper-client`.
async fn theirs(server: &Server, workload: Workload, period: f64) -> f64 {
    let hosts = server.connect_string();
    let client = zookeeper_client::Client::connect(&hosts).await.expect("connected");
    let options = zookeeper_client::CreateMode::Persistent.with_acls(Acls::anyone_all());
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    for key in &keys {
        drop(client.create(key, &DATA, &options).await);
    }
    let send = |number: usize| {
        let (client, key) = (&client, &keys[number % KEYS]);
        match workload {
            Workload::Get => {
                let call = client.get_data(key);
                either(async move {
                    let _ = call.await.expect("read");
                })
            }
            Workload::Exists => {
                let call = client.check_stat(key);
                either(async move {
                    let _ = call.await.expect("asked");
                })
            }
            Workload::Set => {
                let call = client.set_data(key, &DATA, None);
                either(async move {
                    let _ = call.await.expect("set");
                })
            }
        }
    };
    keep_in_flight(send, period).await
}

/// Futures of different kinds as one type; both clients pay the same for it.
fn either<'a>(
    future: impl Future<Output = ()> + 'a,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(future)
}

/// Keeps requests in flight and counts those that are answered.
async fn keep_in_flight<F: Future<Output = ()>>(send: impl Fn(usize) -> F, seconds: f64) -> f64 {
    let mut window: VecDeque<F> = (0..DEPTH).map(&send).collect();
    let (mut sent, mut answered) = (DEPTH, 0_u32);
    let (start, period) = (Instant::now(), Duration::from_secs_f64(seconds));
    while start.elapsed() < period {
        if let Some(oldest) = window.pop_front() {
            oldest.await;
            answered += 1;
        }
        window.push_back(send(sent));
        sent += 1;
    }
    let rate = f64::from(answered) / start.elapsed().as_secs_f64();
    for call in window {
        call.await;
    }
    rate
}
