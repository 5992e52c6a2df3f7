//! The log over a disk that loses power at every change it is asked for.

use std::sync::Arc;

use grovekeeper::storage::{LogPosition, RaftLog, Vote};

use super::fake_disk::{FakeDisk, Survivors};
use super::log_model::{
    Model, Step, entry, models, open, options, run, run_and_commit, script, submit, wait,
};

/// Opens what a power loss left, checks it, and goes on with it.
fn check_after(disk: &FakeDisk, survivors: Survivors, acknowledged: usize, steps: &[Step]) {
    let models = models(steps);
    let after = disk.after_power_loss(survivors);
    let what = format!("{survivors:?} after {acknowledged} steps");
    let open = || RaftLog::open(Arc::new(after.clone()), &options());
    let log = open().unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = Model::of(&log);
    let base = &models[acknowledged];
    assert!(base.allows(&found, steps.get(acknowledged)), "{what}: found {found:?}");
    // What comes next must not be mixed up with remains of what was cut, least of all when it is
    // exactly as long as what it overwrites.
    let mut expected = found;
    let interrupted = match steps.get(acknowledged) {
        Some(Step::Append(entries)) => entries.first().map_or(0, |entry| entry.payload.len()),
        Some(Step::Vote(_) | Step::Truncate { .. } | Step::Purge(_)) | None => 0,
    };
    drop(log);
    for lens in [vec![interrupted], vec![0, 40, 600]] {
        let log = open().unwrap_or_else(|error| panic!("{what}, then reopened: {error}"));
        assert_eq!(Model::of(&log), expected, "{what}, then reopened");
        let next = log.state().last.map_or(0, |last| last.index + 1);
        for (index, len) in (next..).zip(lens) {
            let step = Step::Append(vec![entry(9, index, len)]);
            run(&log, &step).unwrap_or_else(|error| panic!("{what}: {error}"));
            expected.apply(&step);
        }
    }
    let log = open().unwrap_or_else(|error| panic!("{what}, then reopened: {error}"));
    assert_eq!(Model::of(&log), expected, "{what}, then reopened");
}

/// Wherever the power goes, everything reported done is there, and nothing is half there.
#[test]
fn a_power_loss_at_any_change_loses_nothing_that_was_reported_done() {
    for in_place in [false, true] {
        lose_power_at_any_change(in_place);
    }
}

fn lose_power_at_any_change(in_place: bool) {
    let steps = script();
    for change in 1.. {
        let disk = FakeDisk::failing_at(change);
        let mut acknowledged = 0;
        if let Ok(log) = open(&disk, in_place) {
            acknowledged =
                steps.iter().take_while(|step| run_and_commit(&log, step).is_ok()).count();
        }
        let failed = disk.has_failed();
        for survivors in Survivors::MANY {
            check_after(&disk, survivors, acknowledged, &steps);
        }
        if !failed {
            assert_eq!(acknowledged, steps.len());
            assert!(change > 60, "the script made only {change} changes");
            return;
        }
    }
}

/// Numbers that look random and are the same for each seed.
struct Dice(u64);

impl Dice {
    /// One of `0..sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }

    /// Steps that a consensus could ask for.
    fn script(&mut self) -> Vec<Step> {
        let (mut steps, mut term, mut next) = (Vec::new(), 1, 0);
        // Entries before this index are committed: they are never taken back.
        let mut committed = 0;
        for _ in 0..16 {
            steps.push(match self.roll(8) {
                0 => {
                    term += 1;
                    Step::Vote(Vote { term, server: self.roll(3), committed: self.roll(2) == 0 })
                }
                1 if committed < next => {
                    next = committed + self.roll(next - committed);
                    term += 1;
                    Step::Truncate { from: next }
                }
                2 if committed > 0 => {
                    // The term of a purged entry does not matter to the log.
                    Step::Purge(LogPosition { term: 0, index: self.roll(committed) })
                }
                _ => {
                    let lens: Vec<usize> =
                        (0..1 + self.roll(12)).map(|_| self.roll(900) as usize).collect();
                    let entries: Vec<_> =
                        (next..).zip(lens).map(|(index, len)| entry(term, index, len)).collect();
                    next += entries.len() as u64;
                    Step::Append(entries)
                }
            });
            committed += self.roll(next - committed + 1);
        }
        steps
    }

    fn survivors(&mut self) -> Survivors {
        match self.roll(4) {
            0 => Survivors::MANY[self.roll(Survivors::MANY.len() as u64) as usize],
            _ => Survivors::Random(self.roll(u64::from(u32::MAX))),
        }
    }
}

/// As above with scripts drawn by dice, several steps on their way at once, and a second power loss
/// while the log is opened again.
#[test]
fn power_losses_drawn_by_dice_lose_nothing() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let steps = dice.script();
        let models = models(&steps);
        let disk = FakeDisk::failing_at(1 + dice.roll(120));
        let (mut submitted, mut acknowledged) = (0, 0);
        if let Ok(log) = open(&disk, seed % 2 == 0) {
            while submitted < steps.len() && acknowledged == submitted {
                let burst = 1 + dice.roll(4) as usize;
                let burst = &steps[submitted..(submitted + burst).min(steps.len())];
                let waiting: Vec<_> = burst.iter().map(|step| submit(&log, step)).collect();
                submitted += burst.len();
                let done = |done: &Result<_, _>| done.as_ref().is_ok_and(|done| wait(done).is_ok());
                acknowledged += waiting.iter().take_while(|waiting| done(waiting)).count();
            }
        }
        let what = format!("seed {seed}: {acknowledged} of {submitted} reported done");
        let after = disk.after_power_loss(dice.survivors());
        let open = |disk: &FakeDisk| RaftLog::open(Arc::new(disk.clone()), &options());
        let again = after.after_power_loss(Survivors::All);
        let log = open(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = Model::of(&log);
        let possible = (acknowledged..=submitted)
            .any(|count| models[count].allows(&found, steps[..submitted].get(count)));
        assert!(possible, "{what}: found {found:?}");
        again.fail_after(1 + dice.roll(12));
        drop(open(&again));
        let after = again.after_power_loss(dice.survivors());
        let log = open(&after).unwrap_or_else(|error| panic!("{what}, then once more: {error}"));
        assert_eq!(Model::of(&log), found, "{what}, then once more");
    }
}
