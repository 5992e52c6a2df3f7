//! The closed-loop load of `grovekeeper bench` on etcd, for `bench/compare`.
//!
//! Each connection is an HTTP/2 connection of its own and keeps `depth` requests in flight: that
//! many tasks wait for their replies. `set` puts and `get` ranges over the same 1000 keys that
//! `grovekeeper bench` chooses from, with values of the same size; `get` is linearizable, which is
//! etcd's default. Each reply is checked. One thread, as there. The report has the same fields.
//!
//! The messages are those of etcd's `rpc.proto`, as far as they are needed.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

type Failure = Box<dyn Error + Send + Sync>;

/// Keys that requests choose from, as in `grovekeeper bench`.
const KEYS: u64 = 1000;

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

#[derive(Clone)]
struct Options {
    servers: Vec<String>,
    connections: usize,
    depth: usize,
    measure: Duration,
    warmup: Duration,
    value_bytes: usize,
    pids: Vec<u32>,
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [servers, workloads, connections, depth, seconds, warmup, size, pids, json] = &args[..]
    else {
        return Err("usage: etcd-load SERVERS WORKLOADS CONNECTIONS DEPTH SECONDS WARMUP SIZE PIDS JSON".into());
    };
    let options = Options {
        servers: servers.split(',').map(|server| format!("http://{server}")).collect(),
        connections: connections.parse()?,
        depth: depth.parse()?,
        measure: Duration::try_from_secs_f64(seconds.parse()?)?,
        warmup: Duration::try_from_secs_f64(warmup.parse()?)?,
        value_bytes: size.parse()?,
        pids: pids.split(',').filter(|pid| !pid.is_empty()).map(str::parse).collect::<Result<_, _>>()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reports = runtime.block_on(async {
        let links = connect(&options).await?;
        fill(&links[0], &options).await?;
        let mut reports = Vec::new();
        for workload in workloads.split(',') {
            reports.push(run(&links, &options, workload).await?);
        }
        Ok::<_, Failure>(reports)
    })?;
    let report = serde_json::json!({ "workloads": reports });
    std::fs::write(json, format!("{report:#}\n"))?;
    Ok(())
}

async fn connect(options: &Options) -> Result<Vec<Channel>, Failure> {
    let mut links = Vec::new();
    for connection in 0..options.connections {
        let server = options.servers[connection % options.servers.len()].clone();
        links.push(Endpoint::from_shared(server)?.tcp_nodelay(true).connect().await?);
    }
    Ok(links)
}

/// Puts every key once, so that each read finds one.
async fn fill(link: &Channel, options: &Options) -> Result<(), Failure> {
    let tasks: Vec<_> = (0..8)
        .map(|part| {
            let (mut client, len) = (Grpc::new(link.clone()), options.value_bytes);
            tokio::spawn(async move {
                for number in (part..KEYS).step_by(8) {
                    put(&mut client, number, len).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn run(links: &[Channel], options: &Options, workload: &str) -> Result<serde_json::Value, Failure> {
    window(links, options, workload, options.warmup).await?;
    let before = (processor(&options.pids), processor(&[std::process::id()]));
    let (latencies, seconds) = window(links, options, workload, options.measure).await?;
    let after = (processor(&options.pids), processor(&[std::process::id()]));
    let us = |nanos: u64| nanos as f64 / 1000.0;
    let at = |share| us(latencies.value_at_quantile(share));
    let used = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
    Ok(serde_json::json!({
        "workload": workload,
        "ops": latencies.len(),
        "seconds": seconds,
        "ops_per_second": latencies.len() as f64 / seconds,
        "server_cpu_seconds": used(before.0, after.0),
        "loader_cpu_seconds": used(before.1, after.1),
        "latency_us": {
            "mean": latencies.mean() / 1000.0, "p50": at(0.5), "p90": at(0.9), "p99": at(0.99),
            "p99.9": at(0.999), "max": us(latencies.max()),
        },
        "errors": 0,
    }))
}

/// Load until `length` has passed: the latencies of the replies within it.
async fn window(
    links: &[Channel],
    options: &Options,
    workload: &str,
    length: Duration,
) -> Result<(Histogram<u64>, f64), Failure> {
    let started = Instant::now();
    let deadline = started + length;
    let latencies = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    let draws = Arc::new(AtomicU64::new(1));
    let mut tasks = Vec::new();
    for index in 0..links.len() * options.depth {
        let (mut client, len) = (Grpc::new(links[index % links.len()].clone()), options.value_bytes);
        let (latencies, draws) = (Arc::clone(&latencies), Arc::clone(&draws));
        let writes = match workload {
            "set" => true,
            "get" => false,
            other => return Err(format!("{other}: expected set or get").into()),
        };
        tasks.push(tokio::spawn(async move {
            loop {
                let sent = Instant::now();
                if sent >= deadline {
                    return Ok::<_, Failure>(());
                }
                let number = mixed(draws.fetch_add(1, Ordering::Relaxed)) % KEYS;
                if writes {
                    put(&mut client, number, len).await?;
                } else {
                    get(&mut client, number, len).await?;
                }
                let time = Instant::now();
                if time < deadline {
                    let nanos = (time - sent).as_nanos() as u64;
                    latencies.lock().map_err(|_| "poisoned")?.record(nanos)?;
                }
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    let seconds = deadline.min(Instant::now()).duration_since(started).as_secs_f64();
    let latencies = latencies.lock().map_err(|_| "poisoned")?.clone();
    Ok((latencies, seconds))
}

async fn put(client: &mut Grpc<Channel>, number: u64, len: usize) -> Result<(), Failure> {
    let request = PutRequest { key: key(number), value: value(number, len) };
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
    client.ready().await?;
    let codec = ProstCodec::<PutRequest, PutResponse>::default();
    client.unary(tonic::Request::new(request), path, codec).await?;
    Ok(())
}

async fn get(client: &mut Grpc<Channel>, number: u64, len: usize) -> Result<(), Failure> {
    let request = RangeRequest { key: key(number) };
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Range");
    client.ready().await?;
    let codec = ProstCodec::<RangeRequest, RangeResponse>::default();
    let reply = client.unary(tonic::Request::new(request), path, codec).await?.into_inner();
    match &reply.kvs[..] {
        [found] if found.value == value(number, len) => Ok(()),
        _ => Err(format!("wrong value of key {number}").into()),
    }
}

/// As long as the paths of `grovekeeper bench`.
fn key(number: u64) -> Vec<u8> {
    format!("/grovekeeper-bench-0123456789abcdef/keys/{number:08}").into_bytes()
}

fn value(number: u64, len: usize) -> Vec<u8> {
    let mut value: Vec<u8> = (b'a'..=b'z').cycle().take(len).collect();
    let number = number.to_le_bytes();
    let head = number.len().min(len);
    value[..head].copy_from_slice(&number[..head]);
    value
}

/// Spreads consecutive numbers evenly (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Processor seconds of processes so far: fields 14 and 15 of proc(5), 100 ticks a second on Linux.
fn processor(pids: &[u32]) -> Option<f64> {
    if pids.is_empty() {
        return None;
    }
    let mut ticks = 0.0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        for _ in 0..2 {
            ticks += fields.next()?.parse::<f64>().ok()?;
        }
    }
    Some(ticks / 100.0)
}
