//! What a run found, as text and as JSON.

use serde::Serialize;
use std::fmt::Write;

use super::options::BenchOptions;
use super::window::Outcome;
use super::workload::Workload;

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of the load generator.
    pub grovekeeper: &'static str,
    /// The servers.
    pub servers: Vec<String>,
    /// Connections, each with a session of its own.
    pub connections: usize,
    /// Requests in flight on each connection.
    pub depth: usize,
    /// Bytes of data in a node.
    pub value_bytes: usize,
    /// Seconds that each workload was measured.
    pub seconds: f64,
    /// Nodes that reads and writes chose from.
    pub keys: u64,
    /// Children of the node that was listed.
    pub children: u64,
    /// Writes in a transaction.
    pub multi_ops: usize,
    /// One entry a workload, in the order in which they ran.
    pub workloads: Vec<WorkloadReport>,
}

/// What one workload found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadReport {
    /// The workload.
    pub workload: Workload,
    /// Replies within the measured time.
    pub ops: u64,
    /// The measured time.
    pub seconds: f64,
    /// Replies a second.
    pub ops_per_second: f64,
    /// Processor time of the servers in that time, in seconds, where their processes were named.
    pub server_cpu_seconds: Option<f64>,
    /// Processor time of the load generator in that time, in seconds.
    pub loader_cpu_seconds: Option<f64>,
    /// How long replies took.
    pub latency_us: Latencies,
    /// Wrong replies.
    pub errors: u64,
    /// The first wrong reply.
    pub first_error: Option<String>,
}

/// How long replies took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// Nine in ten replies took no longer.
    pub p90: f64,
    /// 99 in 100.
    pub p99: f64,
    /// 999 in 1000.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Report {
    /// A report without workloads.
    pub(super) fn new(options: &BenchOptions) -> Self {
        Self {
            grovekeeper: env!("CARGO_PKG_VERSION"),
            servers: options.servers.iter().map(ToString::to_string).collect(),
            connections: options.connections,
            depth: options.depth,
            value_bytes: options.value_bytes,
            seconds: options.measure.as_secs_f64(),
            keys: options.keys,
            children: options.children,
            multi_ops: options.multi_ops,
            workloads: Vec::new(),
        }
    }

    /// The lines above the table: what was run.
    #[must_use]
    pub fn heading(&self) -> String {
        format!(
            "{}: {} connections, {} requests in flight on each, {} bytes a node, {} s a workload\n\
             {}",
            self.servers.join(","),
            self.connections,
            self.depth,
            self.value_bytes,
            self.seconds,
            WorkloadReport::columns(),
        )
    }
}

impl WorkloadReport {
    pub(super) fn new(workload: Workload, outcome: &Outcome) -> Self {
        let Outcome { tally, active, processor } = outcome;
        let seconds = active.as_secs_f64();
        Self {
            workload,
            ops: tally.ops(),
            seconds,
            ops_per_second: rate(tally.ops(), seconds),
            server_cpu_seconds: processor.servers,
            loader_cpu_seconds: processor.loader,
            latency_us: Latencies {
                mean: tally.mean_us(),
                p50: tally.quantile_us(0.5),
                p90: tally.quantile_us(0.9),
                p99: tally.quantile_us(0.99),
                p999: tally.quantile_us(0.999),
                max: tally.max_us(),
            },
            errors: tally.wrong(),
            first_error: tally.first_wrong().map(|wrong| wrong.to_string()),
        }
    }

    /// The titles of the columns of [`WorkloadReport::row`].
    #[must_use]
    pub fn columns() -> String {
        let mut line = format!("{:<10}{:>10}", "workload", "ops/s");
        for title in ["p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "errors"] {
            let _ = write!(line, "{title:>10}");
        }
        line
    }

    /// One line of the table; latencies in microseconds.
    #[must_use]
    pub fn row(&self) -> String {
        let mut line = format!("{:<10}{:>10.0}", self.workload, self.ops_per_second);
        let Latencies { mean: _, p50, p90, p99, p999, max } = self.latency_us;
        for us in [p50, p90, p99, p999, max] {
            let digits = if us < 100.0 { 1 } else { 0 };
            let _ = write!(line, "{us:>10.digits$}");
        }
        let _ = write!(line, "{:>10}", self.errors);
        line
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 replies")]
fn rate(ops: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { ops as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::processor::Processor;
    use crate::script::WrongReply;
    use crate::tally::Tally;

    fn report() -> WorkloadReport {
        let mut tally = Tally::default();
        for us in [50, 150, 250] {
            tally.record(Duration::from_micros(us), Ok(()));
        }
        tally.judge(Err(WrongReply::Code(-101)));
        let processor = Processor { servers: Some(0.25), loader: None };
        WorkloadReport::new(
            Workload::Get,
            &Outcome { tally, active: Duration::from_secs(2), processor },
        )
    }

    #[test]
    fn rows_are_aligned_with_their_titles() {
        // A reader finds each number below its title, right-aligned.
        let (columns, row) = (WorkloadReport::columns(), report().row());
        assert_eq!(columns.len(), row.len());
        let expected =
            "get                2       150       250       250       250       250         1";
        assert_eq!(row, expected);
        for (at, byte) in columns.bytes().enumerate() {
            let ends_a_title = byte != b' ' && columns.as_bytes().get(at + 1) == Some(&b' ');
            if at > 10 && ends_a_title && columns.as_bytes()[at + 2] == b' ' {
                assert_ne!(row.as_bytes()[at], b' ', "column {at}");
            }
        }
    }

    #[test]
    fn json_has_the_names_that_scripts_read() {
        // `bench/compare` and other readers rely on these fields.
        let mut whole = Report::new(&BenchOptions::new(([127, 0, 0, 1], 2181).into()));
        whole.workloads.push(report());
        let json = serde_json::to_value(&whole).unwrap();
        assert_eq!(json["servers"][0], "127.0.0.1:2181");
        let get = &json["workloads"][0];
        assert_eq!(get["workload"], "get");
        assert_eq!(get["ops"], 3);
        assert_eq!(get["ops_per_second"], 1.5);
        assert_eq!(get["errors"], 1);
        assert_eq!(get["server_cpu_seconds"], 0.25);
        assert!(get["first_error"].as_str().unwrap().contains("NoNode"));
        for field in ["mean", "p50", "p90", "p99", "p99.9", "max"] {
            assert!(get["latency_us"][field].as_f64().unwrap() >= 50.0, "{field}");
        }
    }
}
