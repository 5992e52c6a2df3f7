//! Servers that do not reach each other tell no lies, and do no harm when they do again.

use std::time::Duration;

use integration::raw::create_request;
use integration::{EnsembleOptions, Kind, Mode, within};
use jute_proto::OpCode;

use crate::patience::{PATIENCE, agreed, client, create, follower, three};

/// How long a write is watched not to be acknowledged.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn a_follower_that_was_cut_off_disturbs_nobody() {
    // A follower without the others acknowledges no write; when it is back, the leader is the same
    // and so is the epoch, and the follower shows what was written meanwhile.
    let ensemble = three().proxied().start();
    let leader = ensemble.wait_for_leader();
    let cut_off = follower(&ensemble, leader);
    let mut inside = client(ensemble.addr(cut_off));
    let before = create(ensemble.addr(leader), "/before");
    ensemble.network().partition(&[cut_off]);
    inside.socket().set_read_timeout(Some(SILENCE)).expect("a timeout");
    let refused = inside.create("/inside", b"", 0);
    assert!(refused.is_err(), "a minority acknowledges no write");
    let during = create(ensemble.addr(leader), "/during");
    ensemble.network().heal();
    within(PATIENCE, "the follower is back", || {
        (ensemble.mode(cut_off) == Some(Mode::Follower)).then_some(())
    });
    let after = create(ensemble.addr(cut_off), "/after");
    assert_eq!(ensemble.mode(leader), Some(Mode::Leader));
    let epochs = [before, during, after].map(jute_proto::Zxid::epoch);
    assert_eq!(epochs, [epochs[0]; 3], "no election took place");
    let tree = agreed(&ensemble, "/");
    assert!(tree.contains_key("/during") && tree.contains_key("/after"));
}

#[test]
fn a_leader_that_was_cut_off_acknowledges_nothing() {
    // The others elect one of them and go on; the old leader acknowledges nothing meanwhile, and
    // what it was asked is, in the end, on all servers or on none.
    let ensemble = three().proxied().start();
    let old = ensemble.wait_for_leader();
    let mut inside = client(ensemble.addr(old));
    ensemble.network().partition(&[old]);
    inside.socket().set_read_timeout(Some(SILENCE)).expect("a timeout");
    let first = inside.send(OpCode::Create2, &create_request("/inside-0", b"", 0)).expect("sent");
    for number in 1..5 {
        let path = format!("/inside-{number}");
        inside.send(OpCode::Create2, &create_request(&path, b"", 0)).expect("sent");
    }
    let other = follower(&ensemble, old);
    create(ensemble.addr(other), "/outside");
    // Answers come in order: without the first there is none.
    let answer = inside.receive(first).and_then(|reply| reply.ok());
    assert!(answer.is_err(), "the old leader acknowledges no write");
    ensemble.network().heal();
    within(PATIENCE, "all serve", || ensemble.all_serve().then_some(()));
    assert!(agreed(&ensemble, "/").contains_key("/outside"));
}

#[test]
fn a_server_that_hears_but_is_not_heard_deposes_nobody_for_ever() {
    // One-way cuts, either way, at the leader and at a follower: the ensemble takes writes during
    // each, and all servers hold the same afterwards. Apache ZooKeeper elects the server again and
    // again that is not fit to lead.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).proxied().start();
    for round in 0..4 {
        let leader = ensemble.wait_for_leader();
        let struck = if round < 2 { follower(&ensemble, leader) } else { leader };
        let cut = proxy::PathState::cut();
        if round % 2 == 0 {
            ensemble.network().set_from(struck, cut);
        } else {
            ensemble.network().set_to(struck, cut);
        }
        let other = ensemble.servers().rfind(|server| *server != struck).expect("another");
        create(ensemble.addr(other), &format!("/round-{round}"));
        ensemble.network().heal();
        within(PATIENCE, "all serve", || ensemble.all_serve().then_some(()));
    }
    assert_eq!(agreed(&ensemble, "/").keys().filter(|path| path.contains("round")).count(), 4);
}
