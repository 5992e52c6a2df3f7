//! A whole run: round after round, on one ensemble after the other.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::scenes;
use super::situation::{Situation, Situations};
use super::stage::{SLOW_DISK, Stage};
use crate::eventually::{Stopwatch, attempt, pause_for};
use crate::torture::dice::Dice;
use crate::torture::figures::{Figures, Tally};
use crate::torture::plan::Faults;
use crate::torture::verify::{self, Checked};
use crate::torture::workload;
use crate::torture::world::World;
use crate::{Ensemble, EnsembleOptions, Failpoint, Kind, Mode, RawClient, tree, within};
use history::sequence::Create;
use history::{Anomaly, Promise};

/// The tick of the servers.
const TICK: Duration = Duration::from_millis(500);

/// How long the servers may take to serve and to vote again when all faults are gone.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(60);

/// How long a new ensemble may take.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How long the clients go on when all servers serve again.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// What the first server holds before the others come, one entry each.
const WRITES_ALONE: usize = 60;

/// Every so manieth ensemble has five servers, the others have three.
const FIVE_EVERY: u64 = 3;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides which servers are struck, and when.
    pub seed: u64,
    /// How many rounds; more are added, half as many at most, while a situation was reached too seldom.
    pub rounds: u64,
    /// In how many rounds each situation has to be reached.
    pub minimum: u64,
    /// Where data, logs and histories go; it must not exist yet.
    pub folder: PathBuf,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Verdict {
    /// What was counted.
    pub figures: Figures,
    /// How often what was done to the servers.
    pub done: BTreeMap<&'static str, u64>,
    /// How often each situation was reached.
    pub situations: Situations,
    /// The situations that were reached in too few rounds.
    pub missing: Vec<Situation>,
    /// Each promise that was broken, with the round.
    pub anomalies: Vec<(u64, Anomaly)>,
}

impl fmt::Display for Verdict {
    /// The tables of a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        writeln!(f, "{}\n", self.situations)?;
        for (what, times) in &self.done {
            writeln!(f, "{what:<21}{times:>9}")?;
        }
        writeln!(f, "requests done        {:>9}", figures.done)?;
        writeln!(f, "requests refused     {:>9}", figures.refused)?;
        writeln!(f, "requests unanswered  {:>9}", figures.unanswered)?;
        writeln!(f, "sessions resumed     {:>9}", figures.resumed)?;
        writeln!(f, "sessions expired     {:>9}", figures.expired)?;
        writeln!(f, "longest pause        {:>9.1?}", figures.longest_pause)?;
        writeln!(f, "longest recovery     {:>9.1?}", figures.longest_recovery)?;
        writeln!(f, "histories undecided  {:>9}", figures.undecided)?;
        write!(f, "anomalies            {:>9}", figures.anomalous())?;
        for (promise, count) in &figures.anomalies {
            write!(f, "\n  {promise:<27} {count:>4}")?;
        }
        Ok(())
    }
}

impl Verdict {
    /// Whether every promise was kept, and every situation reached often enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.anomalies.is_empty() && self.missing.is_empty()
    }
}

/// Runs, and says after each round how things stand.
///
/// # Panics
///
/// When the folder cannot be made or the servers do not start at all.
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Verdict {
    std::fs::create_dir_all(&options.folder).expect("the folder of the run");
    let verdict = Verdict {
        figures: Figures::default(),
        done: BTreeMap::new(),
        situations: Situations::default(),
        missing: Vec::new(),
        anomalies: Vec::new(),
    };
    let clock = Stopwatch::start();
    let (tally, era) = (Arc::new(Tally::default()), None);
    let mut run = Run { options, clock, tally, era, eras: 0, verdict };
    for number in 0..options.rounds + options.rounds / 2 {
        let next = if number < options.rounds {
            let all = Situation::ALL;
            all[usize::try_from(number).unwrap_or(0) % all.len()]
        } else {
            let missing = run.verdict.situations.below(options.minimum);
            let Some(next) = missing.first() else { break };
            *next
        };
        if !run.round(number + 1, next, &mut say) {
            break;
        }
    }
    run.end_era();
    run.verdict.missing = run.verdict.situations.below(options.minimum);
    run.verdict.figures.take_over(&run.tally);
    run.verdict
}

/// An ensemble, and what was acknowledged by it.
struct Era {
    ensemble: Ensemble,
    /// The creates of all rounds, by the round and the parent.
    creates: BTreeMap<u64, BTreeMap<String, Vec<Create>>>,
    last: Option<World>,
}

