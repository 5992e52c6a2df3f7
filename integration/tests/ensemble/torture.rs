//! A short torture: what the long runs do, with fixed seeds.

use std::time::Duration;

use integration::Kind;
use integration::torture::{Options, Strikes, run};

#[test]
fn no_promise_is_broken_under_faults() {
    // Two rounds of kills, stops, cuts, delays and resets on three servers break no promise.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        kind: Kind::from_env(),
        servers: 3,
        seed: 11,
        strikes: Strikes::All,
        sections_min: 0,
        length: Duration::from_secs(16),
        rounds: u64::MAX,
        first: 1,
        round: Duration::from_secs(15),
        folder: folder.path().join("run"),
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
