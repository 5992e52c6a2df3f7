//! A server that lost its disk is another member: it is taken in step by step, and no step that goes wrong
//! does harm.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration::eventually::{pause_for, throughout};
use integration::{
    Ensemble, EnsembleOptions, Failpoint, Kind, Mode, Process, RawClient, Wish, binary, within,
};

use crate::members::changeable;
use crate::patience::{PATIENCE, client, create};

/// In a server's folder: how long each flush takes, in milliseconds.
const SLOW_DISK: &str = "slow-disk";

/// How long each flush takes where a step is to last.
const SLOW_MS: u64 = 100;

/// How long each flush of a server takes that is not to catch up.
const VERY_SLOW_MS: u64 = 400;

/// How long a server that must not be exchanged, or must not serve, is watched.
const WATCHED: Duration = Duration::from_millis(1_500);

/// What becomes of a server that lost its disk, one step after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The leader has let it take part without a vote.
    LetIn,
    /// It has caught up, and the joint change of the voters is proposed.
    Proposed,
    /// The joint change has come so far that it is committed, or nearly.
    Joint,
    /// It votes, and its old life does not.
    Votes,
    /// The old life takes part no more.
    Dropped,
}

use Step::{Dropped, Joint, LetIn, Proposed, Votes};

impl Step {
    /// What the leader logs then.
    fn line(self) -> &'static str {
        match self {
            LetIn => "takes part without a vote",
            Proposed | Joint => "the voters change from",
            Votes => "the voters are servers",
            Dropped => "takes part no more",
        }
    }
}

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Joining,
    Leader,
}

fn three() -> Ensemble {
    EnsembleOptions::new(Kind::Grovekeeper, 3)
        .proxied()
        .failpoint(Failpoint::SlowDisk, SLOW_DISK)
        .start()
}

/// What a server logged since.
fn since(ensemble: &Ensemble, server: usize, mark: usize) -> String {
    ensemble.log(server).get(mark..).unwrap_or_default().to_owned()
}

fn wait_until_all_vote(ensemble: &Ensemble) {
    within(PATIENCE, "all servers vote and serve", || {
        let modes: Vec<_> = ensemble.servers().map(|server| ensemble.mode(server)).collect();
        let votes = |mode: &Option<Mode>| matches!(mode, Some(Mode::Leader | Mode::Follower));
        modes.iter().all(votes).then_some(())
    });
}

/// Each server shows what was acknowledged.
fn assert_shown(ensemble: &Ensemble, paths: &[String]) {
    for addr in ensemble.addrs() {
        let mut client = client(addr);
        client.sync("/").expect("synced");
        for path in paths {
            let found = client.exists(path, false).expect("asked");
            assert!(found.is_some(), "{path} is gone at {addr}");
        }
    }
}

/// Slows the disks of these servers, and those of no others.
fn set_slow(ensemble: &Ensemble, slow: &[usize], millis: u64) {
    for server in ensemble.servers() {
        let file = ensemble.folder(server).join(SLOW_DISK);
        if slow.contains(&server) {
            std::fs::write(&file, millis.to_string()).expect("the disk is slow");
        } else {
            // What is not there slows nothing.
            let _ = std::fs::remove_file(&file);
        }
    }
}

/// How often a step may be missed, on a machine with much else to do.
const ATTEMPTS: usize = 5;

/// A follower loses its disk and is taken in again; at that step it or the leader is killed, and started again
/// later. Adds the znodes that were acknowledged to `done`; false where the step was over before.
fn die_at(ensemble: &mut Ensemble, step: Step, victim: Victim, done: &mut Vec<String>) -> bool {
    let lost = (ensemble.wait_for_leader() + 1) % 3;
    let mut write = |at: std::net::SocketAddr| {
        let path = format!("/{}", done.len());
        create(at, &path);
        done.push(path);
    };
    write(ensemble.addr(lost));
    ensemble.wipe(lost);
    write(ensemble.addr((lost + 1) % 3));
    let marks: Vec<usize> = ensemble.servers().map(|server| ensemble.log(server).len()).collect();
    match step {
        LetIn => set_slow(ensemble, &[lost], VERY_SLOW_MS),
        Proposed | Joint | Votes | Dropped => set_slow(ensemble, &[0, 1, 2], SLOW_MS),
    }
    ensemble.start(lost);
    let says = |ensemble: &Ensemble, server: usize, step: Step| {
        since(ensemble, server, marks[server]).contains(step.line())
    };
    let leader = within(PATIENCE, &format!("{step:?}"), || {
        ensemble.servers().find(|server| says(ensemble, *server, step))
    });
    if step == Joint {
        // Each of the two entries of the change takes a flush of a majority.
        pause_for(Duration::from_millis(SLOW_MS * 3 / 2));
    }
    let dies = if victim == Victim::Leader { leader } else { lost };
    ensemble.kill(dies);
    let reached = step != LetIn || !says(ensemble, leader, Proposed);
    set_slow(ensemble, &[], 0);
    let other = 3 - lost - leader;
    if victim == Victim::Joining {
        write(ensemble.addr(other));
    }
    ensemble.start(dies);
    wait_until_all_vote(ensemble);
    // Its vote counts: without the third server the two are a majority.
    ensemble.kill(other);
    write(ensemble.addr(lost));
    ensemble.start(other);
    wait_until_all_vote(ensemble);
    reached
}

