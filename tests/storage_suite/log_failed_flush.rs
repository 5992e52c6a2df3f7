//! The log over a disk whose flush fails while what was written stays readable, and that then loses
//! power.

use std::io::ErrorKind;
use std::sync::Arc;

use grovekeeper::storage::{LogPosition, RaftLog, Vote};

use super::fake_disk::{FakeDisk, Survivors};
use super::log_model::{Model, Step, entry, models, open, options, run, run_and_commit, script};

/// What a failed flush may have written, and what the system may have forgotten of the rest.
const PARTS: [(Survivors, Survivors); 5] = [
    (Survivors::None, Survivors::None),
    (Survivors::Odd, Survivors::None),
    (Survivors::FirstHalf, Survivors::None),
    (Survivors::SecondHalf, Survivors::Even),
    (Survivors::None, Survivors::All),
];

/// What is left of the disk when the power goes.
const LOSSES: [Survivors; 3] = [Survivors::None, Survivors::All, Survivors::Random(3)];

/// A log that a process has found, and all that it holds: the process relies on it.
struct Found {
    disk: FakeDisk,
    log: RaftLog,
    held: Model,
    what: String,
}

impl Found {
    fn open(disk: FakeDisk, what: String) -> Self {
        let log = RaftLog::open(Arc::new(disk.clone()), &options());
        let log = log.unwrap_or_else(|error| panic!("{what}: {error}"));
        let held = Model::of(&log);
        Self { disk, log, held, what }
    }

    /// Appends an entry, which is reported done.
    fn append(&mut self, len: usize) {
        let next = self.log.state().last.map_or(0, |last| last.index + 1);
        let step = Step::Append(vec![entry(9, next, len)]);
        run(&self.log, &step).unwrap_or_else(|error| panic!("{}: {error}", self.what));
        self.held.apply(&step);
    }

    /// Everything is there after a loss of power, whatever survives of what was not flushed.
    fn check(&self) {
        for loss in LOSSES {
            let after = self.disk.after_power_loss(loss);
            let what = format!("{}, then the power goes: {loss:?}", self.what);
            let log = RaftLog::open(Arc::new(after), &options());
            let log = log.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(Model::of(&log), self.held, "{what}");
        }
    }
}

/// The states in which a log may be found that had reported so many steps done.
fn possible(steps: &[Step], acknowledged: usize) -> impl Fn(&Model) -> bool {
    let base = models(steps).swap_remove(acknowledged);
    let next = steps.get(acknowledged).cloned();
    move |found| base.allows(found, next.as_ref())
}

/// Runs the steps until one fails. From then on nothing may be reported done.
fn run_until_failure(disk: &FakeDisk, in_place: bool, steps: &[Step]) -> usize {
    let Ok(log) = open(disk, in_place) else { return 0 };
    let done = steps.iter().take_while(|step| run_and_commit(&log, step).is_ok()).count();
    if done < steps.len() {
        let last = log.state().last.map_or(0, |last| last.index);
        let vote = Step::Vote(Vote { term: 9, server: 1, committed: false });
        let purge = Step::Purge(LogPosition { term: 9, index: last });
        let append = Step::Append(vec![entry(9, last + 1, 10)]);
        for step in [append, vote, Step::Truncate { from: last }, purge] {
            assert!(run(&log, &step).is_err(), "{step:?} was reported done after a failure");
        }
    }
    done
}

/// Runs the script with each flush failing in turn; hands over what the next process finds.
fn with_each_flush_failing(
    in_place: bool,
    parts: &[(Survivors, Survivors)],
    mut check: impl FnMut(FakeDisk, usize, &str),
) {
    let steps = script();
    for flush in 1.. {
        for (written, forgotten) in parts.iter().copied() {
            let disk = FakeDisk::default();
            disk.fail_flush(flush, written);
            let done = run_until_failure(&disk, in_place, &steps);
            if !disk.flush_failed() {
                assert!(flush > 40, "the script made only {flush} flushes");
                return;
            }
            let what = format!("flush {flush} fails but for {written:?}, after {done} steps");
            check(disk.after_process_death(forgotten), done, &what);
        }
    }
}

/// Whichever flush fails, nothing is reported done afterwards; and what the next process finds it can rely
/// on, votes included: a loss of power takes nothing of it, though no flush seems to be needed.
#[test]
fn what_is_found_after_a_failed_flush_is_on_disk() {
    for in_place in [false, true] {
        with_each_flush_failing(in_place, &PARTS, |disk, done, what| {
            let mut found = Found::open(disk, what.to_owned());
            assert!(possible(&script(), done)(&found.held), "{what}: found {:?}", found.held);
            found.check();
            found.append(100);
            found.check();
        });
    }
}

