//! A whole run: round after round, until its time is over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::dice::Dice;
use super::figures::{Figures, Tally};
use super::injector::{CLOCK, Disk, ROOM, SLOW_DISK};
use super::members::Members;
use super::plan::Faults;
use super::sections::SectionCounts;
use super::world::World;
use super::{plan, report, round, verify, workload};
use crate::eventually::Stopwatch;
use crate::small_disk::megabytes;
use crate::{Ensemble, EnsembleOptions, Failpoint, Kind, SmallDisk, tree};
use history::sequence::Create;
use history::{Anomaly, Promise};

/// The tick of the servers.
const TICK: Duration = Duration::from_millis(500);

/// The anomalies of a round that are said at once; `round-N.txt` holds all.
const ANOMALIES_SAID: usize = 10;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which servers.
    pub kind: Kind,
    /// How many.
    pub servers: usize,
    /// Decides the faults.
    pub seed: u64,
    /// Which faults strike.
    pub faults: Faults,
    /// How often sections must be repeated, early, and of ended processes, each: a run that does not
    /// bring that about shows nothing.
    pub sections_min: u64,
    /// Rounds are begun until so much time has passed.
    pub length: Duration,
    /// At most so many.
    pub rounds: u64,
    /// The number of the first round, to repeat one of an earlier run: the plan of a round follows
    /// from the seed and its number.
    pub first: u64,
    /// How long faults strike in each round.
    pub round: Duration,
    /// Where data, logs and histories go; it must not exist yet.
    pub folder: PathBuf,
    /// Write down the faults of every round, not only of one that goes wrong.
    pub keep: bool,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Verdict {
    /// What was counted.
    pub figures: Figures,
    /// Each promise that was broken, with the round.
    pub anomalies: Vec<(u64, Anomaly)>,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.anomalies.is_empty()
    }
}

/// Runs, and says after each round how things stand.
///
/// # Panics
///
/// When the folder cannot be made or the servers do not start at all.
#[expect(clippy::disallowed_methods, reason = "the report names the time of day, as the logs do")]
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Verdict {
    std::fs::create_dir_all(&options.folder).expect("the folder of the run");
    let (ensemble, disk) = start(options);
    if disk.is_none() {
        say("no disk is filled: that takes the right to mount one, and Grovekeeper");
    }
    let members = (options.kind == Kind::Grovekeeper).then(|| Members::of(&ensemble));
    let late = options.kind == Kind::Grovekeeper && options.faults == Faults::Late;
    let mut run = Run {
        options,
        sections: late.then(|| SectionCounts::of(ensemble.addrs())),
        ensemble,
        disk,
        members,
        clock: Stopwatch::start(),
        began: SystemTime::now(),
        tally: Arc::new(Tally::default()),
        creates: BTreeMap::new(),
        verdict: Verdict { figures: Figures::default(), anomalies: Vec::new() },
    };
    let mut number = options.first;
    let end = options.first.saturating_add(options.rounds);
    while run.clock.elapsed() < options.length && number < end {
        let goes_on = run.round(number, &mut say);
        number += 1;
        if !goes_on {
            run.keep_disk();
            return run.verdict;
        }
    }
    run.look_back();
    run.check_sections(number.saturating_sub(1), &mut say);
    if !run.verdict.kept() {
        run.keep_disk();
    }
    run.verdict
}

/// Starts the servers; where that is possible, one of them with a disk that can be filled.
fn start(options: &Options) -> (Ensemble, Option<Disk>) {
    let mut settings = EnsembleOptions::new(options.kind, options.servers)
        .set("snapCount", "300")
        .set("maxClientCnxns", "0")
        .proxied()
        .folder(&options.folder);
    if options.kind == Kind::Grovekeeper {
        settings = settings
            .set("reconfigEnabled", "true")
            .set("skipACL", "yes")
            .failpoint(Failpoint::SlowDisk, SLOW_DISK)
            .failpoint(Failpoint::Clock, CLOCK);
    }
    if options.kind == Kind::Grovekeeper && options.faults == Faults::Late {
        // No earlier answer stands for a late one: a leader whose answers are late refuses writes for moments.
        settings = settings.set("raft.heartbeatMs", "110").set("raft.electionTimeoutMinMs", "150");
    }
    let mut ensemble = settings.prepare();
    let of = Dice::new(options.seed).index(options.servers);
    let fits = options.kind == Kind::Grovekeeper;
    let mounted =
        fits.then(|| SmallDisk::mount(&ensemble.folder(of).join("data"), &format!("{ROOM}m")));
    let disk = mounted.flatten().map(|disk| Disk { of, disk, is_full: false });
    if disk.is_some() {
        let all: Vec<usize> = ensemble.servers().collect();
        ensemble.list(of, &all, &[]);
    }
    for server in ensemble.servers() {
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    (ensemble, disk)
}

struct Run<'a> {
    options: &'a Options,
    ensemble: Ensemble,
    disk: Option<Disk>,
    /// Where servers can be told to leave and join.
    members: Option<Members>,
    /// Where sections are counted.
    sections: Option<SectionCounts>,
    clock: Stopwatch,
    /// When the clock was started, for who compares with the servers' logs.
    began: SystemTime,
    tally: Arc<Tally>,
    /// The creates of all rounds, by the round and the parent.
    creates: BTreeMap<u64, BTreeMap<String, Vec<Create>>>,
    verdict: Verdict,
}