/// Lets the one or the other die at each step; nothing that was acknowledged is lost.
fn die_at_every_step(victim: Victim) {
    let mut ensemble = three();
    let mut done = Vec::new();
    for step in [LetIn, Proposed, Joint, Votes, Dropped] {
        let mut attempts = (0..ATTEMPTS).map(|_| die_at(&mut ensemble, step, victim, &mut done));
        assert!(attempts.any(|reached| reached), "{step:?} was over each time");
    }
    assert_shown(&ensemble, &done);
}

#[test]
fn a_joining_server_may_die_at_every_step() {
    // The server that lost its disk is killed when it was let in, when it has caught up, within the joint change,
    // when it votes and when its old life was dropped: writes go on, and it is taken in when it is back.
    die_at_every_step(Victim::Joining);
}

#[test]
fn the_leader_may_die_at_every_step_of_a_joining_server() {
    // The leader is killed at each of these steps: nothing that was acknowledged is lost, and whoever leads next goes
    // on with it.
    die_at_every_step(Victim::Leader);
}

#[test]
fn with_one_down_and_another_disk_lost_nothing_is_acknowledged() {
    // One of three is down, another one comes back without its disk: nobody serves, the log of the one that
    // waits names the one that is down, and when that is back everything is there.
    for down_is_leader in [false, true] {
        let mut ensemble = three();
        let leader = ensemble.wait_for_leader();
        create(ensemble.addr(leader), "/kept");
        let down = if down_is_leader { leader } else { (leader + 1) % 3 };
        let (lost, left) =
            ((leader + 2) % 3, if down_is_leader { (leader + 1) % 3 } else { leader });
        ensemble.kill(down);
        ensemble.wipe(lost);
        let mark = ensemble.log(lost).len();
        ensemble.start(lost);
        throughout(WATCHED, "nothing is acknowledged", || {
            [lost, left].into_iter().all(|server| {
                let client = RawClient::connect_for(ensemble.addr(server), Duration::from_secs(1));
                client.is_err() || client.is_ok_and(|mut c| c.create("/no", b"", 0).is_err())
            })
        });
        let name = format!("server {}", down + 1);
        within(PATIENCE, "it says who is waited for", || {
            let log = since(&ensemble, lost, mark);
            let mut waits = log.lines().filter(|line| line.contains("waits for its ensemble"));
            waits.any(|line| line.contains(&name)).then_some(())
        });
        ensemble.start(down);
        wait_until_all_vote(&ensemble);
        assert_shown(&ensemble, &["/kept".to_owned()]);
    }
}

/// Starts a second process with the number of a server, an empty data directory, and ports of its own.
fn double(ensemble: &Ensemble, of: usize, folder: &Path) -> Process {
    let text = std::fs::read_to_string(ensemble.folder(of).join("zoo.cfg")).expect("a file");
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("myid"), format!("{}\n", of + 1)).expect("the id's file");
    let ports = [(); 3].map(|()| integration::free_port());
    let own =
        format!("server.{}=127.0.0.1:{}:{};127.0.0.1:{}", of + 1, ports[0], ports[1], ports[2]);
    let line = |line: &str| {
        if line.starts_with("dataDir=") {
            format!("dataDir={}\n", data.display())
        } else if line.starts_with(&format!("server.{}=", of + 1)) {
            format!("{own}\n")
        } else {
            format!("{line}\n")
        }
    };
    let config = folder.join("zoo.cfg");
    std::fs::write(&config, text.lines().map(line).collect::<String>()).expect("a file");
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config);
    Process::start(&mut command, &folder.join("server.log"))
}

