//! How long writes pause when the leader goes: `pauses [--repeat N] [--kinds grovekeeper,zookeeper]`.
//!
//! Three servers of each kind with ZooKeeper's usual settings, one after the other in turn, so that
//! whatever else the machine does strikes both. One client at each server that does not lead writes
//! without a break; the pause is the longest time that one of them waits for an answer.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use integration::eventually::Stopwatch;
use integration::{Ensemble, EnsembleOptions, Kind, RawClient, within};
use proxy::PathState;

const PATIENCE: Duration = Duration::from_secs(90);

/// Writes of each client before and after the leader goes.
const WRITES: usize = 50;

/// How the leader goes.
#[derive(Debug, Clone, Copy)]
enum How {
    Killed,
    Stopped,
    /// Cut off from the others in both directions.
    CutOff,
    /// Heard by the others, but hears nothing.
    Deaf,
    /// Hears the others, but is not heard.
    Mute,
}

/// What the clients noticed.
#[derive(Debug, Clone, Copy)]
struct Noticed {
    pause: Duration,
    /// Connections that ended.
    disconnected: usize,
}

/// How often, and which servers; what is wrong otherwise.
fn options_of(mut arguments: impl Iterator<Item = String>) -> Result<(usize, Vec<Kind>), String> {
    let mut repeat = 20;
    let mut kinds = vec![Kind::Grovekeeper, Kind::ZooKeeper];
    while let Some(key) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{key}: a value is missing"))?;
        match (key.as_str(), value.as_str()) {
            ("--repeat", number) => {
                repeat = number.parse().map_err(|_| format!("{number} is no number"))?;
            }
            ("--kinds", "grovekeeper") => kinds = vec![Kind::Grovekeeper],
            ("--kinds", "zookeeper") => kinds = vec![Kind::ZooKeeper],
            ("--kinds", "grovekeeper,zookeeper") => {}
            _ => return Err(format!("{key} {value} is not understood")),
        }
    }
    Ok((repeat, kinds))
}

fn main() -> ExitCode {
    let (repeat, kinds) = match options_of(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            say(&format!("{wrong}\npauses [--repeat N] [--kinds grovekeeper,zookeeper]"));
            return ExitCode::from(2);
        }
    };
    let mut plain: Vec<Ensemble> = kinds.iter().map(|kind| options(*kind).start()).collect();
    for how in [How::Killed, How::Stopped] {
        compare(&mut plain, how, repeat);
    }
    drop(plain);
    // Elections of Apache ZooKeeper do not get on with a proxy: that would measure the proxy.
    if kinds.contains(&Kind::Grovekeeper) {
        let mut proxied = [options(Kind::Grovekeeper).proxied().start()];
        for how in [How::CutOff, How::Deaf, How::Mute] {
            compare(&mut proxied, how, repeat);
        }
    }
    ExitCode::SUCCESS
}

fn compare(ensembles: &mut [Ensemble], how: How, repeat: usize) {
    let mut noticed: Vec<Vec<Noticed>> = vec![Vec::new(); ensembles.len()];
    for _ in 0..repeat {
        for (ensemble, noticed) in ensembles.iter_mut().zip(&mut noticed) {
            noticed.push(measure(ensemble, how));
        }
    }
    for (ensemble, noticed) in ensembles.iter().zip(noticed) {
        report(ensemble.kind(), how, noticed);
    }
}

fn options(kind: Kind) -> EnsembleOptions {
    let options = EnsembleOptions::new(kind, 3);
    options.set("tickTime", "2000").set("initLimit", "10").set("syncLimit", "5")
}

/// Lets the leader go under load, and brings it back.
fn measure(ensemble: &mut Ensemble, how: How) -> Noticed {
    ensemble.wait_until_all_serve();
    let leader = ensemble.wait_for_leader();
    let homes: Vec<SocketAddr> = ensemble
        .servers()
        .filter(|server| *server != leader)
        .map(|server| ensemble.addr(server))
        .collect();
    let stop = AtomicBool::new(false);
    let written: Vec<AtomicUsize> = homes.iter().map(|_| AtomicUsize::new(0)).collect();
    let all_wrote = |count: usize| {
        within(PATIENCE, "all clients write", || {
            let enough = |written: &AtomicUsize| written.load(Ordering::Relaxed) >= count;
            written.iter().all(enough).then_some(())
        });
    };
    let noticed = std::thread::scope(|scope| {
        let clients: Vec<_> = homes
            .iter()
            .zip(&written)
            .map(|(home, written)| {
                let stop = &stop;
                scope.spawn(move || write(*home, written, stop))
            })
            .collect();
        all_wrote(WRITES);
        match how {
            How::Killed => ensemble.kill(leader),
            How::Stopped => ensemble.pause(leader),
            How::CutOff => ensemble.network().partition(&[leader]),
            How::Deaf => ensemble.network().set_to(leader, PathState::cut()),
            How::Mute => ensemble.network().set_from(leader, PathState::cut()),
        }
        let before = written.iter().map(|written| written.load(Ordering::Relaxed)).max();
        all_wrote(before.unwrap_or(0) + WRITES);
        stop.store(true, Ordering::Relaxed);
        let each = clients.into_iter().map(|client| client.join().expect("a client"));
        each.reduce(|one, other| Noticed {
            pause: one.pause.max(other.pause),
            disconnected: one.disconnected + other.disconnected,
        })
    });
    match how {
        How::Killed => ensemble.start(leader),
        How::Stopped => ensemble.unpause(leader),
        How::CutOff | How::Deaf | How::Mute => ensemble.network().heal(),
    }
    noticed.expect("two clients")
}

/// Writes until told to stop; the longest time between two answers, and the connections lost.
fn write(home: SocketAddr, written: &AtomicUsize, stop: &AtomicBool) -> Noticed {
    let path = format!("/pause-{}", home.port());
    let mut client = RawClient::connect(home);
    // It is there already the second time.
    let _ = client.create(&path, b"", 0);
    let mut noticed = Noticed { pause: Duration::ZERO, disconnected: 0 };
    let mut since = Stopwatch::start();
    while !stop.load(Ordering::Relaxed) {
        if client.set(&path, b"x", -1).is_ok() {
            noticed.pause = noticed.pause.max(since.elapsed());
            since = Stopwatch::start();
            written.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        noticed.disconnected += 1;
        let session = client.session().clone();
        client = within(PATIENCE, "the session goes on", || {
            RawClient::resume(home, &session).ok().filter(|resumed| *resumed.session() == session)
        });
    }
    noticed
}

#[expect(clippy::print_stdout, reason = "the program's report")]
fn report(kind: Kind, how: How, mut noticed: Vec<Noticed>) {
    noticed.sort_by_key(|noticed| noticed.pause);
    let (count, last) = (noticed.len(), noticed.len() - 1);
    let disconnected: usize = noticed.iter().map(|noticed| noticed.disconnected).sum();
    println!(
        "{how:?} x{count} {kind:?}: median {:.0?}, shortest {:.0?}, longest {:.0?}, \
         connections lost {disconnected} of {}",
        noticed[count / 2].pause,
        noticed[0].pause,
        noticed[last].pause,
        count * 2
    );
}

#[expect(clippy::print_stdout, reason = "what the user is told")]
fn say(text: &str) {
    println!("{text}");
}
