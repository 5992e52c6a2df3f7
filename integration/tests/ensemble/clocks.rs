//! Wrong clocks: hours off, either way, on any server.

use std::time::Duration;

use integration::eventually::throughout;
use integration::{EnsembleOptions, Kind, RawClient};

use crate::patience::{client, follower};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_wall_clock_that_jumps_ends_no_session_and_breaks_no_order() {
    // While clients live on all servers, the wall clocks of all jump hours ahead and hours back:
    // sessions and ephemeral znodes stay, and the times of znodes never go back.
    let folder = tempfile::tempdir().expect("a folder");
    let offset = folder.path().join("offset");
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("maxSessionTimeout", "2000")
        .variable("GROVEKEEPER_TEST_CLOCK", &offset)
        .start();
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
    let mut last_ms = 0;
    for hours in [5, -7, 30, 0] {
        std::fs::write(&offset, (hours * HOUR_MS).to_string()).expect("the clock jumps");
        throughout(Duration::from_secs(3), "sessions live and time goes on", || {
            let stat = writer.set("/time", b"", -1).expect("set");
            let goes_on = stat.mtime >= last_ms;
            last_ms = stat.mtime;
            goes_on && owners.iter_mut().all(|owner| owner.ping().is_ok())
        });
    }
    for (number, owner) in owners.iter_mut().enumerate() {
        let path = format!("/alive-{number}");
        assert!(owner.exists(&path, false).expect("asked").is_some(), "{path}");
    }
}