#[test]
fn no_life_is_exchanged_while_it_answers() {
    // Another process with the number of a server that runs, and an empty directory, is told so and is not
    // taken in; the one that runs keeps its vote.
    let mut ensemble = three();
    let leader = ensemble.wait_for_leader();
    let (doubled, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let mark = ensemble.log(leader).len();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let second = double(&ensemble, doubled, folder.path());
    throughout(WATCHED, "the one that runs serves", || ensemble.mode(doubled).is_some());
    ensemble.kill(other);
    create(ensemble.addr(doubled), "/with-its-vote");
    within(PATIENCE, "it is told why it waits", || {
        second.log().contains("is there another process with that number").then_some(())
    });
    let log = since(&ensemble, leader, mark);
    assert!(!log.contains(Proposed.line()), "{log}");
}

fn move_data(from: &Path, to: &Path) {
    let moved = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(moved.success(), "copied");
}

/// Starts a server, and waits until it has the vote of its other life. Before that the others are a majority only
/// together.
fn start_as_another_life(ensemble: &mut Ensemble, server: usize) {
    let marks = log_lens(ensemble);
    ensemble.start(server);
    within(PATIENCE, "the other life takes part no more", || {
        let mut logs = ensemble.servers().map(|server| since(ensemble, server, marks[server]));
        logs.any(|log| log.contains(Dropped.line())).then_some(())
    });
    wait_until_all_vote(ensemble);
}

fn log_lens(ensemble: &Ensemble) -> Vec<usize> {
    ensemble.servers().map(|server| ensemble.log(server).len()).collect()
}

#[test]
fn a_directory_that_was_replaced_comes_back_as_another_life() {
    // A disk is lost and replaced, and later the old one is put back: neither it nor the one that replaced it does
    // harm. What was acknowledged in between is there.
    let mut ensemble = three();
    let leader = ensemble.wait_for_leader();
    let lost = (leader + 1) % 3;
    create(ensemble.addr(leader), "/before");
    ensemble.kill(lost);
    let (data, aside) = (ensemble.folder(lost).join("data"), ensemble.folder(lost).join("aside"));
    move_data(&data, &aside);
    ensemble.wipe(lost);
    start_as_another_life(&mut ensemble, lost);
    create(ensemble.addr(lost), "/between");
    ensemble.kill(lost);
    std::fs::remove_dir_all(&data).expect("removed");
    move_data(&aside, &data);
    start_as_another_life(&mut ensemble, lost);
    let leader = ensemble.wait_for_leader();
    let other = ensemble.servers().find(|server| *server != leader && *server != lost);
    ensemble.kill(other.expect("a third server"));
    create(ensemble.addr(lost), "/after");
    ensemble.start(other.expect("a third server"));
    wait_until_all_vote(&ensemble);
    assert_shown(&ensemble, &["/before", "/between", "/after"].map(str::to_owned));
}

/// Takes a server out of the ensemble, or in, by what the leader says.
fn change(ensemble: &Ensemble, at: usize, wish: &Wish) {
    within(PATIENCE, "the members change", || wish.ask(&mut client(ensemble.addr(at))).ok());
}

#[test]
fn a_number_that_left_does_no_harm_when_it_is_back() {
    // A server leaves by reconfig. It comes back with its old directory, or an empty one, without being
    // asked for: it serves nobody and deposes nobody. When it is added it is taken in, and counts.
    let mut ensemble = changeable(Kind::Grovekeeper, 4).start();
    let mut done = vec!["/before".to_owned()];
    create(ensemble.addr(0), "/before");
    for with_old_directory in [true, false] {
        let leader = ensemble.wait_for_leader();
        let left = (leader + 1) % 4;
        change(&ensemble, leader, &Wish::remove(&[left]));
        ensemble.kill(left);
        let name = format!("/gone-{with_old_directory}");
        let before = create(ensemble.addr(leader), &name);
        done.push(name);
        if !with_old_directory {
            ensemble.wipe(left);
        }
        ensemble.start(left);
        throughout(WATCHED, "it serves nobody", || ensemble.mode(left).is_none());
        let name = format!("/deposed-{with_old_directory}");
        let after = create(ensemble.addr(leader), &name);
        done.push(name);
        assert_eq!(before.epoch(), after.epoch(), "it deposes nobody");
        change(&ensemble, leader, &Wish::add(&[ensemble.line(left, false)]));
        wait_until_all_vote(&ensemble);
        let others: Vec<usize> =
            ensemble.servers().filter(|s| ![left, leader].contains(s)).collect();
        ensemble.kill(others[0]);
        let name = format!("/counts-{with_old_directory}");
        create(ensemble.addr(left), &name);
        done.push(name);
        ensemble.start(others[0]);
        wait_until_all_vote(&ensemble);
    }
    assert_shown(&ensemble, &done);
}
