//! The members of an ensemble change while clients go on.

use std::net::SocketAddr;

use integration::{Ensemble, EnsembleOptions, Kind, Mode, Wish, within};

use crate::load::Load;
use crate::patience::{PATIENCE, client};

/// So many servers of which nobody needs to be asked for permission.
pub(crate) fn changeable(kind: Kind, servers: usize) -> EnsembleOptions {
    EnsembleOptions::new(kind, servers).set("reconfigEnabled", "true").set("skipACL", "yes")
}

/// Asks until it is done: a leader that was just elected may not know yet who is up to date.
fn change(at: SocketAddr, wish: &Wish) -> String {
    within(PATIENCE, "the members change", || wish.ask(&mut client(at)).ok())
}

fn serves(ensemble: &Ensemble, server: usize) -> bool {
    ensemble.mode(server).is_some()
}

fn wait_until_serve(ensemble: &Ensemble, servers: &[usize]) {
    within(PATIENCE, "the members serve", || {
        servers.iter().all(|server| serves(ensemble, *server)).then_some(())
    });
}

fn addrs(ensemble: &Ensemble, servers: &[usize]) -> Vec<SocketAddr> {
    servers.iter().map(|server| ensemble.addr(*server)).collect()
}

fn add(ensemble: &Ensemble, servers: &[usize]) -> Wish {
    let lines: Vec<String> = servers.iter().map(|server| ensemble.line(*server, false)).collect();
    Wish::add(&lines)
}

fn children(at: SocketAddr, path: &str) -> Vec<String> {
    let mut client = client(at);
    client.sync(path).expect("synced");
    client.children(path, false).expect("listed")
}

#[test]
fn an_ensemble_grows_from_one_to_five_and_shrinks_under_load() {
    // 1 -> 3 -> 5 -> 3, the leader among those who leave, while clients write: every acknowledged
    // write is there, and who left serves nobody.
    let options = changeable(Kind::Grovekeeper, 5).set("standaloneEnabled", "false");
    let mut ensemble = options.prepare();
    ensemble.list(0, &[0], &[]);
    ensemble.start(0);
    wait_until_serve(&ensemble, &[0]);
    assert_eq!(ensemble.mode(0), Some(Mode::Leader));
    client(ensemble.addr(0)).create("/load", b"", 0).expect("created");
    let load = Load::start(addrs(&ensemble, &[0]));

    for (new, all) in [([1, 2], vec![0, 1, 2]), ([3, 4], vec![0, 1, 2, 3, 4])] {
        for server in new {
            ensemble.list(server, &all, &[]);
            ensemble.start(server);
        }
        let text = change(ensemble.addr(0), &add(&ensemble, &new));
        assert_eq!(text.lines().count(), all.len() + 1, "{text}");
        wait_until_serve(&ensemble, &all);
        load.move_to(addrs(&ensemble, &all));
    }

    let leader = ensemble.wait_for_leader();
    let leaving = [leader, (leader + 1) % 5];
    let staying: Vec<usize> = (0..5).filter(|server| !leaving.contains(server)).collect();
    load.move_to(addrs(&ensemble, &staying));
    change(ensemble.addr(staying[0]), &Wish::remove(&leaving));
    within(PATIENCE, "who left lets go", || {
        leaving.iter().all(|server| !serves(&ensemble, *server)).then_some(())
    });
    for server in leaving {
        ensemble.kill(server);
    }
    wait_until_serve(&ensemble, &staying);
    let done = load.stop();
    assert!(done.len() > 100, "{} writes were acknowledged", done.len());
    for at in addrs(&ensemble, &staying) {
        let there = children(at, "/load");
        let lost: Vec<&String> = done.iter().filter(|name| !there.contains(name)).collect();
        assert!(lost.is_empty(), "lost at {at}: {lost:?}");
    }
    // Two of three are a majority: only the three count.
    ensemble.kill(staying[0]);
    let _ = ensemble.wait_for_leader();
    within(PATIENCE, "the others take writes", || {
        client(ensemble.addr(staying[1])).create("/after", b"", 0).ok()
    });
}

