//! Short tortures: what the long runs do, with fixed seeds.

use std::time::Duration;

use integration::Kind;
use integration::torture::{Faults, Figures, Options, run};

/// Two rounds of 15 s.
fn options(faults: Faults) -> Options {
    Options {
        kind: Kind::from_env(),
        servers: 3,
        seed: 11,
        faults,
        sections_min: 0,
        length: Duration::MAX,
        rounds: 2,
        first: 1,
        round: Duration::from_secs(15),
        folder: std::path::PathBuf::new(),
        keep: false,
    }
}

/// Plays rounds in which no promise is broken; what was counted.
fn play(options: &Options, mut say: impl FnMut(&str)) -> Figures {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options { folder: folder.path().join("run"), ..options.clone() };
    let verdict = run(&options, &mut say);
    say(&verdict.figures.to_string());
    if !verdict.kept() {
        let kept = folder.keep();
        panic!("seed {}: {:?}; see {}", options.seed, verdict.anomalies, kept.display());
    }
    assert!(verdict.figures.done > 100, "{} requests done", verdict.figures.done);
    verdict.figures
}

#[test]
fn no_promise_is_broken_under_faults() {
    // Two rounds of kills, stops, cuts, delays and resets on three servers break no promise.
    play(&options(Faults::All), |line| println!("{line}"));
}

#[test]
fn syncs_are_linearizable_while_answers_are_late() {
    // A round in which each direction is delayed by up to three seconds, and a leader again and again gets answers to
    // what it sent before the others elected another one.
    let round = Duration::from_secs(12);
    let options = Options { rounds: 1, round, ..options(Faults::Delays) };
    play(&options, |line| println!("{line}"));
}

#[test]
fn late_and_doubled_messages_between_servers_do_nothing_twice() {
    // Messages between servers are held back, overtaken, sent again, and arrive after their sender was
    // killed; each write is done once all the same. Servers count repeats and what dead processes sent.
    let round = Duration::from_secs(12);
    let options = Options { seed: 517, round, ..options(Faults::Late) };
    let figures = play(&options, |line| println!("{line}"));
    if let Some(sections) = figures.sections {
        assert!(sections.repeated > 0 && sections.ended > 0, "not reached: {sections}");
    }
}
