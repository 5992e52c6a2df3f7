//! An ensemble is formed once, whatever the servers' disks hold and in whatever order they start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use integration::eventually::{attempt, pause_for, throughout};
use integration::{Ensemble, EnsembleOptions, Kind, RawClient, within};

use crate::patience::{PATIENCE, client, create};

/// How long a server that does not serve is watched not to.
const WATCHED: Duration = Duration::from_millis(1_200);

/// How long a server is waited for before the next one is started.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// Cases that are played at the same time.
const AT_ONCE: usize = 4;

/// What a server's disk holds at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Disk {
    Empty,
    /// It was formed on its own.
    Alone,
    /// It has data of the ensemble of the three.
    OfThree,
    /// It has data of another ensemble of three servers with these numbers.
    Other,
}

use Disk::{Alone, Empty, OfThree, Other};

/// Three servers that find each other where their own files say.
fn three() -> EnsembleOptions {
    EnsembleOptions::new(Kind::Grovekeeper, 3).set("quorum.addressesFromFile", "true")
}

const ALL: [usize; 3] = [0, 1, 2];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Disks of each kind for each server, below a folder. Each holds a znode that says what it is of.
fn make_disks(folder: &Path) {
    let mut ensemble = three().prepare();
    for (kind, name) in [(Other, "/other"), (OfThree, "/of-three")] {
        for server in ALL {
            ensemble.wipe(server);
            ensemble.start(server);
        }
        ensemble.wait_until_all_serve();
        create(ensemble.addr(0), name);
        for addr in ensemble.addrs() {
            client(addr).sync("/").expect("synced");
        }
        for server in ALL {
            ensemble.stop(server);
            copy(&ensemble.folder(server).join("data"), &folder.join(format!("{kind:?}-{server}")));
        }
    }
    for server in ALL {
        ensemble.wipe(server);
        ensemble.list(server, &[server], &[]);
        ensemble.start(server);
        create(ensemble.addr(server), &format!("/alone-{server}"));
        ensemble.stop(server);
        copy(&ensemble.folder(server).join("data"), &folder.join(format!("Alone-{server}")));
    }
}

/// Servers with these disks, all three named in each file.
fn with_disks(folder: &Path, disks: [Disk; 3]) -> Ensemble {
    let ensemble = three().prepare();
    for (server, disk) in disks.into_iter().enumerate().filter(|(_, disk)| *disk != Empty) {
        let disk = folder.join(format!("{disk:?}-{server}"));
        copy(&disk, &ensemble.folder(server).join("data"));
    }
    ensemble
}

/// Writes at every server all the time; what was acknowledged.
struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<BTreeSet<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(addrs: Vec<SocketAddr>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let writer = |(server, addr): (usize, SocketAddr)| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || write(server, addr, &stop, &done))
        };
        let threads = addrs.into_iter().enumerate().map(writer).collect();
        Self { stop, done, threads }
    }

    /// Waits until something is acknowledged.
    fn wait_for_one(&self) {
        within(PATIENCE, "a write is acknowledged", || {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            (!done.is_empty()).then_some(())
        });
    }

    fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer ends in order");
        }
        std::mem::take(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn write(server: usize, addr: SocketAddr, stop: &AtomicBool, done: &Mutex<BTreeSet<String>>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        pause_for(Duration::from_millis(20));
        let Ok(mut client) = RawClient::connect_for(addr, Duration::from_secs(5)) else { continue };
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let path = format!("/written-{server}-{number}");
            if client.create(&path, b"", 0).is_err() {
                break;
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
            pause_for(Duration::from_millis(20));
        }
    }
}

/// Whether a server serves, or else has said why not: in its log, or by ending with a message.
fn has_settled(ensemble: &mut Ensemble, server: usize) -> bool {
    let log = ensemble.log(server);
    let has_ended = ensemble.ended().iter().any(|(ended, _)| *ended == server);
    let said = log.contains("this server waits for its ensemble: ")
        || (has_ended && log.contains("has data of ensemble"));
    said || ensemble.mode(server).is_some()
}

/// Starts the servers one by one; each is waited for until it serves or says why it does not.
fn start_in(ensemble: &mut Ensemble, order: [usize; 3]) {
    for server in order {
        start(ensemble, server);
    }
}

/// Starts a server, and waits until it serves or says why it does not. One that does neither is found later.
fn start(ensemble: &mut Ensemble, server: usize) {
    ensemble.start(server);
    let _ = attempt(SETTLED_WITHIN, || has_settled(ensemble, server).then_some(()));
}

