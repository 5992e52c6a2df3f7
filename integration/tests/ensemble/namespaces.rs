//! Packets that vanish: servers in network namespaces, unplugged without a word. A proxy that cuts
//! still answers for the kernel of the other side; here nothing does.

use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::{Ensemble, EnsembleOptions, Kind, Mode, RawClient, within};

use crate::patience::{PATIENCE, agreed, client, create, follower};

/// Long enough that no connection between servers is still waited for.
const LONG: Duration = Duration::from_secs(6);

fn three() -> Option<Ensemble> {
    Some(EnsembleOptions::new(Kind::Grovekeeper, 3).in_namespaces()?.start())
}

/// Says how long something took that a busy machine may make take longer.
#[expect(clippy::print_stderr, reason = "a measurement for who reads the output")]
fn say(what: &str, clock: Stopwatch) {
    eprintln!("{what} after {:.0?}", clock.elapsed());
}

#[test]
fn a_leader_that_vanishes_is_replaced() {
    // The leader's packets, and those to it, vanish: its connections stay, and say nothing. The
    // others elect one of them, and a client there gets its answer on the same connection; the old
    // leader lets its clients go. Plugged in again, all hold the same.
    let Some(ensemble) = three() else { return };
    let leader = ensemble.wait_for_leader();
    let other = follower(&ensemble, leader);
    let mut stays = client(ensemble.addr(other));
    let mut inside = client(ensemble.addr(leader));
    stays.create("/n", b"", 0).expect("created");
    let clock = Stopwatch::start();
    ensemble.namespaces().unplug(leader);
    stays.set("/n", b"x", -1).expect("the connection stays, and the write is done");
    say("a write was done without the leader that vanished", clock);
    assert!(clock.elapsed() < LONG, "{:?}", clock.elapsed());
    within(PATIENCE, "clients of the old leader are let go", || {
        inside.ping().is_err().then_some(())
    });
    assert_ne!(ensemble.mode(leader), Some(Mode::Leader));
    ensemble.namespaces().plug(leader);
    within(PATIENCE, "all serve", || ensemble.all_serve().then_some(()));
    assert!(agreed(&ensemble, "/").contains_key("/n"));
}

#[test]
fn connections_that_nobody_ended_hang_nowhere() {
    // A follower is unplugged, killed and started again: nobody hears that its connections have
    // ended. Plugged in, it is found again at once, and so is a leader to which the same is done.
    let Some(mut ensemble) = three() else { return };
    for round in 0..2 {
        let leader = ensemble.wait_for_leader();
        let gone = if round == 0 { follower(&ensemble, leader) } else { leader };
        let staying = follower(&ensemble, gone);
        ensemble.namespaces().unplug(gone);
        ensemble.kill(gone);
        create(ensemble.addr(staying), &format!("/while-{round}"));
        ensemble.start(gone);
        let clock = Stopwatch::start();
        ensemble.namespaces().plug(gone);
        ensemble.wait_until_all_serve();
        say("a server that was killed unplugged serves", clock);
        let mut inside = client(ensemble.addr(gone));
        inside.create(&format!("/after-{round}"), b"", 0).expect("written through it");
        let tree = agreed(&ensemble, "/");
        assert!(tree.contains_key(&format!("/while-{round}")));
    }
}

#[test]
fn a_long_silence_leaves_nothing_behind() {
    // A follower is unplugged for so long that every connection with it was given up; its clients are
    // let go. Plugged in again it serves, with the same leader and the same epoch.
    let Some(ensemble) = three() else { return };
    let leader = ensemble.wait_for_leader();
    let away = follower(&ensemble, leader);
    let mut inside = client(ensemble.addr(away));
    let before = create(ensemble.addr(leader), "/before");
    ensemble.namespaces().unplug(away);
    let clock = Stopwatch::start();
    within(PATIENCE, "its clients are let go", || inside.ping().is_err().then_some(()));
    let mut writer = client(ensemble.addr(leader));
    let mut written = 0;
    while clock.elapsed() < LONG {
        writer.create(&format!("/during-{written}"), b"", 0).expect("the others go on");
        written += 1;
    }
    let clock = Stopwatch::start();
    ensemble.namespaces().plug(away);
    within(PATIENCE, "it serves again", || {
        (ensemble.mode(away) == Some(Mode::Follower)).then_some(())
    });
    say("a server that was unplugged serves", clock);
    let after = create(ensemble.addr(away), "/after");
    assert_eq!(after.epoch(), before.epoch(), "no election took place");
    assert!(agreed(&ensemble, "/").contains_key(&format!("/during-{}", written - 1)));
}

#[test]
fn a_server_whose_name_means_another_address_is_found() {
    // A server comes back at another address, and the names of hosts say so: the others, which were
    // never restarted, find it there, and it counts when one of them dies.
    let Some(mut ensemble) = three() else { return };
    let leader = ensemble.wait_for_leader();
    let moved = follower(&ensemble, leader);
    create(ensemble.addr(leader), "/before");
    ensemble.kill(moved);
    let names = ensemble.namespaces();
    let new = names.move_away(moved);
    let hosts: Vec<_> = ensemble
        .servers()
        .map(|server| (ensemble.host(server), names.peer_addr(server)))
        .map(|(host, old)| (host.clone(), if host == ensemble.host(moved) { new } else { old }))
        .collect();
    names.set_hosts(&hosts);
    ensemble.start(moved);
    ensemble.wait_until_all_serve();
    let third = ensemble
        .servers()
        .find(|server| ![leader, moved].contains(server))
        .expect("a third server");
    ensemble.kill(third);
    let after = within(PATIENCE, "two of three take writes", || {
        let mut client =
            RawClient::connect_for(ensemble.addr(moved), Duration::from_secs(5)).ok()?;
        client.create("/after", b"", 0).ok()
    });
    assert_eq!(after, "/after");
}
