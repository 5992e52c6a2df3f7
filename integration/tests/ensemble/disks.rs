//! Disks that are full or slow, under one of three servers.

use std::time::Duration;

use integration::eventually::throughout;
use integration::{EnsembleOptions, Failpoint, Kind, RawClient, SmallDisk, within};

use crate::patience::{PATIENCE, agreed, client, create, follower};

#[test]
fn a_leader_with_a_full_disk_hands_over() {
    // When the leader's disk is full another server leads, so that writes go on; the clients of the
    // one that can write nothing down are let go. With space again it catches up and serves.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).prepare();
    let data = ensemble.folder(0).join("data");
    let Some(disk) = SmallDisk::mount(&data, "96m") else { return };
    std::fs::write(data.join("myid"), "1\n").expect("the id's file");
    ensemble.start(0);
    ensemble.start(1);
    ensemble.start(2);
    ensemble.wait_until_all_serve();
    // Whoever leads first: it has to be the one with the small disk.
    within(PATIENCE, "the first server leads", || {
        let leader = ensemble.leader()?;
        if leader == 0 {
            return Some(());
        }
        ensemble.stop(leader);
        ensemble.start(leader);
        None
    });
    ensemble.wait_until_all_serve();
    let mut inside = client(ensemble.addr(0));
    create(ensemble.addr(1), "/before");
    disk.fill();
    let large = vec![b'x'; 200_000];
    within(PATIENCE, "another server leads", || {
        let mut writer = RawClient::connect_for(ensemble.addr(1), Duration::from_secs(5)).ok()?;
        let _ = writer.create("/large", &large, 2);
        ensemble.leader().filter(|leader| *leader != 0)
    });
    create(ensemble.addr(2), "/during");
    within(PATIENCE, "clients are let go", || inside.ping().is_err().then_some(()));
    disk.relieve();
    within(PATIENCE, "it serves again", || ensemble.all_serve().then_some(()));
    let tree = agreed(&ensemble, "/");
    assert!(tree.contains_key("/before") && tree.contains_key("/during"));
    drop(ensemble);
}

#[test]
fn where_all_disks_are_full_the_lead_is_not_handed_round() {
    // Nobody can write anything down. The servers do not use up terms meanwhile, and go on when there is space.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).prepare();
    let mut disks = Vec::new();
    for server in ensemble.servers() {
        let data = ensemble.folder(server).join("data");
        let Some(disk) = SmallDisk::mount(&data, "96m") else { return };
        std::fs::write(data.join("myid"), format!("{}\n", server + 1)).expect("the id's file");
        disks.push(disk);
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    let before = create(ensemble.addr(0), "/before").epoch();
    disks.iter().for_each(SmallDisk::fill);
    let large = vec![b'x'; 200_000];
    within(PATIENCE, "all disks are full", || {
        if let Ok(mut writer) = RawClient::connect_for(ensemble.addr(1), Duration::from_secs(5)) {
            let _ = writer.create("/large", &large, 2);
        }
        ensemble
            .servers()
            .all(|server| ensemble.log(server).contains("the disk is full"))
            .then_some(())
    });
    throughout(Duration::from_secs(3), "no server ends", || ensemble.ended().is_empty());
    disks.iter().for_each(SmallDisk::relieve);
    within(PATIENCE, "all serve again", || ensemble.all_serve().then_some(()));
    let after = create(ensemble.addr(0), "/after").epoch();
    assert!(after - before <= 12, "{} terms", after - before);
    drop(ensemble);
}

#[test]
fn a_server_that_has_no_room_for_what_it_is_sent_waits_for_it() {
    // A server lost its disk, and the new one is too small for the state of the others: they go on
    // without it, it does not end, and it is brought up to date when there is room.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("snapCount", "10")
        .failpoint(Failpoint::EntriesKept, "10")
        .prepare();
    let data = ensemble.folder(0).join("data");
    let Some(disk) = SmallDisk::mount(&data, "256m") else { return };
    std::fs::write(data.join("myid"), "1\n").expect("the id's file");
    for server in ensemble.servers() {
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    ensemble.wipe(0);
    let mut writer = client(ensemble.addr(1));
    writer.create("/large", b"", 0).expect("created");
    for number in 0..60 {
        writer.create(&format!("/large/{number}"), &vec![b'x'; 600_000], 0).expect("created");
    }
    // The log takes 32 of them.
    disk.make_room(48);
    ensemble.start(0);
    within(PATIENCE, "it has no room", || {
        let log = ensemble.log(0);
        log.contains("the disk is full").then_some(())
    });
    create(ensemble.addr(1), "/meanwhile");
    assert!(!ensemble.all_serve(), "it cannot be up to date");
    assert!(ensemble.ended().is_empty(), "it waits");
    disk.make_room(256);
    within(PATIENCE, "it serves", || ensemble.all_serve().then_some(()));
    let tree = agreed(&ensemble, "/");
    assert!(tree.contains_key("/large/59") && tree.contains_key("/meanwhile"));
    drop(ensemble);
}

#[test]
fn a_slow_disk_costs_time_and_nothing_else() {
    // The leader's disk, and then a follower's, takes 50 ms for each flush: writes are acknowledged
    // all the same, and nobody calls for an election.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .failpoint(Failpoint::SlowDisk, "slow-disk")
        .start();
    let leader = ensemble.wait_for_leader();
    let other = follower(&ensemble, leader);
    let mut writer = client(ensemble.addr(other));
    writer.create("/n", b"", 0).expect("created");
    for slow in [leader, other] {
        let file = ensemble.folder(slow).join("slow-disk");
        std::fs::write(&file, "50").expect("the disk is slow");
        throughout(Duration::from_secs(2), "writes are done", || writer.set("/n", b"", -1).is_ok());
        std::fs::remove_file(&file).expect("the disk is fast");
    }
    assert_eq!(ensemble.leader(), Some(leader), "the leader stays");
}

#[test]
fn slow_disks_of_all_followers_depose_nobody() {
    // Each flush of the followers takes longer than a lost leader is waited for: writes take as long,
    // and the leader stays, in the same epoch, as those who are slow are still there.
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .failpoint(Failpoint::SlowDisk, "slow-disk")
        .start();
    let leader = ensemble.wait_for_leader();
    let before = create(ensemble.addr(leader), "/before");
    let mut writer = client(ensemble.addr(leader));
    writer.create("/n", b"", 0).expect("created");
    let followers: Vec<usize> = ensemble.servers().filter(|server| *server != leader).collect();
    for slow in &followers {
        std::fs::write(ensemble.folder(*slow).join("slow-disk"), "700").expect("it is slow");
    }
    throughout(Duration::from_secs(6), "writes are done", || writer.set("/n", b"", -1).is_ok());
    for slow in &followers {
        std::fs::remove_file(ensemble.folder(*slow).join("slow-disk")).expect("it is fast");
    }
    let after = create(ensemble.addr(leader), "/after");
    assert_eq!(after.epoch(), before.epoch(), "no election took place");
    assert_eq!(ensemble.leader(), Some(leader));
}
