//! Short tortures: what the long runs do, with fixed seeds.

use std::time::Duration;

use integration::Kind;
use integration::torture::{Figures, Options, Strikes, run};

/// Plays two rounds in which no promise is broken; what was counted.
fn play(seed: u64, strikes: Strikes, round: Duration, mut say: impl FnMut(&str)) -> Figures {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        kind: Kind::from_env(),
        servers: 3,
        seed,
        strikes,
        sections_min: 0,
        length: Duration::MAX,
        rounds: 2,
        first: 1,
        round,
        folder: folder.path().join("run"),
        keep: false,
    };
    let verdict = run(&options, &mut say);
    say(&verdict.figures.to_string());
    if !verdict.kept() {
        let kept = folder.keep();
        panic!("seed {seed}: {:?}; see {}", verdict.anomalies, kept.display());
    }
    assert!(verdict.figures.done > 100, "{} requests done", verdict.figures.done);
    verdict.figures
}

#[test]
fn no_promise_is_broken_under_faults() {
    // Two rounds of kills, stops, cuts, delays and resets on three servers break no promise.
    play(11, Strikes::All, Duration::from_secs(15), |line| println!("{line}"));
}

#[test]
fn late_and_doubled_messages_between_servers_do_nothing_twice() {
    // Messages between servers are held back, overtaken, sent again, and arrive after their sender was
    // killed; each write is done once all the same. Servers count repeats and what dead processes sent.
    let round = Duration::from_secs(12);
    let figures = play(588, Strikes::Late, round, |line| println!("{line}"));
    if Kind::from_env() == Kind::Grovekeeper {
        let sections = figures.sections;
        assert!(sections.repeated > 0 && sections.ended > 0, "not reached: {sections}");
    }
}