struct Run<'a> {
    options: &'a Options,
    clock: Stopwatch,
    tally: Arc<Tally>,
    era: Option<Era>,
    eras: u64,
    verdict: Verdict,
}

impl Run<'_> {
    /// Plays and checks a round; whether another one makes sense.
    fn round(&mut self, number: u64, situation: Situation, say: &mut impl FnMut(&str)) -> bool {
        if situation == Situation::GrownFromOne || self.era.is_none() {
            self.end_era();
            self.begin_era();
        }
        let Some(mut era) = self.era.take() else { return false };
        let world = Arc::new(self.world(&era.ensemble, format!("/disks-{number}")));
        if !workload::prepare(&world) {
            self.found(number, Anomaly::new(Promise::Recovery, "no round could be begun"));
            return false;
        }
        let dice = Dice::new(self.options.seed).fork(number);
        let played = play(&mut era.ensemble, &world, &dice, situation);
        let Played { history, reached, recovery, .. } = played;
        self.verdict.situations.count(situation, reached);
        self.count(recovery);
        for (what, times) in played.counts {
            *self.verdict.done.entry(what).or_default() += times;
        }
        era.creates.insert(number, history.creates.clone());
        let checked = check(&world, history, &played.acknowledged);
        self.verdict.figures.undecided += checked.undecided;
        if !(reached && checked.anomalies.is_empty()) {
            self.save(number, &played.notes, &checked, say);
        }
        let anomalies = checked.anomalies.len();
        for anomaly in checked.anomalies {
            say(&format!("round {number}: {anomaly}"));
            self.found(number, anomaly);
        }
        say(&format!(
            "[{:>4}] round {number}: {situation}{}; {} servers, recovery {:.1?}, {anomalies} anomalies",
            self.clock.elapsed().as_secs(),
            if reached { "" } else { ": NOT REACHED" },
            era.ensemble.servers().len(),
            recovery.unwrap_or(RECOVERY_PATIENCE),
        ));
        era.last = Arc::into_inner(world);
        self.era = Some(era);
        recovery.is_some()
    }

    fn count(&mut self, recovery: Option<Duration>) {
        let figures = &mut self.verdict.figures;
        figures.rounds += 1;
        figures.longest_recovery = figures.longest_recovery.max(recovery.unwrap_or_default());
        for pause in self.tally.take_pauses() {
            figures.longest_pause = figures.longest_pause.max(pause.to - pause.from);
        }
    }

    fn world(&self, ensemble: &Ensemble, root: String) -> World {
        World::new(ensemble.addrs(), self.clock, TICK, root, Arc::clone(&self.tally))
    }

    fn found(&mut self, round: u64, anomaly: Anomaly) {
        *self.verdict.figures.anomalies.entry(anomaly.promise).or_default() += 1;
        self.verdict.anomalies.push((round, anomaly));
    }

    /// Begins an ensemble: its first server is one of its own for a while, then the others come.
    fn begin_era(&mut self) {
        self.eras += 1;
        let servers = if self.eras.is_multiple_of(FIVE_EVERY) { 5 } else { 3 };
        let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, servers)
            .set("snapCount", "300")
            .set("maxClientCnxns", "0")
            .proxied()
            .folder(&self.options.folder.join(format!("ensemble-{}", self.eras)))
            .failpoint(Failpoint::SlowDisk, SLOW_DISK)
            .prepare();
        ensemble.list(0, &[0], &[]);
        ensemble.start(0);
        let mut alone = within(START_PATIENCE, "the first server serves", || {
            RawClient::connect_for(ensemble.addr(0), Duration::from_secs(10)).ok()
        });
        alone.create("/alone", b"", 0).expect("created");
        for number in 0..WRITES_ALONE {
            alone.create(&format!("/alone/{number}"), b"", 0).expect("created");
        }
        drop(alone);
        ensemble.stop(0);
        let all: Vec<usize> = ensemble.servers().collect();
        ensemble.list(0, &all, &[]);
        let mut dice = Dice::new(self.options.seed).fork(self.eras << 32);
        let mut left = all;
        while !left.is_empty() {
            ensemble.start(left.remove(dice.index(left.len())));
        }
        ensemble.wait_until_all_serve();
        self.era = Some(Era { ensemble, creates: BTreeMap::new(), last: None });
    }

    /// What the rounds of an ensemble created is still there, and the sessions of its clients go.
    fn end_era(&mut self) {
        let Some(era) = self.era.take() else { return };
        let before = self.verdict.anomalies.len();
        for (round, creates) in &era.creates {
            let Some(root) = creates.keys().next().and_then(|parent| parent.rsplit_once('/'))
            else {
                continue;
            };
            let addr = era.ensemble.addr(0);
            match tree::read(addr, root.0, "") {
                Ok(tree) => verify::durable(creates, &tree)
                    .into_iter()
                    .for_each(|anomaly| self.found(*round, anomaly)),
                Err(error) => {
                    let detail = format!("{addr} cannot be read at the end: {error:?}");
                    self.found(*round, Anomaly::new(Promise::Recovery, detail));
                }
            }
        }
        if let (Some(world), Some(round)) = (&era.last, era.creates.keys().next_back())
            && let Some(anomaly) = verify::locks_go(world)
        {
            self.found(*round, anomaly);
        }
        let is_clean = self.verdict.anomalies.len() == before
            && !era.creates.keys().any(|round| self.file(*round).exists());
        let root = era.ensemble.root().to_owned();
        drop(era);
        if is_clean {
            // What cannot be removed is only in the way.
            let _ = std::fs::remove_dir_all(root);
        }
    }

    fn file(&self, round: u64) -> PathBuf {
        self.options.folder.join(format!("round-{round}.txt"))
    }

    fn save(&self, round: u64, notes: &str, checked: &Checked, say: &mut impl FnMut(&str)) {
        let mut text = format!("# what was done, in seconds of the run\n{notes}\n# anomalies\n");
        for anomaly in &checked.anomalies {
            let _ = writeln!(text, "{anomaly}");
        }
        for history in &checked.histories {
            let _ = write!(text, "\n# a register's history\n{history}");
        }
        if let Err(error) = std::fs::write(self.file(round), text) {
            say(&format!("what was done in round {round} cannot be written down: {error}"));
        }
    }
}

