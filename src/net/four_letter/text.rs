//! The answers, made of plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};

use jute_proto::SessionId;

use crate::admin::VERSION;
use crate::admin::reading::{ConnReading, ServerReading};
use crate::node::DigestRecord;
use crate::telemetry::{Metric, flatten, rounded, to_ms};

/// What a word that is not on the whitelist gets.
pub(super) fn refusal(word: &str) -> String {
    format!("{word} is not executed because it is not in the whitelist.\n")
}

/// What a server that serves nobody answers.
pub(super) const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// `srvr`.
pub(super) fn srvr(server: &ServerReading) -> String {
    format!("Zookeeper version: {VERSION}\n{}", figures(server))
}

/// `stat`: as `srvr`, with the connections; the asking one stands last.
pub(super) fn stat(server: &ServerReading, conns: &[ConnReading], asking: SocketAddr) -> String {
    let mut out = format!("Zookeeper version: {VERSION}\nClients:\n");
    for conn in conns {
        let _ = writeln!(out, "{})", brief(conn));
    }
    let _ = writeln!(out, "{}\n\n{}", asking_line(asking), figures(server).trim_end_matches('\n'));
    out
}

fn figures(server: &ServerReading) -> String {
    let ServerReading { latency_us, received, sent, connections, outstanding, .. } = server;
    format!(
        "Latency min/avg/max: {}/{:?}/{}\nReceived: {received}\nSent: {sent}\n\
         Connections: {connections}\nOutstanding: {outstanding}\nZxid: {}\nMode: {}\n\
         Node count: {}\n",
        to_ms(latency_us.min),
        rounded(latency_us.mean() / 1000.0),
        to_ms(latency_us.max),
        server.zxid,
        server.mode,
        server.node_count,
    )
}

/// `cons`: one line a connection; the asking one stands last.
pub(super) fn cons(conns: &[ConnReading], asking: SocketAddr) -> String {
    let mut out = String::new();
    for conn in conns {
        let _ = writeln!(out, "{}{})", brief(conn), details(conn));
    }
    let _ = writeln!(out, "{}\n", asking_line(asking));
    out
}

fn brief(conn: &ConnReading) -> String {
    let report = &conn.report;
    format!(
        " {}[{}](queued={},recved={},sent={}",
        java_address(conn.peer),
        u8::from(conn.reading),
        report.queued,
        report.received,
        report.sent
    )
}

/// The connection that carries the word: it sent one packet and has no session.
fn asking_line(peer: SocketAddr) -> String {
    format!(" {}[0](queued=0,recved=1,sent=0)", java_address(peer))
}

fn details(conn: &ConnReading) -> String {
    let report = &conn.report;
    if report.session == SessionId(0) {
        return String::new();
    }
    let mut out = format!(
        ",sid={},lop={},est={},to={}",
        report.session, report.last_op, conn.established_ms, report.timeout_ms
    );
    if report.last_xid.0 >= 0 {
        let _ = write!(out, ",lcxid={:#x}", report.last_xid.0);
    }
    let _ = write!(
        out,
        ",lzxid={},lresp={},llat={},minlat={},avglat={},maxlat={}",
        report.last_zxid,
        report.last_response_us / 1000,
        to_ms(report.last_latency_us),
        to_ms(report.min_latency_us),
        to_ms(report.mean_latency_us),
        to_ms(report.max_latency_us)
    );
    out
}

