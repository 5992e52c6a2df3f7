//! The answer to `dump`: sessions by their end, ephemeral nodes, connections by their end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use jute_proto::SessionId;

use super::date::java_date;
use super::text::java_address;
use crate::admin::reading::ConnReading;

/// What `dump` shows. Times are milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) sessions: Vec<(i64, Vec<SessionId>)>,
    pub(super) ephemerals: Vec<(SessionId, Vec<Arc<str>>)>,
    pub(super) connections: Vec<(i64, Vec<ConnReading>)>,
}

impl Dump {
    pub(super) fn text(&self) -> String {
        let mut out = String::from("SessionTracker dump:\n");
        sets(&mut out, "Session Sets", &self.sessions, SessionId::to_string);
        let _ = writeln!(out, "ephemeral nodes dump:");
        let _ = writeln!(out, "Sessions with Ephemerals ({}):", self.ephemerals.len());
        for (session, paths) in &self.ephemerals {
            let _ = writeln!(out, "{session}:");
            for path in paths {
                let _ = writeln!(out, "\t{path}");
            }
        }
        let _ = writeln!(out, "Connections dump:");
        sets(&mut out, "Connections Sets", &self.connections, |conn| {
            format!("ip: {} sessionId: {}", java_address(conn.peer), conn.report.session)
        });
        out
    }
}

/// `name (sets)/(members):`, then each set with its time and members.
fn sets<T>(out: &mut String, name: &str, sets: &[(i64, Vec<T>)], line: impl Fn(&T) -> String) {
    let members: usize = sets.iter().map(|(_, members)| members.len()).sum();
    let _ = writeln!(out, "{name} ({})/({members}):", sets.len());
    for (at_ms, members) in sets {
        let _ = writeln!(out, "{} expire at {}:", members.len(), java_date(*at_ms));
        for member in members {
            let _ = writeln!(out, "\t{}", line(member));
        }
    }
}

/// Puts connections into sets of one tick, by the end of the tick in which they end. `to_wall_ms`
/// turns the server's clock into wall time.
pub(super) fn by_end(
    connections: Vec<ConnReading>,
    tick_ms: u64,
    to_wall_ms: impl Fn(u64) -> i64,
) -> Vec<(i64, Vec<ConnReading>)> {
    let mut ends: BTreeMap<u64, Vec<ConnReading>> = BTreeMap::new();
    for connection in connections {
        let end_ms = (connection.expires_ms / tick_ms + 1) * tick_ms;
        ends.entry(end_ms).or_default().push(connection);
    }
    ends.into_iter().map(|(end_ms, conns)| (to_wall_ms(end_ms), conns)).collect()
}

#[cfg(test)]
mod tests {
    use kernel::conn::ConnReport;

    use super::*;

    fn conn(session: i64, expires_ms: u64) -> ConnReading {
        let report = ConnReport { session: SessionId(session), ..ConnReport::default() };
        let peer = ([127, 0, 0, 1], 4000).into();
        ConnReading { peer, secure: false, reading: true, report, established_ms: 0, expires_ms }
    }

    #[test]
    fn dump_has_zookeepers_lines() {
        // The shapes were taken from a real server's answer.
        let dump = Dump {
            sessions: vec![(1_795_465_524_000, vec![SessionId(0x10), SessionId(0x11)])],
            ephemerals: vec![(SessionId(0x10), vec!["/app/e1".into(), "/app/e2".into()])],
            connections: by_end(vec![conn(0x10, 5), conn(0x11, 7)], 1000, |ms| ms.cast_signed()),
        };
        let expected = "SessionTracker dump:\nSession Sets (1)/(2):\n\
            2 expire at Mon Nov 23 20:25:24 UTC 2026:\n\t0x10\n\t0x11\n\
            ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x10:\n\t/app/e1\n\t/app/e2\n\
            Connections dump:\nConnections Sets (1)/(2):\n\
            2 expire at Thu Jan 01 00:00:01 UTC 1970:\n\
            \tip: /127.0.0.1:4000 sessionId: 0x10\n\tip: /127.0.0.1:4000 sessionId: 0x11\n";
        assert_eq!(dump.text(), expected);
    }

    #[test]
    fn an_idle_server_has_empty_sets() {
        // Every heading is there, with nothing below.
        let expected = "SessionTracker dump:\nSession Sets (0)/(0):\nephemeral nodes dump:\n\
            Sessions with Ephemerals (0):\nConnections dump:\nConnections Sets (0)/(0):\n";
        assert_eq!(Dump::default().text(), expected);
    }
}
