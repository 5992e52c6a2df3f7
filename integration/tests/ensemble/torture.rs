//! A short torture: what the long runs do, with fixed seeds.

use std::time::Duration;

use integration::Kind;
use integration::torture::{Faults, Options, run};

#[test]
fn no_promise_is_broken_under_faults() {
    // Two rounds of kills, stops, cuts, delays and resets on three servers break no promise.
    torture(Faults::All, 16, 15);
}

#[test]
fn syncs_are_linearizable_while_answers_are_late() {
    // A round in which each direction is delayed by up to three seconds, and a leader again and again gets answers to
    // what it sent before the others elected another one.
    torture(Faults::Delays, 1, 12);
}

/// Begins rounds for `length` seconds, each of which strikes for `round` seconds.
fn torture(faults: Faults, length: u64, round: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        kind: Kind::from_env(),
        servers: 3,
        seed: 11,
        length: Duration::from_secs(length),
        first: 1,
        round: Duration::from_secs(round),
        folder: folder.path().join("run"),
        faults,
        keep: false,
    };
    let verdict = run(&options, |line| println!("{line}"));
    println!("{}", verdict.figures);
    if !verdict.kept() {
        let kept = folder.keep();
        panic!("seed {}: {:?}; see {}", options.seed, verdict.anomalies, kept.display());
    }
    assert!(verdict.figures.done > 100, "{} requests done", verdict.figures.done);
}