fn wait_until_serve(ensemble: &Ensemble, servers: &[usize], how: &str) {
    within(PATIENCE, how, || {
        servers.iter().all(|server| ensemble.mode(*server).is_some()).then_some(())
    });
}

fn nobody_serves(ensemble: &Ensemble) {
    throughout(WATCHED, "nobody serves", || {
        ALL.into_iter().all(|server| ensemble.mode(server).is_none())
    });
}

/// What the servers that serve show below `/`; the same at each of them.
fn shown(ensemble: &Ensemble, serving: &[usize]) -> BTreeSet<String> {
    let mut shown = BTreeMap::new();
    for server in serving {
        let mut client = client(ensemble.addr(*server));
        client.sync("/").expect("synced");
        let names = client.children("/", false).expect("listed");
        shown.insert(*server, names.iter().map(|name| format!("/{name}")).collect());
    }
    let first: BTreeSet<String> = shown.values().next().cloned().unwrap_or_default();
    assert!(shown.values().all(|names| *names == first), "they differ: {shown:?}");
    first
}

/// Disks, what is started, and what has to come of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    disks: [Disk; 3],
    order: [usize; 3],
    /// Who serves before the last one is started.
    early: &'static [usize],
    /// Who serves in the end.
    serving: &'static [usize],
    /// The znode that tells whose data these have.
    kept: &'static str,
}

const fn case(
    disks: [Disk; 3],
    order: [usize; 3],
    early: &'static [usize],
    serving: &'static [usize],
    kept: &'static str,
) -> Case {
    Case { disks, order, early, serving, kept }
}

const CASES: [Case; 12] = [
    case([Empty, Empty, Empty], [2, 0, 1], &[], &ALL, ""),
    case([Alone, Empty, Empty], [1, 2, 0], &[], &ALL, "/alone-0"),
    case([Empty, Empty, Alone], [2, 0, 1], &[2, 0], &ALL, "/alone-2"),
    // The one that meets a third server first takes it in; the other one is refused.
    case([Alone, Alone, Empty], [0, 2, 1], &[0, 2], &[0, 2], "/alone-0"),
    case([Alone, Alone, Alone], [0, 1, 2], &[], &[], ""),
    case([OfThree, OfThree, Empty], [2, 0, 1], &[], &ALL, "/of-three"),
    case([OfThree, Empty, Empty], [1, 2, 0], &[], &[], ""),
    case([OfThree, OfThree, Other], [2, 1, 0], &[], &[0, 1], "/of-three"),
    case([OfThree, Other, Empty], [2, 0, 1], &[], &[], ""),
    case([OfThree, Other, Other], [0, 1, 2], &[], &[1, 2], "/other"),
    case([Alone, OfThree, OfThree], [0, 2, 1], &[], &[1, 2], "/of-three"),
    case([Alone, Other, OfThree], [1, 0, 2], &[], &[], ""),
];

/// Plays a case: who serves at the end is as said, with the data of `kept`, and nothing that was acknowledged is
/// lost.
fn play(folder: &Path, case: Case) {
    let Case { disks, order, early, serving, kept } = case;
    let mut ensemble = with_disks(folder, disks);
    let writers = Writers::start(ensemble.addrs());
    start(&mut ensemble, order[0]);
    start(&mut ensemble, order[1]);
    wait_until_serve(&ensemble, early, &format!("{case:?}: {early:?} serve early"));
    start(&mut ensemble, order[2]);
    wait_until_serve(&ensemble, serving, &format!("{case:?}: {serving:?} serve"));
    let others = || ALL.into_iter().filter(|server| !serving.contains(server));
    if others().next().is_some() {
        throughout(WATCHED, &format!("{case:?}: only {serving:?} serve"), || {
            others().all(|server| ensemble.mode(server).is_none())
        });
    }
    for server in others() {
        assert!(has_settled(&mut ensemble, server), "{case:?}: {server} says nothing");
    }
    if !serving.is_empty() {
        writers.wait_for_one();
    }
    let done = writers.stop();
    assert_eq!(done.is_empty(), serving.is_empty(), "{case:?}: {done:?} acknowledged");
    let shown = shown(&ensemble, serving);
    let lost: Vec<&String> = done.iter().filter(|path| !shown.contains(*path)).collect();
    assert!(lost.is_empty(), "{case:?}: lost {lost:?}");
    let before: Vec<&String> = shown
        .iter()
        .filter(|path| !path.starts_with("/written") && *path != "/zookeeper")
        .collect();
    let expected: Vec<&str> = Some(kept).filter(|kept| !kept.is_empty()).into_iter().collect();
    assert_eq!(before, expected, "{case:?}");
}

