//! Wrong clocks: hours off, either way, on any server.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration::eventually::{eventually, throughout};
use integration::{Ensemble, EnsembleOptions, Failpoint, Kind, RawClient};
use jute_proto::{Acl, CreateTtlRequest, OpCode};

use crate::patience::{client, follower};

const HOUR_MS: i64 = 3_600_000;

/// Three servers whose clocks are off by what the file says.
fn ensemble_with_clock(offset: &Path) -> Ensemble {
    EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("maxSessionTimeout", "2000")
        .set("extendedTypesEnabled", "true")
        .set("znode.container.checkIntervalMs", "100")
        .failpoint(Failpoint::Clock, offset)
        .start()
}

fn set_clock(offset: &Path, hours: i64) {
    std::fs::write(offset, (hours * HOUR_MS).to_string()).expect("the clock jumps");
}

#[expect(clippy::disallowed_methods, reason = "it is compared with what servers say")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

#[test]
fn a_wall_clock_that_jumps_ends_no_session_and_breaks_no_order() {
    // While clients live on all servers, the wall clocks of all jump hours ahead and hours back:
    // sessions and ephemeral znodes stay, and transactions keep their order.
    let folder = tempfile::tempdir().expect("a folder");
    let offset = folder.path().join("offset");
    let ensemble = ensemble_with_clock(&offset);
    let leader = ensemble.wait_for_leader();
    let homes = [leader, follower(&ensemble, leader)];
    let mut owners = homes.map(|home| {
        RawClient::connect_for(ensemble.addr(home), Duration::from_secs(2)).expect("a session")
    });
    for (number, owner) in owners.iter_mut().enumerate() {
        owner.create(&format!("/alive-{number}"), b"", 1).expect("an ephemeral");
    }
    let mut writer = client(ensemble.addr(leader));
    writer.create("/time", b"", 0).expect("created");
    let mut last = 0;
    for hours in [5, -7, 30, 0] {
        set_clock(&offset, hours);
        throughout(Duration::from_secs(3), "sessions live and transactions go on", || {
            let stat = writer.set("/time", b"", -1).expect("set");
            let goes_on = stat.mzxid.0 > last;
            last = stat.mzxid.0;
            goes_on && owners.iter_mut().all(|owner| owner.ping().is_ok())
        });
    }
    for (number, owner) in owners.iter_mut().enumerate() {
        let path = format!("/alive-{number}");
        assert!(owner.exists(&path, false).expect("asked").is_some(), "{path}");
    }
}

#[test]
fn a_clock_that_was_wrong_once_stops_time_for_nobody() {
    // One write by a leader whose clock was 30 hours ahead: the next one has the right time again, and what has a
    // time to live ends by the time that passes, neither earlier nor later.
    let folder = tempfile::tempdir().expect("a folder");
    let offset = folder.path().join("offset");
    let ensemble = ensemble_with_clock(&offset);
    let mut writer = client(ensemble.addr(ensemble.wait_for_leader()));
    let mut create = |path: &str, ttl_ms: i64| {
        let request = CreateTtlRequest {
            path: path.into(),
            data: None,
            acl: Some(Acl::open()),
            flags: 5,
            ttl_ms,
        };
        writer.call(OpCode::CreateTtl, &request).expect("an answer").ok().expect("created");
    };
    create("/before", 60_000);
    set_clock(&offset, 30);
    create("/ahead", 1000);
    set_clock(&offset, 0);
    create("/after", 1000);
    let (_, stat) = writer.get("/after", false).expect("read");
    assert!((now_ms() - stat.ctime).abs() < HOUR_MS, "made at {}", stat.ctime);
    for path in ["/ahead", "/after"] {
        eventually(&format!("{path} ends"), || {
            writer.exists(path, false).expect("asked").is_none().then_some(())
        });
    }
    assert!(writer.exists("/before", false).expect("asked").is_some(), "it lives for a minute");
}