#[test]
fn a_dead_server_is_replaced() {
    // One of three dies for good; one request takes it out and a new one in. Then the ensemble
    // survives the loss of another.
    let mut ensemble = changeable(Kind::Grovekeeper, 4).prepare();
    for server in 0..3 {
        ensemble.list(server, &[0, 1, 2], &[]);
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &[0, 1, 2]);
    client(ensemble.addr(0)).create("/kept", b"x", 0).expect("created");
    let dead = ensemble.wait_for_leader();
    ensemble.kill(dead);
    let _ = ensemble.wait_for_leader();
    ensemble.start(3);
    let alive: Vec<usize> = (0..3).filter(|server| *server != dead).collect();
    let wish = Wish { leaving: Wish::remove(&[dead]).leaving, ..add(&ensemble, &[3]) };
    change(ensemble.addr(alive[0]), &wish);
    wait_until_serve(&ensemble, &[3]);
    ensemble.kill(alive[0]);
    within(PATIENCE, "the new one and the last of the old are a majority", || {
        client(ensemble.addr(3)).set("/kept", b"y", -1).ok()
    });
    assert_eq!(client(ensemble.addr(alive[1])).get("/kept", false).expect("read").0, b"y");
}

#[test]
fn a_server_moves_to_another_address() {
    // A server comes back at other ports: reconfig tells the others, whose files know the old ones,
    // and they find it, also after a restart.
    let mut ensemble = changeable(Kind::Grovekeeper, 3).start();
    let leader = ensemble.wait_for_leader();
    let moved = (leader + 1) % 3;
    let other = (leader + 2) % 3;
    ensemble.stop(moved);
    ensemble.move_away(moved);
    ensemble.list(moved, &[0, 1, 2], &[]);
    ensemble.start(moved);
    let text = change(ensemble.addr(other), &add(&ensemble, &[moved]));
    assert!(text.contains(&ensemble.line(moved, false).replace(';', ":participant;")), "{text}");
    wait_until_serve(&ensemble, &[moved]);
    ensemble.kill(leader);
    within(PATIENCE, "the one that moved counts", || {
        client(ensemble.addr(moved)).create("/moved", b"", 0).ok()
    });
    ensemble.start(leader);
    ensemble.kill(other);
    within(PATIENCE, "who was away finds it", || {
        client(ensemble.addr(leader)).create("/found", b"", 0).ok()
    });
}

#[test]
fn observers_serve_and_do_not_count() {
    // An observer of the first hour serves reads and writes; without it there is a majority, with
    // it alone there is none. It becomes a voter, and an observer again.
    let mut ensemble = changeable(Kind::from_env(), 4).prepare();
    for server in 0..4 {
        ensemble.list(server, &[0, 1, 2, 3], &[3]);
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &[0, 1, 2, 3]);
    assert_eq!(ensemble.mode(3), Some(Mode::Observer));
    let mut at_observer = client(ensemble.addr(3));
    at_observer.create("/seen", b"1", 0).expect("written through an observer");
    let (text, _) = at_observer.get("/zookeeper/config", false).expect("read");
    assert!(String::from_utf8_lossy(&text).contains(":observer;"));

    change(ensemble.addr(0), &Wish::add(&[ensemble.line(3, false)]));
    within(PATIENCE, "it votes", || (ensemble.mode(3) == Some(Mode::Follower)).then_some(()));
    change(ensemble.addr(0), &Wish::add(&[ensemble.line(3, true)]));
    within(PATIENCE, "it observes", || (ensemble.mode(3) == Some(Mode::Observer)).then_some(()));

    ensemble.kill(3);
    client(ensemble.addr(0)).set("/seen", b"2", -1).expect("written without it");
    ensemble.start(3);
    wait_until_serve(&ensemble, &[3]);
    let mut at_observer = client(ensemble.addr(3));
    at_observer.sync("/seen").expect("synced");
    assert_eq!(at_observer.get("/seen", false).expect("read").0, b"2");
    ensemble.kill(0);
    ensemble.kill(1);
    within(PATIENCE, "one voter and an observer are no majority", || {
        (!serves(&ensemble, 2) && !serves(&ensemble, 3)).then_some(())
    });
}

