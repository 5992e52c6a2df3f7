//! Changes that happen once, whatever dies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use grovekeeper_client::{
    Call, Client, CreateMode, Created, Error, Fate, MultiResult, SessionState, Stat,
};
use integration::four_letter::ask;
use integration::{Ensemble, EnsembleOptions, Kind, ServerOptions, eventually};

use crate::client_world::{PERSISTENT, run, run_within};

/// How many kills of each kind, unless the environment says it.
const KILLS: usize = 2;

/// How long one kill, and all that comes of it, may take on a busy machine.
const PATIENCE_PER_KILL: Duration = Duration::from_secs(30);

/// Rounds of calls under way.
const DEPTH: usize = 100;

/// How many rounds the numbers of one are kept.
const KEPT: u64 = 1000;

/// Longer than any restart takes.
const SESSION: Duration = Duration::from_secs(40);

fn kills() -> usize {
    let asked = std::env::var("GROVEKEEPER_TEST_KILLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

/// What a client does without a break, and how far it is.
#[derive(Default)]
struct Load {
    done: AtomicU64,
    stop: AtomicBool,
}

/// Calls that belong together.
struct Round {
    /// The next number of the counter.
    number: Call<Created>,
    change: Call<Stat>,
    /// The number after it and another change; a number of long ago is deleted.
    both: Call<Vec<MultiResult>>,
    /// Deletes the other number of long ago, so that the tree stays small.
    delete: Option<Call<()>>,
}

/// The path with a number of the counter.
fn path_of(number: u64) -> String {
    format!("/counter/n-{number:010}")
}

fn begin(client: &Client, round: u64) -> Round {
    let number = client.create("/counter/n-", b"", CreateMode::PersistentSequential);
    let change = client.set("/changes", b"x", None);
    let old = round.checked_sub(KEPT).map(|old| (path_of(2 * old), path_of(2 * old + 1)));
    let both = client.multi().create("/counter/n-", b"", CreateMode::PersistentSequential);
    let both = both.set("/changes", b"y", None);
    let both = match &old {
        Some((_, odd)) => both.delete(odd, None).commit(),
        None => both.commit(),
    };
    let delete = old.map(|(even, _)| client.delete(&even, None));
    Round { number, change, both, delete }
}

/// Whatever is not as if nothing had ever been lost is a panic.
async fn end(calls: Round, round: u64) {
    let failed = |error: Error| -> ! { panic!("round {round}: {error}") };
    let made = calls.number.await.unwrap_or_else(|error| failed(error));
    assert_eq!(made.path, path_of(2 * round));
    let stat = calls.change.await.unwrap_or_else(|error| failed(error));
    assert_eq!(u64::from(stat.version.cast_unsigned()), 2 * round + 1);
    let results = calls.both.await.unwrap_or_else(|error| failed(error));
    let made_too =
        matches!(&results[0], MultiResult::Created { path, .. } if *path == path_of(2 * round + 1));
    assert!(made_too, "round {round}: {results:?}");
    if let Some(delete) = calls.delete {
        delete.await.unwrap_or_else(|error| failed(error));
    }
}

impl Load {
    /// Counts, with many calls under way, until it is told to stop. Returns how many rounds were begun.
    async fn run(&self, client: &Client) -> u64 {
        let (mut begun, mut under_way) = (0, VecDeque::new());
        loop {
            let stops = self.stop.load(Ordering::Relaxed);
            while under_way.len() < DEPTH && !stops {
                under_way.push_back(begin(client, begun));
                begun += 1;
            }
            let Some(calls) = under_way.pop_front() else { return begun };
            let round = self.done.load(Ordering::Relaxed);
            end(calls, round).await;
            self.done.store(round + 1, Ordering::Relaxed);
        }
    }

    /// Waits until it has gone on for a while.
    fn wait_for_progress(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("the counter goes on", || {
            (self.done.load(Ordering::Relaxed) >= before + DEPTH as u64).then_some(())
        });
    }
}

/// The server that a session is connected to.
fn server_of(ensemble: &Ensemble, client: &Client) -> usize {
    let session = format!("sid={},", client.status().borrow().session);
    eventually("a server has the session", || {
        ensemble.servers().find(|server| {
            let listed = ask(ensemble.addr(*server), "cons");
            listed.is_some_and(|connections| connections.contains(&session))
        })
    })
}

fn strike(ensemble: &mut Ensemble, load: &Load, victims: &[usize]) {
    load.wait_for_progress();
    for victim in victims {
        ensemble.kill(*victim);
    }
    if victims.len() == 1 {
        load.wait_for_progress();
    }
    for victim in victims {
        ensemble.start(*victim);
    }
    ensemble.wait_until_all_serve();
}

#[test]
fn a_counter_has_no_gap_whatever_is_killed() {
    // The leader, the server that the client is connected to, and all servers at once are killed
    // under load, again and again: no call ends with an error, each create, set, delete and transaction
    // is made once, in the order of the calls, and answered with what it did.
    let kills = kills();
    let patience = PATIENCE_PER_KILL * u32::try_from(2 * kills + 4).expect("a few");
    run_within(patience, async move {
        let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
        ensemble.wait_until_all_serve();
        let builder = Client::builder().session_timeout(SESSION);
        let client = builder.connect(&ensemble.connect_string()).await.expect("connected");
        assert!(client.status().borrow().exactly_once);
        client.create("/counter", b"", PERSISTENT).await.expect("created");
        client.create("/changes", b"", PERSISTENT).await.expect("created");
        let load = Arc::new(Load::default());
        let counting = {
            let (load, client) = (Arc::clone(&load), client.clone());
            tokio::spawn(async move { load.run(&client).await })
        };
        for _ in 0..kills {
            let leader = ensemble.wait_for_leader();
            strike(&mut ensemble, &load, &[leader]);
            let own = server_of(&ensemble, &client);
            strike(&mut ensemble, &load, &[own]);
        }
        strike(&mut ensemble, &load, &[0, 1, 2]);
        load.wait_for_progress();
        load.stop.store(true, Ordering::Relaxed);
        let rounds = counting.await.expect("no call failed");
        let mut left = client.list("/counter").await.expect("listed").0;
        left.sort_unstable();
        let first = 2 * rounds.saturating_sub(KEPT);
        let expected: Vec<String> = (first..2 * rounds).map(path_of).collect();
        assert!(left.iter().eq(expected.iter().filter_map(|path| path.strip_prefix("/counter/"))));
        let version = client.get("/changes").await.expect("read").1.version;
        assert_eq!(u64::from(version.cast_unsigned()), 2 * rounds);
        assert_eq!(client.status().borrow().generation, 0);
        println!("{rounds} rounds, {kills} kills of each kind");
    });
}

#[test]
fn apache_zookeeper_grants_nothing_and_fates_are_unknown() {
    // What was under way when an Apache ZooKeeper server died fails as a change of unknown fate, or is
    // answered; nothing is sent twice.
    if !Kind::ZooKeeper.installed() {
        return;
    }
    let options = ServerOptions::new(Kind::ZooKeeper);
    let mut server =
        options.set("minSessionTimeout", "40000").set("maxSessionTimeout", "60000").start();
    run(async {
        let client = Client::connect(&server.connect_string()).await.expect("connected");
        assert!(!client.status().borrow().exactly_once);
        client.create("/log", b"", PERSISTENT).await.expect("created");
        let mut creates: VecDeque<_> = (0..5000)
            .map(|_| client.create("/log/n-", b"", CreateMode::PersistentSequential))
            .collect();
        creates.pop_front().expect("many").await.expect("created");
        let (mut made, mut unknown) = (1, 0);
        server.kill();
        let mut status = client.status();
        let lost = status.wait_for(|status| status.state != SessionState::Connected).await;
        drop(lost.expect("the client lives"));
        server.start_again();
        for create in creates {
            match create.await {
                Ok(_) => made += 1,
                Err(Error::ConnectionLost { fate: Fate::Unknown }) => unknown += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let children = client.list("/log").await.expect("listed").0.len();
        assert!((made..=made + unknown).contains(&children), "{children}: {made} {unknown}");
        assert!(unknown > 0, "all was answered");
    });
}
