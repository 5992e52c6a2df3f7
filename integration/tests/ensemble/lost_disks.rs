//! A short run that loses disks: what the long runs do, with a fixed seed.

use integration::torture::disks::{Options, Situation, run};

#[test]
fn lost_disks_break_no_promise() {
    // One round of each situation in which a server comes back without its disk breaks no promise, and each
    // is reached.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rounds = u64::try_from(Situation::ALL.len()).expect("a few");
    let options = Options { seed: 3, rounds, minimum: 1, folder: folder.path().join("run") };
    let verdict = run(&options, |line| println!("{line}"));
    println!("{verdict}");
    if !verdict.passed() {
        let (missing, anomalies, kept) = (verdict.missing, verdict.anomalies, folder.keep());
        panic!("not reached: {missing:?}; {anomalies:?}; see {}", kept.display());
    }
    assert!(verdict.figures.done > 100, "{} requests done", verdict.figures.done);
}