#[test]
fn one_ensemble_acknowledges_whatever_the_disks_hold() {
    // Twelve of the 64 cases with real processes: at most one ensemble acknowledges, nothing acknowledged
    // is lost, and whoever does not serve says why.
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_disks(folder.path());
    let next = Mutex::new(CASES.iter());
    std::thread::scope(|scope| {
        let player = || {
            loop {
                let case = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(case) = case else { return };
                play(folder.path(), *case);
            }
        };
        let players: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(player)).collect();
        for player in players {
            player.join().expect("the cases hold");
        }
    });
}

#[test]
fn three_servers_that_were_each_formed_alone_do_not_lead() {
    // Each was started alone once, as a package's first start does; then all with three lines. None of them
    // acknowledges, each says whose data it has, and with the others emptied one goes on.
    let mut ensemble = three().prepare();
    for server in ALL {
        ensemble.list(server, &[server], &[]);
        ensemble.start(server);
        create(ensemble.addr(server), &format!("/alone-{server}"));
        ensemble.stop(server);
        ensemble.list(server, &ALL, &[]);
    }
    let writers = Writers::start(ensemble.addrs());
    start_in(&mut ensemble, ALL);
    nobody_serves(&ensemble);
    assert_eq!(writers.stop(), BTreeSet::new(), "nothing is acknowledged");
    within(PATIENCE, "one of them ends with a message", || {
        let logs: String = ALL.into_iter().map(|server| ensemble.log(server)).collect();
        logs.contains("this server has data of ensemble").then_some(())
    });
    for server in ALL {
        ensemble.kill(server);
    }
    ensemble.wipe(1);
    ensemble.wipe(2);
    start_in(&mut ensemble, ALL);
    ensemble.wait_until_all_serve();
    assert!(shown(&ensemble, &ALL).contains("/alone-0"));
}

#[test]
fn two_emptied_servers_form_no_new_ensemble() {
    // Two of three lose their disks and are started before the third: nothing is formed, the one with the
    // data is not locked out, and everything is there again when one of the disks is.
    let mut ensemble = three().start();
    create(ensemble.addr(0), "/kept");
    let kept = tempfile::tempdir().expect("a temporary folder");
    for server in ALL {
        ensemble.stop(server);
    }
    copy(&ensemble.folder(0).join("data"), kept.path());
    ensemble.wipe(0);
    ensemble.wipe(1);
    let writers = Writers::start(ensemble.addrs());
    start_in(&mut ensemble, ALL);
    nobody_serves(&ensemble);
    assert_eq!(writers.stop(), BTreeSet::new(), "nothing is acknowledged");
    assert!(ensemble.ended().is_empty(), "the one with the data goes on");
    within(PATIENCE, "the emptied ones say what they wait for", || {
        let log = ensemble.log(0);
        let mut waits = log.lines().filter(|line| line.contains("waits for its ensemble"));
        waits.any(|line| line.contains("server 3: it has data of ensemble")).then_some(())
    });
    ensemble.wipe(0);
    copy(kept.path(), &ensemble.folder(0).join("data"));
    ensemble.start(0);
    ensemble.wait_until_all_serve();
    assert!(shown(&ensemble, &ALL).contains("/kept"));
}

#[test]
fn a_voter_that_never_started_forms_no_second_ensemble() {
    // Two of three form by the file `initialize`. One of them is down and the disk of the other is lost when the third
    // one starts for the first time: two empty servers, a majority, wait for the one with the data.
    let mut ensemble = three().prepare();
    for server in [0, 1] {
        let file = ensemble.folder(server).join("data").join("initialize");
        std::fs::write(file, "").expect("the file");
        ensemble.start(server);
    }
    wait_until_serve(&ensemble, &[0, 1], "two of three form");
    create(ensemble.addr(0), "/kept");
    let kept = tempfile::tempdir().expect("a temporary folder");
    for server in [0, 1] {
        ensemble.stop(server);
    }
    copy(&ensemble.folder(1).join("data"), kept.path());
    ensemble.wipe(1);
    let writers = Writers::start(ensemble.addrs());
    start(&mut ensemble, 1);
    start(&mut ensemble, 2);
    nobody_serves(&ensemble);
    start(&mut ensemble, 0);
    nobody_serves(&ensemble);
    assert_eq!(writers.stop(), BTreeSet::new(), "nothing is acknowledged");
    assert!(ensemble.ended().is_empty(), "the one with the data goes on");
    ensemble.wipe(1);
    copy(kept.path(), &ensemble.folder(1).join("data"));
    ensemble.start(1);
    ensemble.wait_until_all_serve();
    assert!(shown(&ensemble, &ALL).contains("/kept"));
}