impl Run<'_> {
    /// Plays and checks a round; whether another one makes sense.
    fn round(&mut self, number: u64, say: &mut impl FnMut(&str)) -> bool {
        let world = Arc::new(self.world(format!("/torture-{number}")));
        if !workload::prepare(&world) {
            self.found(number, Anomaly::new(Promise::Recovery, "no round could be begun"));
            return false;
        }
        let mut dice = Dice::new(self.options.seed).fork(number);
        let draw = match self.options.faults {
            Faults::All => plan::draw,
            Faults::Delays => plan::draw_delays,
            Faults::Late => plan::draw_late,
        };
        let plan = draw(&mut dice, self.options.servers, self.options.round);
        if let Some(disk) = &self.disk {
            // The file of the state grows to twice its size at once.
            disk.disk.make_room(ROOM + megabytes(disk.disk.path()));
        }
        let beside = (self.disk.as_mut(), self.members.as_ref());
        let mut played =
            round::play(&mut self.ensemble, beside, &world, &dice, (self.options.faults, &plan));
        let pauses = self.tally.take_pauses();
        played.count(&pauses, &mut self.verdict.figures);
        for pause in played.long_pauses(&pauses) {
            say(&format!("round {number}: {pause}"));
        }
        self.creates.insert(number, played.history.creates.clone());
        let history = std::mem::take(&mut played.history);
        let mut checked = match verify::agreed(&world) {
            Ok(tree) => verify::check(&world, history, &tree),
            Err(anomaly) => {
                let mut anomalies = history.anomalies;
                anomalies.push(anomaly);
                verify::Checked { anomalies, ..verify::Checked::default() }
            }
        };
        checked.anomalies.extend(verify::locks_go(&world));
        self.verdict.figures.undecided += checked.undecided;
        if (self.options.keep || !checked.anomalies.is_empty())
            && let Err(error) =
                report::save(&self.options.folder, (number, self.began), &played, &checked)
        {
            say(&format!("the history of round {number} cannot be written: {error}"));
        }
        for (count, anomaly) in checked.anomalies.into_iter().enumerate() {
            if count < ANOMALIES_SAID {
                say(&format!("round {number}: {anomaly}"));
            }
            self.found(number, anomaly);
        }
        self.verdict.figures.take_over(&self.tally);
        self.verdict.figures.sections = self.sections.as_ref().map(SectionCounts::get);
        say(&self.progress(number));
        played.recovery.is_some()
    }

    /// Copies what is on the mounted disk to where it stays.
    fn keep_disk(&self) {
        if let Some(disk) = &self.disk {
            let to = self.ensemble.folder(disk.of).join("data-copied");
            let _ = Command::new("cp").arg("-a").arg(disk.disk.path()).arg(to).status();
        }
    }

    fn world(&self, root: String) -> World {
        World::new(self.ensemble.addrs(), self.clock, TICK, root, Arc::clone(&self.tally))
    }

    fn found(&mut self, round: u64, anomaly: Anomaly) {
        *self.verdict.figures.anomalies.entry(anomaly.promise).or_default() += 1;
        self.verdict.anomalies.push((round, anomaly));
    }

    /// What each round created is still there when the last one has ended.
    fn look_back(&mut self) {
        for (round, creates) in std::mem::take(&mut self.creates) {
            let Some(root) = creates.keys().next().and_then(|parent| parent.rsplit_once('/'))
            else {
                continue;
            };
            let addr = self.ensemble.addr(0);
            match tree::read(addr, root.0, "") {
                Ok(tree) => verify::durable(&creates, &tree)
                    .into_iter()
                    .for_each(|anomaly| self.found(round, anomaly)),
                Err(error) => {
                    let detail = format!("{addr} cannot be read at the end: {error:?}");
                    self.found(round, Anomaly::new(Promise::Recovery, detail));
                }
            }
        }
    }

    /// Whether what the run is about occurred often enough.
    fn check_sections(&mut self, round: u64, say: &mut impl FnMut(&str)) {
        let sections = self.verdict.figures.sections.unwrap_or_default();
        let least = self.options.sections_min;
        if least == 0 {
            return;
        }
        if sections.least() >= least {
            return say(&format!("sections: {sections}: at least {least} of each"));
        }
        let detail = format!("not reached the situation: {sections}, not {least} of each");
        say(&detail);
        self.found(round, Anomaly::new(Promise::Occurs, detail));
    }

    fn progress(&self, round: u64) -> String {
        let figures = &self.verdict.figures;
        format!(
            "[{:>5.0?}] round {round}: {} faults, {} requests done, {} unanswered, longest pause \
             {:.1?} ({:.1?} with a majority), {} anomalies{}",
            Duration::from_secs(self.clock.elapsed().as_secs()),
            figures.injected(),
            figures.done,
            figures.unanswered,
            figures.longest_pause,
            figures.longest_pause_well,
            figures.anomalous(),
            figures.sections.map_or(String::new(), |sections| format!("; sections: {sections}"))
        )
    }
}
