//! Servers that are far apart: an answer takes longer than heartbeats follow each other.

use std::time::Duration;

use integration::eventually::{Stopwatch, throughout};
use integration::{Ensemble, EnsembleOptions, Kind, RawClient};
use proxy::PathState;

use crate::patience::{client, create, follower};

/// What a packet between two servers takes: there and back is more than the heartbeats' 100 ms and less than the
/// lease of 800 ms.
const WAY: Duration = Duration::from_millis(80);

/// So many times each server is asked.
const SYNCS: usize = 5;

/// How long a server may be without contact to a majority.
const SYNC_LIMIT: Duration = Duration::from_secs(2);

fn three() -> Ensemble {
    EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("syncLimit", "4")
        .set("raft.heartbeatMs", "100")
        .set("raft.electionTimeoutMinMs", "400")
        .set("raft.electionTimeoutMaxMs", "800")
        .proxied()
        .start()
}

#[test]
fn heartbeats_that_are_answered_late_cost_nobody_a_client() {
    // With nobody writing, clients stay for much longer than syncLimit, then syncs are answered at once on each
    // server, and so are writes; the leader is the same.
    let ensemble = three();
    let leader = ensemble.wait_for_leader();
    let before = create(ensemble.addr(leader), "/before");
    let mut clients: Vec<RawClient> = ensemble.addrs().into_iter().map(client).collect();
    for from in ensemble.servers() {
        ensemble.network().set_from(from, PathState::delayed(WAY));
    }
    throughout(SYNC_LIMIT * 3, "clients stay", || clients.iter_mut().all(|c| c.ping().is_ok()));
    for client in &mut clients {
        let asked = Stopwatch::start();
        client.sync("/before").expect("synced");
        assert!(asked.elapsed() < SYNC_LIMIT, "a sync took {:?}", asked.elapsed());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.create(&format!("/far-{number}"), b"", 0).expect("created");
    }
    let after = create(ensemble.addr(leader), "/after");
    assert_eq!(after.epoch(), before.epoch(), "no election");
}

/// Syncs at each server, one after the other, while nobody writes: they are answered within two round trips. A busy
/// machine may make a single one wait.
fn syncs_take_two_round_trips(ensemble: &Ensemble, way: Duration) {
    let leader = ensemble.wait_for_leader();
    let before = create(ensemble.addr(leader), "/before");
    let mut clients: Vec<RawClient> = ensemble.addrs().into_iter().map(client).collect();
    for from in ensemble.servers() {
        ensemble.network().set_from(from, PathState::delayed(way));
    }
    // What was on its way before has arrived, and what the delay makes late is late.
    let settled = Duration::from_secs(2).max(way * 8);
    throughout(settled, "clients stay", || clients.iter_mut().all(|c| c.ping().is_ok()));
    let mut took = vec![Vec::new(); clients.len()];
    for _ in 0..SYNCS {
        for (client, took) in clients.iter_mut().zip(&mut took) {
            let asked = Stopwatch::start();
            client.sync("/before").expect("synced");
            took.push(asked.elapsed());
        }
    }
    for (server, took) in took.iter_mut().enumerate() {
        took.sort_unstable();
        let median = took[SYNCS / 2];
        let part = if server == leader { "the leader" } else { "a follower" };
        assert!(median < way * 4, "{way:?} each way, at {part}: {took:?}");
    }
    let after = create(ensemble.addr(leader), "/after");
    assert_eq!(after.epoch(), before.epoch(), "no election");
}

#[test]
fn syncs_take_two_round_trips_with_75_ms_each_way_and_the_default_timings() {
    // An answer takes longer than three heartbeats follow each other.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).proxied().start();
    syncs_take_two_round_trips(&ensemble, Duration::from_millis(75));
}

#[test]
fn syncs_take_two_round_trips_with_500_ms_each_way_and_timings_set_for_it() {
    // The heartbeats follow each other faster than they are answered here, too. A server that starts again serves
    // again, and syncs as fast.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("tickTime", "2000")
        .set("raft.heartbeatMs", "700")
        .set("raft.electionTimeoutMinMs", "3000")
        .set("raft.electionTimeoutMaxMs", "4000")
        .proxied()
        .start();
    let way = Duration::from_millis(500);
    syncs_take_two_round_trips(&ensemble, way);
    let restarted = follower(&ensemble, ensemble.wait_for_leader());
    ensemble.kill(restarted);
    ensemble.start(restarted);
    let mut client = client(ensemble.addr(restarted));
    let asked = Stopwatch::start();
    client.sync("/before").expect("synced");
    assert!(asked.elapsed() < way * 4, "a sync took {:?}", asked.elapsed());
}

#[test]
fn a_leader_that_has_lost_its_lease_is_replaced() {
    // What the leader sends arrives, and what it gets is older than its lease lasts: it may take no write, and hears
    // the others all the time. One of them takes its place.
    let ensemble = three();
    let leader = ensemble.wait_for_leader();
    let before = create(ensemble.addr(leader), "/before");
    ensemble.network().set_to(leader, PathState::delayed(Duration::from_secs(1)));
    let after = create(ensemble.addr(follower(&ensemble, leader)), "/after");
    assert!(after.epoch() > before.epoch(), "an election");
}
