//! When sessions end.

use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::{RawClient, within};

use crate::patience::{PATIENCE, client, follower, three};

const TIMEOUT: Duration = Duration::from_secs(3);

#[test]
fn a_silent_session_ends_after_its_timeout_and_not_before() {
    // The leader judges the silence of a session that another server holds: the ephemeral znode is
    // there until the timeout has passed since the last word, and goes then.
    let ensemble = three().start();
    let leader = ensemble.wait_for_leader();
    let mut owner = RawClient::connect_for(ensemble.addr(follower(&ensemble, leader)), TIMEOUT)
        .expect("a session");
    assert_eq!(owner.timeout(), TIMEOUT);
    owner.create("/silent", b"", 1).expect("an ephemeral");
    let mut watcher = client(ensemble.addr(leader));
    let clock = Stopwatch::start();
    owner.ping().expect("the last word");
    within(PATIENCE, "the ephemeral goes", || {
        watcher.exists("/silent", false).expect("asked").is_none().then_some(())
    });
    assert!(clock.elapsed() >= TIMEOUT, "after {:?}", clock.elapsed());
}

#[test]
fn a_new_leader_gives_every_session_its_full_timeout() {
    // The leader is killed when a session's timeout has nearly passed: the next leader starts to count
    // anew, so the session outlives its old deadline.
    let mut ensemble = three().start();
    let leader = ensemble.wait_for_leader();
    let home = follower(&ensemble, leader);
    let third =
        ensemble.servers().find(|server| ![leader, home].contains(server)).expect("a third");
    let mut owner = RawClient::connect_for(ensemble.addr(home), TIMEOUT).expect("a session");
    owner.create("/silent", b"", 1).expect("an ephemeral");
    integration::eventually::pause_for(TIMEOUT / 2);
    ensemble.kill(leader);
    let clock = Stopwatch::start();
    let mut watcher = client(ensemble.addr(third));
    within(PATIENCE, "the ephemeral goes", || {
        let answer = watcher.exists("/silent", false);
        if answer.is_err() {
            watcher = client(ensemble.addr(third));
        }
        answer.ok()?.is_none().then_some(())
    });
    assert!(clock.elapsed() >= TIMEOUT, "after {:?}", clock.elapsed());
}