#[test]
fn a_leader_that_dies_during_a_change_leaves_it_to_the_next() {
    // While servers are being added the leader is killed: the ensemble ends up with the old members
    // or the new ones, the same everywhere, takes writes, and can be changed again.
    let mut ensemble = changeable(Kind::Grovekeeper, 5).prepare();
    let all = [0, 1, 2, 3, 4];
    for server in all {
        let listed: &[usize] = if server < 3 { &[0, 1, 2] } else { &all };
        ensemble.list(server, listed, &[]);
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &[0, 1, 2]);
    for round in 0..3 {
        let leader = ensemble.wait_for_leader();
        let Some(asked) = (0..3).find(|server| *server != leader) else { unreachable!() };
        let wish = if round % 2 == 0 { add(&ensemble, &[3, 4]) } else { Wish::remove(&[3, 4]) };
        let mut asking = client(ensemble.addr(asked));
        let xid = wish.send(&mut asking).expect("sent");
        ensemble.kill(leader);
        // The one that was asked stays, and so does its client.
        let reply = within(PATIENCE, "an answer", || asking.receive(xid).ok());
        assert_eq!(reply.header.err, 0, "the next leader carries it out");
        ensemble.start(leader);
        wait_until_serve(&ensemble, &[0, 1, 2]);
        let members = if round % 2 == 0 { 5 } else { 3 };
        for server in 0..3 {
            let mut client = client(ensemble.addr(server));
            client.sync("/").expect("synced");
            let (text, _) = client.get("/zookeeper/config", false).expect("read");
            let text = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(text.lines().count(), members + 1, "{text}");
        }
    }
}

#[test]
fn a_server_of_its_own_becomes_an_ensemble() {
    // A server that ran alone is restarted with the lines of three: it serves when a majority of them
    // has its data, the others join it, and its data are everywhere.
    let mut ensemble = changeable(Kind::Grovekeeper, 3).prepare();
    ensemble.list(0, &[0], &[]);
    ensemble.start(0);
    wait_until_serve(&ensemble, &[0]);
    assert_eq!(ensemble.mode(0), Some(Mode::Standalone));
    client(ensemble.addr(0)).create("/mine", b"x", 0).expect("created");
    ensemble.stop(0);
    ensemble.list(0, &[0, 1, 2], &[]);
    ensemble.start(0);
    ensemble.start(1);
    wait_until_serve(&ensemble, &[0, 1]);
    ensemble.start(2);
    wait_until_serve(&ensemble, &[0, 1, 2]);
    ensemble.kill(0);
    let data = within(PATIENCE, "the others go on", || {
        let mut client = client(ensemble.addr(1));
        client.sync("/mine").ok()?;
        client.get("/mine", false).ok()
    });
    assert_eq!(data.0, b"x");
}

#[test]
fn all_members_are_exchanged_at_once() {
    // Three servers take over from three others in one request: the data are there, one of the new
    // ones leads, and the old ones are not needed any more.
    let mut ensemble = changeable(Kind::Grovekeeper, 6).prepare();
    for server in 0..6 {
        let listed: &[usize] = if server < 3 { &[0, 1, 2] } else { &[0, 1, 2, 3, 4, 5] };
        ensemble.list(server, listed, &[]);
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &[0, 1, 2]);
    let mut old = client(ensemble.addr(0));
    old.create("/kept", b"x", 0).expect("created");
    let lines: Vec<String> = (3..6).map(|server| ensemble.line(server, false)).collect();
    let wish = Wish { members: Some(lines.join(",")), ..Wish::default() };
    let text = wish.ask(&mut old).expect("done");
    assert_eq!(text.lines().count(), 4, "{text}");
    within(PATIENCE, "one of the new servers leads", || {
        (3..6).find(|server| ensemble.mode(*server) == Some(Mode::Leader))
    });
    for server in 0..3 {
        assert!(!serves(&ensemble, server), "server {} serves nobody", server + 1);
        ensemble.kill(server);
    }
    wait_until_serve(&ensemble, &[3, 4, 5]);
    let mut new = client(ensemble.addr(4));
    assert_eq!(new.get("/kept", false).expect("read").0, b"x");
    new.set("/kept", b"y", -1).expect("written");
}
