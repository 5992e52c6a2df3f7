//! One round: clients at work, faults, healing, recovery.

use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;
use super::figures::{Figures, Pause};
use super::injector::{Disk, Injected, Injector};
use super::members::Members;
use super::plan::{Faults, Planned};
use super::workload::{self, ANSWER_PATIENCE, RoundHistory};
use super::world::World;
use crate::ensemble::Ensemble;
use crate::eventually::{attempt, pause_for};
use history::{Anomaly, Promise};

/// How long the servers may take to serve again when all faults are gone.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);

/// How long the clients go on when all servers serve again.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// A fault is alone when no other one is so near.
const NEAR: Duration = Duration::from_millis(1_500);

/// A pause with a majority that is worth a line.
const LONG: Duration = Duration::from_millis(1_200);

/// What a round brought.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) history: RoundHistory,
    injected: Vec<Injected>,
    /// Whether a majority was well, from when on.
    majority: Vec<(Duration, bool)>,
    /// From the end of the last fault until all servers served; `None` when they did not.
    pub(super) recovery: Option<Duration>,
    /// How long a client waited for an answer after the end of the last fault.
    longest_answer: Duration,
}

/// Plays one round.
pub(super) fn play(
    ensemble: &mut Ensemble,
    (disk, members): (Option<&mut Disk>, Option<&Members>),
    world: &Arc<World>,
    dice: &Dice,
    (faults, plan): (Faults, &[Planned]),
) -> Played {
    let meanwhile = || {
        let mut injector = Injector::new(ensemble, world, disk, members);
        injector.play(plan);
        let (injected, ended) = (injector.injected, injector.ended);
        let majority = injector.majority;
        world.healed(injector.over);
        let healed = world.now();
        let recovered = attempt(RECOVERY_PATIENCE, || ensemble.all_serve().then_some(()));
        let recovery = recovered.map(|()| world.now().saturating_sub(healed));
        pause_for(AFTERWARDS);
        (injected, majority, ended, recovery)
    };
    let (mut history, (injected, majority, ended, recovery)) =
        workload::run(world, dice, faults, meanwhile);
    let unexpected = ended.into_iter().map(|what| Anomaly::new(Promise::Recovery, what));
    history.anomalies.extend(unexpected);
    if recovery.is_none() {
        let modes: Vec<_> = ensemble.servers().map(|server| ensemble.mode(server)).collect();
        let detail = format!("{RECOVERY_PATIENCE:?} after all faults the servers are {modes:?}");
        history.anomalies.push(Anomaly::new(Promise::Recovery, detail));
    }
    let longest_answer = world.longest_answer();
    if longest_answer > ANSWER_PATIENCE {
        let detail = format!("an answer came {longest_answer:.1?} after all faults");
        history.anomalies.push(Anomaly::new(Promise::Answered, detail));
    }
    Played { history, injected, majority, recovery, longest_answer }
}

impl Played {
    /// Adds the round's faults and pauses to the figures.
    pub(super) fn count(&self, pauses: &[Pause], figures: &mut Figures) {
        figures.rounds += 1;
        for pause in pauses {
            figures.longest_pause = figures.longest_pause.max(pause.to - pause.from);
            figures.longest_pause_well = figures.longest_pause_well.max(self.well(pause));
        }
        figures.longest_recovery = figures.longest_recovery.max(self.recovery.unwrap_or_default());
        figures.longest_answer = figures.longest_answer.max(self.longest_answer);
        for (at, injected) in self.injected.iter().enumerate() {
            let struck = figures.faults.entry(injected.fault.kind()).or_default();
            struck.count += 1;
            let others = self.injected.iter().enumerate().filter(|(other, _)| *other != at);
            let alone = others.into_iter().all(|(_, other)| {
                other.to + NEAR < injected.from || injected.to + NEAR < other.from
            });
            if alone {
                let during = pauses
                    .iter()
                    .filter(|pause| pause.to >= injected.from && pause.from <= injected.to + NEAR);
                let longest = during.map(|pause| pause.to - pause.from).max();
                struck.pauses.push(longest.unwrap_or_default());
            }
        }
    }

    /// The pauses that were long although a majority was well, with the faults around each.
    pub(super) fn long_pauses(&self, pauses: &[Pause]) -> Vec<String> {
        let long = pauses.iter().filter(|pause| self.well(pause) > LONG);
        long.map(|pause| {
            let near = self
                .injected
                .iter()
                .filter(|injected| injected.to + NEAR >= pause.from && injected.from <= pause.to);
            let near: Vec<String> = near.map(Injected::to_string).collect();
            format!(
                "no write was acknowledged {:.3}..{:.3}, {:.1?} of it with a majority; {}",
                pause.from.as_secs_f64(),
                pause.to.as_secs_f64(),
                self.well(pause),
                near.join(", ")
            )
        })
        .collect()
    }

    /// The longest part of a pause during which a majority was well without a break.
    fn well(&self, pause: &Pause) -> Duration {
        let ends = self.majority.iter().skip(1).map(|(end, _)| *end).chain([Duration::MAX]);
        let times = self.majority.iter().zip(ends);
        let parts = times
            .filter(|((_, well), _)| *well)
            .map(|((from, _), to)| pause.to.min(to).saturating_sub(pause.from.max(*from)));
        parts.max().unwrap_or_default()
    }

    /// The faults, one a line.
    pub(super) fn faults(&self) -> String {
        self.injected.iter().map(|injected| format!("{injected}\n")).collect()
    }

    /// Whether a majority was well, from when on, one a line.
    pub(super) fn majorities(&self) -> String {
        let word = |well: bool| if well { "well" } else { "not well" };
        let lines = self.majority.iter();
        lines.map(|(from, well)| format!("{:.3} {}\n", from.as_secs_f64(), word(*well))).collect()
    }
}
