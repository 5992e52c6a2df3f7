//! The catalogue as names and single numbers: for `mntr` and the admin command `monitor`.

use std::fmt;

use serde::Serialize;

use super::catalogue::{Metric, QUANTILES, Summary, Value};

/// A single number.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// Where ZooKeeper shows a whole number.
    Whole(i64),
    /// Where it shows decimals.
    Decimal(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            // At least one decimal, as Java prints: 0.0
            Self::Decimal(number) => write!(f, "{number:?}"),
        }
    }
}

/// A number with at most four decimals, as ZooKeeper rounds its means.
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The entries in order; a summary becomes `avg_x`, `min_x`, `max_x`, `cnt_x`, `sum_x` and, where
/// ZooKeeper has them, `p50_x`, `p95_x`, `p99_x`, `p999_x`.
pub fn flatten(catalogue: &[Metric]) -> Vec<(String, Number)> {
    let mut flat = Vec::new();
    for Metric { name, value, .. } in catalogue {
        match value {
            Value::Gauge(number) => flat.push((name.clone(), Number::Whole(*number))),
            Value::DecimalGauge(number) | Value::DecimalCounter(number) => {
                flat.push((name.clone(), Number::Decimal(rounded(*number))));
            }
            Value::Counter(count) => flat.push((name.clone(), counted(*count))),
            Value::Summary(summary) => flatten_summary(&mut flat, name, summary),
        }
    }
    flat
}

fn flatten_summary(flat: &mut Vec<(String, Number)>, name: &str, summary: &Summary) {
    let mean = if summary.count == 0 { 0.0 } else { summary.sum / summary.count as f64 };
    let mut add = |prefix: &str, number| flat.push((format!("{prefix}_{name}"), number));
    add("avg", Number::Decimal(rounded(mean)));
    add("min", whole(summary.min));
    add("max", whole(summary.max));
    add("cnt", counted(summary.count));
    add("sum", whole(summary.sum));
    if !summary.detailed {
        return;
    }
    for (share, value) in QUANTILES.iter().zip(summary.quantiles) {
        let prefix = match share {
            0.5 => "p50",
            0.95 => "p95",
            0.99 => "p99",
            0.999 => "p999",
            _ => continue,
        };
        add(prefix, whole(value));
    }
}

fn counted(count: u64) -> Number {
    Number::Whole(i64::try_from(count).unwrap_or(i64::MAX))
}

fn whole(value: f64) -> Number {
    Number::Whole(value.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_have_the_keys_of_scrapers() {
        // The keys and their order are ZooKeeper's; whole numbers stay whole.
        let quantiles = [1.0, 2.0, 3.0, 4.4, 5.0];
        let summary =
            Summary { count: 3, sum: 10.0, min: 0.4, max: 6.0, quantiles, detailed: true };
        let metric =
            Metric { name: "readlatency".into(), help: "", value: Value::Summary(summary) };
        let lines: Vec<String> =
            flatten(&[metric]).iter().map(|(name, number)| format!("{name} {number}")).collect();
        let expected = [
            "avg_readlatency 3.3333",
            "min_readlatency 0",
            "max_readlatency 6",
            "cnt_readlatency 3",
            "sum_readlatency 10",
            "p50_readlatency 1",
            "p95_readlatency 3",
            "p99_readlatency 4",
            "p999_readlatency 5",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn decimals_look_like_javas() {
        // A scraper tells decimals by their point.
        assert_eq!(Number::Decimal(rounded(0.0)).to_string(), "0.0");
        assert_eq!(Number::Decimal(rounded(0.488_67)).to_string(), "0.4887");
        assert_eq!(Number::Whole(-1).to_string(), "-1");
    }
}