/// A flush that fails for want of space is done again by the same process: what it was to write is handed to the
/// system once more, for it may have dropped it. Where that is not possible, it fails as any other.
#[test]
fn a_flush_that_lacked_space_is_made_good() {
    let steps = script();
    let mut made_good = 0;
    for flush in 1.. {
        let disk = FakeDisk::default();
        disk.fail_flush_with(flush, Survivors::Even, ErrorKind::StorageFull);
        let done = run_until_failure(&disk, false, &steps);
        if !disk.flush_failed() {
            break;
        }
        made_good += usize::from(done == steps.len());
        let what = format!("flush {flush} lacks space, {done} steps");
        // Nothing was cached for a next process that a loss of power takes.
        let now = Found::open(disk.after_power_loss(Survivors::None), what.clone());
        assert!(possible(&steps, done)(&now.held), "{what}: found {:?}", now.held);
    }
    assert!(made_good > 20, "only {made_good} were made good");
}

/// What is found is on disk also when the next process meets a failed flush as well, and only the one after it goes
/// to work.
#[test]
fn what_is_found_after_two_failed_flushes_is_on_disk() {
    with_each_flush_failing(false, &PARTS[1..2], |disk, done, what| {
        for flush in 1..=3 {
            let again = disk.after_process_death(Survivors::None);
            again.fail_flush(flush, Survivors::Even);
            let mut acknowledged = None;
            if let Ok(log) = RaftLog::open(Arc::new(again.clone()), &options()) {
                let mut held = Model::of(&log);
                let next = log.state().last.map_or(0, |last| last.index + 1);
                let step = Step::Append(vec![entry(8, next, 700)]);
                if run(&log, &step).is_ok() {
                    held.apply(&step);
                }
                acknowledged = Some((held, step));
            }
            let what = format!("{what}, then flush {flush} again");
            let mut found = Found::open(again.after_process_death(Survivors::None), what.clone());
            let fits = match &acknowledged {
                None => possible(&script(), done)(&found.held),
                Some((held, step)) => held.allows(&found.held, Some(step)),
            };
            assert!(fits, "{what}: found {:?}", found.held);
            found.append(700);
            found.check();
        }
    });
}

/// A process that was killed leaves names and bytes behind that are not on the disk yet: the next one does not
/// build on them before they are.
#[test]
fn what_a_killed_process_left_is_on_disk_before_it_is_built_upon() {
    let steps = script();
    for change in 1.. {
        let disk = FakeDisk::failing_at(change);
        let mut done = 0;
        if let Ok(log) = open(&disk, false) {
            done = steps.iter().take_while(|step| run_and_commit(&log, step).is_ok()).count();
        }
        if !disk.has_failed() {
            assert!(change > 60, "the script made only {change} changes");
            return;
        }
        // The next one may be killed as well, while it looks.
        for again in [u64::MAX, 1, 2, 3, 4, 5] {
            let next = disk.after_process_death(Survivors::None);
            next.fail_after(again);
            if again != u64::MAX && RaftLog::open(Arc::new(next.clone()), &options()).is_ok() {
                break;
            }
            let what = format!("killed at change {change}, after {done} steps, then at {again}");
            let mut found = Found::open(next.after_process_death(Survivors::None), what.clone());
            assert!(possible(&steps, done)(&found.held), "{what}: found {:?}", found.held);
            found.check();
            found.append(100);
            found.check();
        }
    }
}

/// What a loss of power tore is gone for good once it was cut, also when the flush of the cut fails: nothing of
/// it comes back behind what is written in its place later.
#[test]
fn what_was_cut_does_not_come_back() {
    // Frames that begin where sectors do and are as long: each survives on its own, and what is written in
    // its place touches no other.
    const OF_A_SECTOR: usize = 512 - 32 - 26;
    let torn = (1..5).map(|index| entry(1, index, OF_A_SECTOR)).collect();
    let steps = [
        Step::Vote(Vote { term: 1, server: 1, committed: true }),
        Step::Append(vec![entry(1, 0, 512 - 64 - 56 - 32 - 26)]),
        Step::Append(torn),
    ];
    let mut cuts = 0;
    for change in 1.. {
        let disk = FakeDisk::failing_at(change);
        let log = RaftLog::open(Arc::new(disk.clone()), &options());
        let done = |log: RaftLog| steps.iter().take_while(|step| run(&log, step).is_ok()).count();
        let done = log.map_or(0, done);
        if !disk.has_failed() {
            break;
        }
        for flush in 1..=3 {
            let torn = disk.after_power_loss(Survivors::AllBut(1));
            torn.fail_flush(flush, Survivors::None);
            cuts += usize::from(RaftLog::open(Arc::new(torn.clone()), &options()).is_err());
            let what = format!("change {change}, {done} steps, flush {flush} of the cut fails");
            let mut found = Found::open(torn.after_process_death(Survivors::None), what.clone());
            assert!(possible(&steps, done)(&found.held), "{what}: found {:?}", found.held);
            found.append(OF_A_SECTOR);
            found.check();
        }
    }
    assert!(cuts > 5, "only {cuts} cuts failed");
}