#[test]
fn without_autocreate_the_file_initialize_forms_an_ensemble() {
    // With db.autocreate=false empty servers wait. Where one of three has the file they still do; where
    // two have it they form, and the third one joins.
    let mut ensemble = three().set("db.autocreate", "false").prepare();
    let initialize = |ensemble: &Ensemble, server: usize| {
        ensemble.folder(server).join("data").join("initialize")
    };
    for with_file in [&[][..], &[1]] {
        for server in with_file {
            std::fs::write(initialize(&ensemble, *server), "").expect("the file");
        }
        start_in(&mut ensemble, ALL);
        nobody_serves(&ensemble);
        for server in ALL {
            ensemble.stop(server);
        }
    }
    let says = |server: usize, why: &str| ensemble.log(server).contains(why);
    assert!(says(0, "this server forms none itself"), "it says why");
    assert!(says(1, "server 1: it is empty, and forms no ensemble"), "it says why");
    std::fs::write(initialize(&ensemble, 2), "").expect("the file");
    start_in(&mut ensemble, ALL);
    ensemble.wait_until_all_serve();
    create(ensemble.addr(0), "/formed");
    let let_in = "server 1 (life";
    let logs: String = ALL.into_iter().map(|server| ensemble.log(server)).collect();
    assert!(
        logs.lines()
            .any(|line| line.contains("takes part without a vote") && line.contains(let_in)),
        "the one without the file joins"
    );
    within(PATIENCE, "the file is used up", || {
        [1, 2].into_iter().all(|server| !initialize(&ensemble, server).exists()).then_some(())
    });
}

#[test]
fn a_server_that_is_to_join_never_forms() {
    // Three empty servers that are told to join wait, also where two of them are told nothing; when all are
    // told nothing they form.
    let mut ensemble = three().prepare();
    for joining in [&ALL[..], &[1]] {
        for server in ALL {
            let arguments: &[&str] = if joining.contains(&server) { &["--join"] } else { &[] };
            ensemble.start_with(server, arguments);
        }
        nobody_serves(&ensemble);
        within(PATIENCE, "each says what it waits for", || {
            ALL.into_iter().all(|server| has_settled(&mut ensemble, server)).then_some(())
        });
        assert!(ensemble.log(1).contains("this server forms none itself"), "it says why");
        for server in ALL {
            ensemble.stop(server);
        }
    }
    start_in(&mut ensemble, ALL);
    ensemble.wait_until_all_serve();
    // One that lost its disk is taken in with the argument, too.
    create(ensemble.addr(0), "/formed");
    ensemble.wipe(2);
    ensemble.start_with(2, &["--join"]);
    ensemble.wait_until_all_serve();
    assert!(shown(&ensemble, &[2]).contains("/formed"));
}

/// All orders in which three servers can be started.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[test]
fn one_server_becomes_three_in_every_order_of_starts() {
    // A server that ran alone, and two empty ones: its data are everywhere, and any two are enough.
    let grow = |order: [usize; 3]| {
        let mut ensemble = three().prepare();
        ensemble.list(0, &[0], &[]);
        ensemble.start(0);
        create(ensemble.addr(0), "/mine");
        ensemble.stop(0);
        ensemble.list(0, &ALL, &[]);
        start_in(&mut ensemble, order);
        ensemble.wait_until_all_serve();
        assert!(shown(&ensemble, &ALL).contains("/mine"), "{order:?}");
        ensemble.kill(order[0]);
        create(ensemble.addr(order[1]), "/without-one");
        assert!(shown(&ensemble, &order[1..]).contains("/mine"), "{order:?}");
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = ORDERS.map(|order| scope.spawn(move || grow(order))).into();
        for thread in threads {
            thread.join().expect("it grows");
        }
    });
}
