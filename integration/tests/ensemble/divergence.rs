//! A replica that went its own way.

use integration::{EnsembleOptions, Failpoint, Kind, within};

use crate::patience::{PATIENCE, client, create, follower};

#[test]
fn a_server_whose_state_differs_is_stopped() {
    // A follower whose tree is not the leader's says from which zxid on, and ends; the others go on.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .failpoint(Failpoint::WrongDigest, "wrong-digest")
        .start();
    let leader = ensemble.wait_for_leader();
    let wrong = follower(&ensemble, leader);
    let mut writer = client(ensemble.addr(leader));
    writer.create("/n", b"", 0).expect("created");
    for _ in 0..300 {
        writer.set("/n", b"", -1).expect("set");
    }
    std::fs::write(ensemble.folder(wrong).join("wrong-digest"), "").expect("the state differs");
    within(PATIENCE, "the server ends", || {
        writer.set("/n", b"", -1).expect("the others go on");
        ensemble.ended().iter().any(|(server, _)| *server == wrong).then_some(())
    });
    let log = ensemble.log(wrong);
    assert!(log.contains("its state differs from that of the leader"), "{log}");
    assert!(log.contains("it was the same at 0x"), "{log}");
    create(ensemble.addr(leader), "/after");
}