/// What a round brought.
struct Played {
    history: workload::RoundHistory,
    /// Whether its situation was.
    reached: bool,
    /// From the end of the last fault until all served and voted; `None` when they did not.
    recovery: Option<Duration>,
    notes: String,
    acknowledged: Vec<String>,
    /// How often what was done to the servers.
    counts: BTreeMap<&'static str, u64>,
}

/// Plays a situation while clients work, and heals.
fn play(ensemble: &mut Ensemble, world: &Arc<World>, dice: &Dice, situation: Situation) -> Played {
    let mut stage = Stage::new(ensemble, world, dice.fork(1));
    stage.note(&situation.to_string());
    let meanwhile = || {
        let reached = scenes::play(&mut stage, situation);
        stage.finish();
        let healed = world.now();
        let recovered = attempt(RECOVERY_PATIENCE, || stage.all_vote().then_some(()));
        let recovery = recovered.map(|()| world.now().saturating_sub(healed));
        let writes = recovered.and_then(|()| stage.writes_go_on());
        pause_for(AFTERWARDS);
        (reached, recovery, writes)
    };
    let (mut history, (reached, recovery, writes)) =
        workload::run(world, dice, Faults::All, meanwhile);
    history.anomalies.append(&mut stage.anomalies);
    let (notes, acknowledged, counts) = (stage.notes, stage.acknowledged, stage.counts);
    if recovery.is_none() {
        let modes: Vec<Option<Mode>> =
            ensemble.servers().map(|server| ensemble.mode(server)).collect();
        let detail = format!("{RECOVERY_PATIENCE:?} after all faults the servers are {modes:?}");
        history.anomalies.push(Anomaly::new(Promise::Recovery, detail));
    } else if writes.is_none() {
        let detail = "all servers vote, and no writes are acknowledged";
        history.anomalies.push(Anomaly::new(Promise::Recovery, detail));
    }
    Played { history, reached, recovery, notes, acknowledged, counts }
}

/// Checks the histories of a round, and that all servers hold what was acknowledged to the scene.
fn check(world: &World, history: workload::RoundHistory, acknowledged: &[String]) -> Checked {
    let tree = match verify::agreed(world) {
        Ok(tree) => tree,
        Err(anomaly) => {
            let mut anomalies = history.anomalies;
            anomalies.push(anomaly);
            return Checked { anomalies, ..Checked::default() };
        }
    };
    let mut checked = verify::check(world, history, &tree);
    for path in acknowledged.iter().filter(|path| !tree.contains_key(*path)) {
        let detail = format!("{path} was acknowledged and is gone");
        checked.anomalies.push(Anomaly::new(Promise::Durable, detail));
    }
    checked
}
