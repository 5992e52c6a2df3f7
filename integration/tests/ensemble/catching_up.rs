//! A server that missed much is given what it missed.

use integration::Failpoint;
use integration::raw::{RawClient, create_request};
use jute_proto::OpCode;

use crate::patience::{agreed, client, follower, three};

/// Writes that a server misses.
const MISSED: usize = 1_200;

/// Log entries after which a checkpoint is taken.
const SNAP_COUNT: &str = "20";

/// Entries that are kept behind a checkpoint: those that were missed are in no log any more. They are
/// fewer than the writes, which go into entries together.
const KEPT: &str = "20";

#[test]
fn a_server_that_was_away_catches_up() {
    // A follower is killed, and the others write more than they keep in their logs: it catches up
    // when it is back, and then the leader can be spared.
    let mut ensemble =
        three().set("snapCount", SNAP_COUNT).failpoint(Failpoint::EntriesKept, KEPT).start();
    let leader = ensemble.wait_for_leader();
    let away = follower(&ensemble, leader);
    let mut writer = client(ensemble.addr(leader));
    writer.create("/many", b"", 0).expect("created");
    ensemble.kill(away);
    write_many(&mut writer, "a");
    ensemble.start(away);
    ensemble.wait_until_all_serve();
    assert_eq!(agreed(&ensemble, "/many").len(), 1 + MISSED);

    let leader = ensemble.wait_for_leader();
    ensemble.kill(leader);
    let survivor = follower(&ensemble, leader);
    let mut client = client(ensemble.addr(survivor));
    client.sync("/many").expect("synced");
    assert_eq!(client.children("/many", false).expect("listed").len(), MISSED);
}

fn write_many(writer: &mut RawClient, prefix: &str) {
    let mut sent = Vec::new();
    for number in 0..MISSED {
        let path = format!("/many/{prefix}{number}");
        sent.push(
            writer.send(OpCode::Create2, &create_request(&path, &[7; 100], 0)).expect("sent"),
        );
    }
    for xid in sent {
        writer.receive(xid).and_then(|reply| reply.ok()).expect("created");
    }
}
#[test]
fn a_server_that_lost_its_disk_catches_up() {
    // A follower's data is gone: it is given everything again, while the others serve.
    let mut ensemble =
        three().set("snapCount", SNAP_COUNT).failpoint(Failpoint::EntriesKept, KEPT).start();
    let leader = ensemble.wait_for_leader();
    let lost = follower(&ensemble, leader);
    let mut writer = client(ensemble.addr(leader));
    writer.create("/many", b"", 0).expect("created");
    write_many(&mut writer, "a");
    ensemble.wipe(lost);
    write_many(&mut writer, "b");
    ensemble.start(lost);
    ensemble.wait_until_all_serve();
    assert_eq!(agreed(&ensemble, "/many").len(), 1 + 2 * MISSED);
}
