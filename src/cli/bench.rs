//! `grovekeeper bench`.

use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use super::args::address;
use super::error::CliError;
use super::output::say;
use super::signals::StopSignals;
use load::{BenchError, BenchOptions, NullServer, Report, Workload};

use crate::env::fs::File;
use crate::env::{net, task};

/// The options of `bench`.
#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// The server, or several between which connections are spread
    #[arg(
        short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181",
        value_parser = address, value_delimiter = ','
    )]
    server: Vec<SocketAddr>,
    /// Connections, each with a session of its own
    #[arg(short, long, default_value_t = 10, value_parser = positive)]
    connections: usize,
    /// Requests in flight on each connection
    #[arg(short, long, default_value_t = 8, value_parser = positive)]
    depth: usize,
    /// Bytes of data in a node
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// How long each workload is measured
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Seconds that each workload runs before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// Nodes that reads and writes choose from
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// Children of the node that is listed
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    children: u64,
    /// Writes in each transaction of `multi`
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = positive)]
    multi_ops: usize,
    /// Nodes that the workload `fill` makes; they stay until the end of the run
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    fill: u64,
    /// Children that the parents of `create` and `delete` have beforehand
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    siblings: u64,
    /// Watches that wait on as many other connections, all the time
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    watches: u64,
    /// Leave the nodes of the run
    #[arg(long)]
    keep: bool,
    /// Processes on this machine whose processor time is told with each workload (Linux)
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Measure nothing; answer instead like a server without state, for comparison with a real one
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    null_server: Option<SocketAddr>,
    /// What to run: create, set, get, list, exists, delete, mixed, ephemeral, multi, connect, watch;
    /// and fill, which is not among `all`
    #[arg(
        short,
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "all",
        hide_default_value = true
    )]
    workload: Vec<WorkloadArg>,
    /// Threads of the load generator; more than one only helps where processors are idle
    #[arg(long, default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A workload, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkloadArg {
    All,
    One(Workload),
}

impl std::str::FromStr for WorkloadArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "expected 1 or more".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= SECONDS_MAX).ok_or_else(|| "expected 0 to 86400".to_owned())
}

/// A workload runs for a day at most.
const SECONDS_MAX: Duration = Duration::from_secs(86_400);

impl BenchArgs {
    fn options(&self) -> BenchOptions {
        let workloads = self.workload.iter().flat_map(|workload| match workload {
            WorkloadArg::All => Workload::ALL.to_vec(),
            WorkloadArg::One(one) => vec![*one],
        });
        BenchOptions {
            servers: self.server.clone(),
            connections: self.connections,
            depth: self.depth,
            value_bytes: self.size,
            measure: self.seconds,
            warmup: self.warmup,
            keys: self.keys,
            children: self.children,
            multi_ops: self.multi_ops,
            fill: self.fill,
            siblings: self.siblings,
            watches: self.watches,
            keep: self.keep,
            pids: self.pid.clone(),
            workloads: workloads.collect(),
        }
    }
}

/// Runs the load generator on threads of its own.
pub(super) fn bench(args: &BenchArgs) -> Result<(), CliError> {
    if let Some(addr) = args.null_server {
        let runtime = task::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(null_server(args, addr));
    }
    let runtime = match args.threads {
        1 => task::Builder::new_current_thread().enable_all().build()?,
        threads => {
            let mut builder = task::Builder::new_multi_thread();
            builder.worker_threads(threads).enable_all().build()?
        }
    };
    runtime.block_on(run(args))
}

async fn run(args: &BenchArgs) -> Result<(), CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = StopSignals::catch()?;
    let flag = Arc::clone(&stop);
    let stopping = task::spawn(async move {
        signals.next().await;
        flag.store(true, Ordering::Relaxed);
        // The second signal does not wait for the nodes to be removed.
        signals.next().await;
        std::process::exit(1);
    });
    let (report, outcome) = load::run(&args.options(), &stop, |line| say(line)).await;
    stopping.abort();
    if let Some(file) = &args.json {
        write_json(file, &report)?;
    }
    Ok(outcome?)
}

/// Serves until SIGINT or SIGTERM.
async fn null_server(args: &BenchArgs, addr: SocketAddr) -> Result<(), CliError> {
    let listener = net::TcpListener::bind(addr).await?;
    say(format_args!("A server without state listens on {}", listener.local_addr()?));
    let mut signals = StopSignals::catch()?;
    tokio::select! {
        ended = NullServer::new(args.size, args.children).serve(listener) => Ok(ended?),
        _ = signals.next() => Ok(()),
    }
}

fn write_json(file: &Path, report: &Report) -> Result<(), BenchError> {
    let write = || {
        let mut out = BufWriter::new(File::create(file)?);
        serde_json::to_writer_pretty(&mut out, report)?;
        out.write_all(b"\n")?;
        out.flush()
    };
    write().map_err(|source| BenchError::Write { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_be_fractions_within_a_day() {
        // A quick check can run for a tenth of a second; nonsense is refused.
        assert_eq!(seconds("0.1"), Ok(Duration::from_millis(100)));
        for bad in ["-1", "x", "nan", "inf", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
