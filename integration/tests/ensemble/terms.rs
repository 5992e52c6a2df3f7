//! Terms and their zxids.

use integration::{EnsembleOptions, Failpoint, Kind, within};

use crate::patience::{PATIENCE, client, follower};

#[test]
fn a_term_whose_zxids_are_used_up_is_followed_by_the_next() {
    // The counter in a zxid has 32 bits. Before it runs out another term begins by itself: a client of
    // a follower stays connected, every write is done once, and zxids only grow.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .failpoint(Failpoint::ZxidCounterMax, "300")
        .start();
    let leader = ensemble.wait_for_leader();
    let mut client = client(ensemble.addr(follower(&ensemble, leader)));
    client.create("/counter", b"", 0).expect("created");
    let created = client.exists("/counter", false).expect("asked").expect("there");
    let (mut version, mut zxid) = (0, created.czxid);
    within(PATIENCE, "two more terms begin", || {
        for _ in 0..50 {
            let stat = client.set("/counter", b"", version).expect("set once, without an error");
            version += 1;
            assert_eq!(stat.version, version);
            assert!(stat.mzxid > zxid, "{} after {zxid}", stat.mzxid);
            zxid = stat.mzxid;
        }
        (zxid.epoch() >= created.czxid.epoch() + 2).then_some(())
    });
}
