//! The loss of the leader costs clients a pause and nothing else.

use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::raw::create_request;
use integration::{EnsembleOptions, Kind, RawClient, within};
use jute_proto::{OpCode, SetDataRequest, SetDataResponse, Xid};

use crate::patience::{PATIENCE, client, follower, resumed, three};

/// Writes that are under way when the leader goes.
const WRITES: usize = 400;

/// Writes that are answered before it goes.
const BEFORE: usize = 100;

#[test]
fn a_client_of_a_follower_notices_only_a_pause() {
    // While a client has many writes under way at a follower, the leader is killed: the connection
    // stays, each write is answered in order without an error, and was done exactly once, in order.
    // Apache ZooKeeper ends all connections here.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
    let leader = ensemble.wait_for_leader();
    let mut client = client(ensemble.addr(follower(&ensemble, leader)));
    client.create("/counter", b"0", 0).expect("created");
    let numbers: Vec<String> = (1..=WRITES).map(|number| number.to_string()).collect();
    let sent: Vec<Xid> = numbers
        .iter()
        .map(|number| {
            let data = Some(number.as_bytes());
            let request = SetDataRequest { path: "/counter".into(), data, version: -1 };
            client.send(OpCode::SetData, &request).expect("sent")
        })
        .collect();
    let mut versions = Vec::new();
    for (at, xid) in sent.into_iter().enumerate() {
        if at == BEFORE {
            ensemble.kill(leader);
        }
        let reply = client.receive(xid).expect("the connection stays");
        let response: SetDataResponse = reply.decode().expect("done without an error");
        versions.push(response.stat.version);
    }
    let expected: Vec<i32> = (1..).take(WRITES).collect();
    assert_eq!(versions, expected, "each write made one version, in order");
    let (data, _) = client.get("/counter", false).expect("read");
    assert_eq!(data, WRITES.to_string().as_bytes());
}

#[test]
fn ephemerals_stay_while_their_client_lives() {
    // The leader is killed twice, with the sessions' timeout passing in between: clients of the
    // surviving servers, which only ping, keep their sessions and ephemeral znodes.
    let mut ensemble = three().set("maxSessionTimeout", "4000").start();
    let mut leader = ensemble.wait_for_leader();
    let home = follower(&ensemble, leader);
    let mut owner =
        RawClient::connect_for(ensemble.addr(home), Duration::from_secs(4)).expect("a session");
    owner.create("/alive", b"", 1).expect("an ephemeral");
    let key = owner.session().clone();
    for _ in 0..2 {
        if leader == home {
            break;
        }
        ensemble.kill(leader);
        let clock = Stopwatch::start();
        while clock.elapsed() < Duration::from_secs(5) {
            // Apache ZooKeeper ends the connection; the session goes on with another.
            if owner.ping().is_err() {
                owner = resumed(ensemble.addr(home), &key);
            }
            integration::eventually::pause_for(Duration::from_millis(200));
        }
        ensemble.start(leader);
        leader = ensemble.wait_for_leader();
    }
    owner.sync("/").expect("synced");
    let stat = owner.exists("/alive", false).expect("asked").expect("still there");
    assert_eq!(stat.ephemeral_owner, key.id);
    // With its client gone, it goes.
    drop(owner);
    let mut watcher = client(ensemble.addr(home));
    within(PATIENCE, "the ephemeral goes with its session", || {
        watcher.ping().ok()?;
        watcher.exists("/alive", false).ok()?.is_none().then_some(())
    });
}

#[test]
fn a_leader_that_hangs_is_replaced_and_answers_nothing_stale() {
    // The leader is stopped (SIGSTOP): the others go on without it. When it goes on, a client that
    // stayed connected to it is shown no state older than what was done meanwhile, once it syncs.
    let mut ensemble = three().start();
    let leader = ensemble.wait_for_leader();
    let mut stayed = client(ensemble.addr(leader));
    stayed.create("/x", b"old", 0).expect("created");
    ensemble.pause(leader);
    let _ = ensemble.wait_for_leader_but(leader);
    let other = follower(&ensemble, leader);
    within(PATIENCE, "the others take writes", || {
        let mut client =
            RawClient::connect_for(ensemble.addr(other), Duration::from_secs(10)).ok()?;
        client.set("/x", b"new", -1).ok()
    });
    // Sent while the server hangs: it wakes up with the request before it.
    let late = stayed.send(OpCode::Create2, &create_request("/late", b"", 0));
    ensemble.unpause(leader);
    let answered = late.and_then(|xid| stayed.receive(xid)).and_then(|reply| reply.ok());
    let seen = stayed.sync("/x").and_then(|()| stayed.get("/x", false));
    if let Ok((data, _)) = seen {
        assert_eq!(data, b"new", "a synced read at the old leader");
    }
    ensemble.wait_until_all_serve();
    for addr in ensemble.addrs() {
        let mut client = client(addr);
        client.sync("/").expect("synced");
        assert_eq!(client.get("/x", false).expect("read").0, b"new");
        let late = client.exists("/late", false).expect("asked");
        assert!(answered.is_err() || late.is_some(), "an acknowledged write is there");
    }
}
