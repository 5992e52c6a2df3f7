//! The catalogue in the text format of Prometheus, version 0.0.4.

use std::fmt::Write;

use super::catalogue::{Metric, QUANTILES, Value};

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Help, type and samples of every entry.
pub fn text(catalogue: &[Metric]) -> String {
    let mut out = String::new();
    for metric in catalogue {
        // Writing to a string cannot fail.
        let _ = write_metric(&mut out, metric);
    }
    out
}

fn write_metric(out: &mut String, Metric { name, help, value }: &Metric) -> std::fmt::Result {
    let kind = match value {
        Value::Gauge(_) | Value::DecimalGauge(_) => "gauge",
        Value::Counter(_) | Value::DecimalCounter(_) => "counter",
        Value::Summary(_) => "summary",
    };
    writeln!(out, "# HELP {name} {}", escaped(help))?;
    writeln!(out, "# TYPE {name} {kind}")?;
    match value {
        Value::Gauge(number) => writeln!(out, "{name} {number}"),
        Value::DecimalGauge(number) | Value::DecimalCounter(number) => {
            writeln!(out, "{name} {number}")
        }
        Value::Counter(count) => writeln!(out, "{name} {count}"),
        Value::Summary(summary) => {
            for (share, value) in QUANTILES.iter().zip(summary.quantiles) {
                // Without values there is no quantile.
                let value = if summary.count == 0 { f64::NAN } else { value };
                writeln!(out, "{name}{{quantile=\"{share}\"}} {value}")?;
            }
            writeln!(out, "{name}_sum {}", summary.sum)?;
            writeln!(out, "{name}_count {}", summary.count)
        }
    }
}

fn escaped(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::Summary;

    #[test]
    fn each_kind_is_written_as_the_format_asks() {
        // Help and type come first, names repeat, a summary has its quantiles, sum and count.
        let quantiles = [0.5, 1.0, 1.5, 2.0, 2.5];
        let summary =
            Summary { count: 2, sum: 3.5, min: 0.5, max: 3.0, quantiles, detailed: false };
        let metric = |name: &str, help, value| Metric { name: name.into(), help, value };
        let list = [
            metric("znode_count", "znodes", Value::Gauge(5)),
            metric("avg_latency", "a\\b", Value::DecimalGauge(0.25)),
            metric("commit_count", "writes", Value::Counter(7)),
            metric("fsynctime", "ms", Value::Summary(summary)),
        ];
        let expected = "# HELP znode_count znodes\n# TYPE znode_count gauge\nznode_count 5\n\
            # HELP avg_latency a\\\\b\n# TYPE avg_latency gauge\navg_latency 0.25\n\
            # HELP commit_count writes\n# TYPE commit_count counter\ncommit_count 7\n\
            # HELP fsynctime ms\n# TYPE fsynctime summary\n\
            fsynctime{quantile=\"0.5\"} 0.5\nfsynctime{quantile=\"0.9\"} 1\n\
            fsynctime{quantile=\"0.95\"} 1.5\nfsynctime{quantile=\"0.99\"} 2\n\
            fsynctime{quantile=\"0.999\"} 2.5\nfsynctime_sum 3.5\nfsynctime_count 2\n";
        assert_eq!(text(&list), expected);
    }
}
