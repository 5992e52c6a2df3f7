//! Connections as JSON.

use serde_json::{Map, Value, json};

use crate::admin::reading::ConnReading;
use crate::telemetry::to_ms;

/// A list of connections; `brief` as `stats` shows them, else as `connections` does.
pub(super) fn list(connections: &[ConnReading], brief: bool) -> Value {
    connections.iter().map(|conn| Value::Object(entry(conn, brief))).collect()
}

fn entry(conn: &ConnReading, brief: bool) -> Map<String, Value> {
    let report = &conn.report;
    let addr = format!("{}:{}", conn.peer.ip().to_canonical(), conn.peer.port());
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    put("remote_socket_address", json!(addr));
    put("interest_ops", json!(i32::from(conn.reading)));
    put("outstanding_requests", json!(report.queued));
    put("packets_received", json!(report.received));
    put("packets_sent", json!(report.sent));
    if brief {
        return entry;
    }
    put("session_id", json!(report.session.0));
    put("last_operation", json!(report.last_op));
    put("established", json!(conn.established_ms));
    put("session_timeout", json!(report.timeout_ms));
    put("last_cxid", json!(report.last_xid.0));
    put("last_zxid", json!(report.last_zxid.0));
    put("last_response_time", json!(report.last_response_us / 1000));
    put("last_latency", json!(to_ms(report.last_latency_us)));
    put("min_latency", json!(to_ms(report.min_latency_us)));
    put("avg_latency", json!(to_ms(report.mean_latency_us)));
    put("max_latency", json!(to_ms(report.max_latency_us)));
    entry
}