/// `conf` and `envi`: lines of `key=value`.
pub(super) fn properties(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// `mntr`: lines of key, tab and value.
pub(super) fn mntr(mode: &str, peer_state: Option<&str>, metrics: &[Metric]) -> String {
    let mut out = format!("zk_version\t{VERSION}\nzk_server_state\t{mode}\n");
    if let Some(peer_state) = peer_state {
        let _ = writeln!(out, "zk_peer_state\t{peer_state}");
    }
    for (name, number) in flatten(metrics) {
        let _ = writeln!(out, "zk_{name}\t{number}");
    }
    out
}

/// `hash`: lines of zxid and digest, a number that a Java `long` can hold.
pub(super) fn hash(records: &[DigestRecord]) -> String {
    let line = |DigestRecord { zxid, digest, .. }: &DigestRecord| {
        format!("{:x}: {}\n", zxid.0, digest.cast_signed())
    };
    records.iter().map(line).collect()
}

/// `wchs`.
pub(super) fn wchs((connections, paths, watches): (usize, usize, usize)) -> String {
    format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
}

/// `wchc` and `wchp`: each key on a line, its members indented below, and an empty line.
pub(super) fn watches<K: Display, V: Display>(map: &BTreeMap<K, BTreeSet<V>>) -> String {
    let mut out = String::new();
    for (key, members) in map {
        let _ = writeln!(out, "{key}");
        for member in members {
            let _ = writeln!(out, "\t{member}");
        }
    }
    out.push('\n');
    out
}

/// An address as Java prints it: a slash in front, IPv6 in full.
pub(super) fn java_address(addr: SocketAddr) -> String {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => format!("/{ip}:{}", addr.port()),
        IpAddr::V6(ip) => {
            let parts: Vec<String> = ip.segments().iter().map(|part| format!("{part:x}")).collect();
            format!("/[{}]:{}", parts.join(":"), addr.port())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jute_proto::{Xid, Zxid};
    use kernel::conn::ConnReport;
    use kernel::stats::Extremes;

    use super::*;
    use crate::telemetry::Value;

    type ByPath = BTreeMap<Arc<str>, BTreeSet<SessionId>>;

    const ASKING: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 43_388);

    fn server() -> ServerReading {
        ServerReading {
            latency_us: Extremes { count: 3, sum: 1_466, min: 0, max: 7_000, last: 1 },
            received: 314,
            sent: 313,
            connections: 2,
            outstanding: 0,
            zxid: Zxid(0x133),
            mode: "standalone",
            node_count: 309,
        }
    }

    fn conn() -> ConnReading {
        let report = ConnReport {
            session: SessionId(0x0100_0044_f36a_0001),
            received: 6,
            sent: 6,
            last_op: "SETD",
            timeout_ms: 10_000,
            last_xid: Xid(5),
            last_zxid: Zxid(0x133),
            last_response_us: 4_548_994_000,
            last_latency_us: 1_000,
            max_latency_us: 1_400,
            mean_latency_us: 300,
            ..ConnReport::default()
        };
        let peer = ([127, 0, 0, 1], 43_344).into();
        ConnReading {
            peer,
            secure: false,
            reading: true,
            report,
            established_ms: 1_795_465_513_529,
            expires_ms: 0,
        }
    }

    #[test]
    fn srvr_and_stat_have_zookeepers_lines() {
        // The lines and their order are those of a real server's answer.
        let figures = "Latency min/avg/max: 0/0.4887/7\nReceived: 314\nSent: 313\n\
            Connections: 2\nOutstanding: 0\nZxid: 0x133\nMode: standalone\nNode count: 309\n";
        assert_eq!(srvr(&server()), format!("Zookeeper version: {VERSION}\n{figures}"));
        let clients = " /127.0.0.1:43344[1](queued=0,recved=6,sent=6)\n \
            /127.0.0.1:43388[0](queued=0,recved=1,sent=0)\n";
        let expected = format!("Zookeeper version: {VERSION}\nClients:\n{clients}\n{figures}");
        assert_eq!(stat(&server(), &[conn()], ASKING), expected);
    }

    #[test]
    fn cons_has_zookeepers_fields() {
        // Session, last operation and latencies of a connection with a session; not of one without.
        let expected = " /127.0.0.1:43344[1](queued=0,recved=6,sent=6,sid=0x1000044f36a0001,\
            lop=SETD,est=1795465513529,to=10000,lcxid=0x5,lzxid=0x133,lresp=4548994,llat=1,\
            minlat=0,avglat=0,maxlat=1)\n /127.0.0.1:43388[0](queued=0,recved=1,sent=0)\n\n";
        assert_eq!(cons(&[conn()], ASKING), expected);
        let mut fresh = conn();
        fresh.report.session = SessionId(0);
        assert!(
            cons(&[fresh], ASKING).starts_with(" /127.0.0.1:43344[1](queued=0,recved=6,sent=6)\n")
        );
    }

    #[test]
    fn without_a_request_there_is_no_number() {
        // As in ZooKeeper, lcxid is left out while nothing but pings came.
        let mut pinged = conn();
        pinged.report.last_xid = Xid(-1);
        assert!(!cons(&[pinged], ASKING).contains("lcxid"));
    }

    #[test]
    fn watches_are_listed_below_their_key() {
        // By session and by path alike, with an empty line at the end.
        let map: ByPath = [("/a".into(), [SessionId(1), SessionId(2)].into())].into();
        assert_eq!(watches(&map), "/a\n\t0x1\n\t0x2\n\n");
        assert_eq!(watches(&ByPath::new()), "\n");
        assert_eq!(wchs((2, 3, 4)), "2 connections watching 3 paths\nTotal watches:4\n");
    }

    #[test]
    fn mntr_lines_are_keys_tabs_and_values() {
        // Scrapers split each line at its tab and read the rest as a number.
        let metric = Metric { name: "znode_count".into(), help: "", value: Value::Gauge(5) };
        let expected =
            format!("zk_version\t{VERSION}\nzk_server_state\tstandalone\nzk_znode_count\t5\n");
        assert_eq!(mntr("standalone", None, &[metric]), expected);
    }

    #[test]
    fn hash_lines_are_zxids_and_digests() {
        // The zxid in bare hex, as ZooKeeper prints it.
        let records = [DigestRecord { zxid: Zxid(0x180), digest: 42, whole: 0 }];
        assert_eq!(hash(&records), "180: 42\n");
    }

    #[test]
    fn addresses_are_javas() {
        // IPv4 in IPv6 is IPv4; IPv6 is written in full.
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5".parse().unwrap();
        assert_eq!(java_address(mapped), "/10.0.0.1:5");
        let six: SocketAddr = "[::1]:5".parse().unwrap();
        assert_eq!(java_address(six), "/[0:0:0:0:0:0:0:1]:5");
    }
}
