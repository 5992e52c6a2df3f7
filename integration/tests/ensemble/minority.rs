//! A server without a majority: it lets its clients go, or answers reads to those who want that.

use std::time::Duration;

use integration::eventually::attempt;
use integration::raw::Error;
use integration::{EnsembleOptions, Kind, RawClient, within};
use jute_proto::ErrorCode;
use proxy::PathState;

use crate::patience::{PATIENCE, client, follower, three};

#[test]
fn without_a_majority_clients_are_let_go() {
    // When two of three servers are gone, the third closes its clients after syncLimit, gives no new
    // session, and says so to who asks; with a majority back, it serves.
    let mut ensemble = three().start();
    let mut stays = client(ensemble.addr(0));
    stays.create("/before", b"", 0).expect("created");
    ensemble.kill(1);
    ensemble.kill(2);
    within(PATIENCE, "the client is let go", || stays.ping().is_err().then_some(()));
    within(PATIENCE, "no session is given", || {
        RawClient::connect_for(ensemble.addr(0), Duration::from_secs(4)).err()
    });
    let said = integration::four_letter::ask(ensemble.addr(0), "srvr").expect("an answer");
    assert!(said.contains("not currently serving requests"), "{said}");
    ensemble.start(1);
    let mut again = client(ensemble.addr(0));
    assert!(again.exists("/before", false).expect("read").is_some());
}

#[test]
fn a_follower_whose_leader_is_heard_too_late_lets_its_clients_go() {
    // What the leader says arrives all the time, but ever later. When it is older than syncLimit, a majority may
    // have turned to another leader since: the follower lets its clients go, as without any word.
    let sync_limit = Duration::from_secs(2);
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("syncLimit", "4")
        .set("raft.heartbeatMs", "100")
        .set("raft.electionTimeoutMinMs", "800")
        .set("raft.electionTimeoutMaxMs", "1600")
        .proxied()
        .start();
    let leader = ensemble.wait_for_leader();
    let late = follower(&ensemble, leader);
    let mut stays = client(ensemble.addr(late));
    let (step, mut delay) = (Duration::from_millis(400), Duration::ZERO);
    while delay < sync_limit * 2 {
        delay += step;
        ensemble.network().set(leader, late, PathState::delayed(delay));
        // Until it has arrived, the follower is without word for no longer than one step.
        if attempt(step * 2, || stays.ping().is_err().then_some(())).is_some() {
            assert!(delay > sync_limit / 2, "let go too soon, {delay:?} late");
            return;
        }
    }
    within(sync_limit * 3, "the client is let go", || stays.ping().is_err().then_some(()));
}

#[test]
fn a_minority_may_be_read() {
    // With readonlymode.enabled a server without a majority answers reads to clients that asked for
    // read-only mode, refuses writes with NOTREADONLY, and lets them go when the majority is back.
    let mut ensemble =
        EnsembleOptions::new(Kind::Grovekeeper, 3).set("readonlymode.enabled", "true").start();
    let mut before = client(ensemble.addr(0));
    before.create("/before", b"data", 0).expect("created");
    before.sync("/before").expect("synced");
    ensemble.kill(1);
    ensemble.kill(2);
    let mut reader = within(PATIENCE, "a session that only reads", || {
        let reader = RawClient::connect_read_only(ensemble.addr(0)).ok()?;
        reader.is_read_only().then_some(reader)
    });
    assert_eq!(reader.get("/before", false).expect("read").0, b"data");
    let is_refused = |error: Error| matches!(error, Error::Code(ErrorCode::NotReadOnly));
    assert!(reader.create("/during", b"", 0).is_err_and(is_refused));
    assert!(reader.sync("/").is_err_and(is_refused));
    let word = |word: &str| integration::four_letter::ask(ensemble.addr(0), word);
    assert_eq!(word("isro").as_deref(), Some("ro"));
    assert!(word("srvr").expect("an answer").contains("Mode: read-only"));
    assert!(RawClient::connect_for(ensemble.addr(0), Duration::from_secs(4)).is_err());
    ensemble.start(1);
    within(PATIENCE, "the reader is let go", || reader.ping().is_err().then_some(()));
    let mut writer = client(ensemble.addr(0));
    writer.create("/after", b"", 0).expect("created");
    let asked = integration::four_letter::ask(ensemble.addr(0), "isro");
    assert_eq!(asked.as_deref(), Some("rw"));
}
