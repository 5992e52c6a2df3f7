//! Doing to the servers what the plan says, and undoing it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::members::{Members, Part};
use super::plan::{Condition, Fault, Late, Paths, Planned, Target};
use super::world::World;
use crate::ensemble::Ensemble;
use crate::eventually::{attempt, pause_for};
use crate::small_disk::megabytes;
use crate::{Kind, SmallDisk, four_letter};
use proxy::{On, PathState};

/// How often the plan is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How long a server that was started is waited for, each time that it is asked: the faults around it
/// have to end in time.
const PATIENCE: Duration = Duration::from_millis(30);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long the members may take to be all voters again when nothing else is wrong.
const MEMBERS_PATIENCE: Duration = Duration::from_secs(60);

/// How often a piece of what is held back passes: often enough that nobody takes the connection for dead.
const TRICKLE: Duration = Duration::from_millis(1_500);

/// How long what a server sends again is under way.
const SLOW: Duration = Duration::from_millis(400);

/// What a round may write on the disk that can be filled, in megabytes.
pub(super) const ROOM: u64 = 256;

/// In a server's folder: how long each flush takes, in milliseconds.
pub(super) const SLOW_DISK: &str = "slow-disk";

/// In a server's folder: by how much its wall clock is wrong, in milliseconds.
pub(super) const CLOCK: &str = "clock-offset";

/// Directions between servers, each from one to another.
type Directions = Vec<(usize, usize)>;

/// What ends a fault.
#[derive(Debug, Clone)]
enum Undo {
    Start(Vec<usize>),
    Unpause(usize),
    Heal(On, Directions),
    Release(Directions),
    /// Ends all that is wrong there and on the way back.
    Straighten(Directions),
    Remove(PathBuf),
    Relieve,
    Vote(usize),
    Nothing,
}

/// A fault that was injected.
#[derive(Debug, Clone)]
pub(super) struct Injected {
    pub(super) fault: Fault,
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// What ends it, which says whom it struck.
    undo: Undo,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.as_secs_f64(), self.to.as_secs_f64());
        write!(f, "{from:.3}..{to:.3} {:?} until {:?}", self.fault, self.undo)
    }
}

/// What a server that was killed has to do before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coming {
    /// It reads what it has, then it answers.
    Answers,
    /// It lost its disk, so it has no vote until it is brought up to date; then it serves.
    Serves,
}

/// The one disk that can be filled.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) of: usize,
    pub(super) disk: SmallDisk,
    pub(super) is_full: bool,
}

/// Injects the faults of one round.
#[derive(Debug)]
pub(super) struct Injector<'a> {
    ensemble: &'a mut Ensemble,
    world: &'a World,
    disk: Option<&'a mut Disk>,
    /// Where servers can be told to leave and join.
    members: Option<&'a Members>,
    /// Faults that have to end at a time, with their place in `injected`.
    active: Vec<(Duration, usize, Undo)>,
    /// What is done to connections whose bytes are held back since, and when.
    next: Vec<(Duration, Directions, Late)>,
    /// Servers that were killed, and what each has to do before it is well again.
    coming: BTreeMap<usize, Coming>,
    /// When they were last asked.
    asked: Duration,
    pub(super) injected: Vec<Injected>,
    /// Whether a majority of the servers ran and reached each other, from when on.
    pub(super) majority: Vec<(Duration, bool)>,
    /// Servers that ended by themselves, and how.
    pub(super) ended: Vec<String>,
    /// When the last fault had ended.
    pub(super) over: Duration,
}

impl<'a> Injector<'a> {
    pub(super) fn new(
        ensemble: &'a mut Ensemble,
        world: &'a World,
        disk: Option<&'a mut Disk>,
        members: Option<&'a Members>,
    ) -> Self {
        let (majority, injected, ended) = (vec![(world.now(), true)], Vec::new(), Vec::new());
        let (active, next, coming) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (asked, over) = (Duration::ZERO, Duration::ZERO);
        Self {
            ensemble,
            world,
            disk,
            members,
            active,
            next,
            coming,
            asked,
            injected,
            majority,
            ended,
            over,
        }
    }

    /// Plays the whole plan; at its end every fault is undone and every server started.
    pub(super) fn play(&mut self, plan: &[Planned]) {
        let start = self.world.now();
        for planned in plan {
            while self.world.now() < start + planned.at {
                self.go_on();
                self.look_at_majority();
                pause_for(GLANCE);
            }
            // To find the leader may have taken long, where servers do not answer.
            self.go_on();
            self.restart_ended();
            self.inject(planned);
        }
        while !self.active.is_empty() {
            self.go_on();
            pause_for(GLANCE);
        }
        self.ensemble.network().heal();
        self.restart_ended();
        self.over = self.world.now();
        if let Some(members) = self.members {
            let all_vote = attempt(MEMBERS_PATIENCE, || {
                self.look_at_majority();
                members.all_vote().then_some(())
            });
            if all_vote.is_none() {
                self.ended.push(format!("not all servers vote again: {members:?}"));
            }
        }
        self.look_at_majority();
    }

    /// Asks the servers that were started whether they are well again.
    fn look_at_coming(&mut self) {
        let now = self.world.now();
        if now.saturating_sub(self.asked) < ASK_EVERY {
            return;
        }
        self.asked = now;
        let ensemble = &*self.ensemble;
        self.coming.retain(|server, coming| {
            let runs = ensemble.started(*server) && !ensemble.paused(*server);
            let says = |word| four_letter::ask_within(ensemble.addr(*server), word, PATIENCE);
            let there = || match coming {
                Coming::Answers => says("ruok").is_some(),
                Coming::Serves => says("srvr").is_some_and(|answer| answer.contains("Mode: ")),
            };
            !(runs && there())
        });
    }

    /// Notes whether some majority runs and reaches each other.
    fn look_at_majority(&mut self) {
        self.look_at_coming();
        let servers = self.ensemble.servers().len();
        let ensemble = &*self.ensemble;
        let full = self.disk.as_ref().filter(|disk| disk.is_full).map(|disk| disk.of);
        let runs = |server: usize| {
            ensemble.started(server)
                && !ensemble.paused(server)
                && !self.coming.contains_key(&server)
                && full != Some(server)
        };
        let voters = match self.members {
            Some(members) => members.voters(),
            None => vec![(0..servers).collect()],
        };
        let well: Vec<usize> = (0..servers).filter(|server| runs(*server)).collect();
        let there = is_majority(&voters, &well, |from, to| ensemble.network().well(from, to));
        if self.majority.last().is_none_or(|(_, known)| *known != there) {
            self.majority.push((self.world.now(), there));
        }
    }

    fn inject(&mut self, planned: &Planned) {
        let Some(undo) = self.strike(planned.fault) else { return };
        let from = self.world.now();
        let to = from + planned.lasts;
        self.active.push((to, self.injected.len(), undo.clone()));
        self.injected.push(Injected { fault: planned.fault, from, to, undo });
        self.look_at_majority();
    }

    /// Does what is due.
    fn go_on(&mut self) {
        let now = self.world.now();
        let (due, next): (Vec<_>, Vec<_>) = self.next.drain(..).partition(|(at, _, _)| *at <= now);
        self.next = next;
        due.into_iter().for_each(|(_, paths, late)| self.make_late(&paths, late));
        self.undo_until(now);
    }

    /// Does to the senders what makes them send again, or something else, while their bytes are held back.
    fn make_late(&mut self, paths: &[(usize, usize)], late: Late) {
        match late {
            Late::Held | Late::Answers => {}
            Late::Parted(_) => {
                paths.iter().for_each(|(from, to)| self.ensemble.network().part(*from, *to));
            }
            Late::Outlived(_) => self.restart_sender(paths),
            Late::Again(_) => {
                for (from, to) in paths {
                    self.ensemble.network().hold(On::All, *from, *to, None);
                }
                self.restart_sender(paths);
            }
        }
    }

    fn restart_sender(&mut self, paths: &[(usize, usize)]) {
        let sender = paths.first().map(|(sender, _)| *sender);
        if let Some(sender) = sender.filter(|sender| self.ensemble.started(*sender)) {
            self.kill(sender);
            self.ensemble.start(sender);
        }
    }

    fn undo_until(&mut self, now: Duration) {
        let (due, active): (Vec<_>, Vec<_>) =
            self.active.drain(..).partition(|(end, _, _)| *end <= now);
        self.active = active;
        for (_, at, undo) in due {
            self.undo(undo);
            self.injected[at].to = self.world.now();
            self.look_at_majority();
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Start(servers) => {
                for server in servers {
                    if !self.ensemble.started(server) {
                        self.ensemble.start(server);
                    }
                }
            }
            Undo::Unpause(server) => self.ensemble.unpause(server),
            // It is gone already where the server's disk is lost.
            Undo::Remove(file) => drop(std::fs::remove_file(file)),
            Undo::Relieve => {
                if let Some(disk) = &mut self.disk {
                    disk.disk.relieve();
                    disk.is_full = false;
                }
            }
            Undo::Vote(server) => {
                if let Some(members) = self.members {
                    members.want(server, Part::Votes);
                }
            }
            Undo::Heal(on, pairs) => {
                for (from, to) in pairs {
                    self.ensemble.network().set_on(on, from, to, PathState::default());
                }
            }
            Undo::Release(paths) => {
                paths.iter().for_each(|(from, to)| self.ensemble.network().release(*from, *to));
            }
            Undo::Straighten(paths) => {
                for (from, to) in paths {
                    self.ensemble.network().set_both(from, to, PathState::default());
                    self.ensemble.network().release(from, to);
                    self.ensemble.network().release(to, from);
                }
            }
            Undo::Nothing => {}
        }
    }

    /// A server that ends by itself is an anomaly, and is started again.
    fn restart_ended(&mut self) {
        for (server, status) in self.ensemble.ended() {
            self.ended.push(format!("server {} ended by itself ({status})", server + 1));
            self.kill(server);
            self.ensemble.start(server);
        }
    }

    fn kill(&mut self, server: usize) {
        self.ensemble.kill(server);
        self.coming.entry(server).or_insert(Coming::Answers);
    }

    fn wipe(&mut self, server: usize) {
        self.ensemble.wipe(server);
        self.coming.insert(server, Coming::Serves);
        // What it is sent lies on its disk twice for a while: as it comes, and in its place.
        let others = self.ensemble.servers().filter(|other| *other != server);
        let sizes = others.map(|other| megabytes(self.ensemble.folder(other)));
        let state = sizes.max().unwrap_or(0);
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.of == server) {
            disk.disk.make_room(ROOM + 2 * state);
        }
    }

    /// Does it; `None` when it cannot be done as things are.
    fn strike(&mut self, fault: Fault) -> Option<Undo> {
        let servers: Vec<usize> = self.ensemble.servers().collect();
        match fault {
            Fault::Kill(target) => {
                let server = self.find(target)?;
                self.ensemble.started(server).then(|| self.kill(server))?;
                Some(Undo::Start(vec![server]))
            }
            Fault::KillAll => {
                servers.iter().for_each(|server| self.kill(*server));
                Some(Undo::Start(servers))
            }
            Fault::LoseDisk => {
                // Apache ZooKeeper lets an empty server vote, and may lose what was on its disk.
                let safe = self.ensemble.kind() == Kind::Grovekeeper;
                let settled = self.members.is_none_or(Members::all_vote);
                (safe && settled && self.active.is_empty()).then_some(())?;
                self.ensemble.all_serve().then_some(())?;
                let server = self.find(Target::Follower(0))?;
                self.wipe(server);
                Some(Undo::Start(vec![server]))
            }
            Fault::Pause(target) => {
                let server = self.find(target)?;
                let runs = self.ensemble.started(server) && !self.ensemble.paused(server);
                runs.then(|| self.ensemble.pause(server))?;
                Some(Undo::Unpause(server))
            }
            Fault::Reset(target) => {
                let server = self.find(target)?;
                servers.iter().for_each(|other| self.ensemble.network().reset(server, *other));
                Some(Undo::Nothing)
            }
            Fault::Network(paths, condition) => self.bend(On::All, paths, condition),
            Fault::Late(paths, late) => self.hold(paths, late),
            Fault::Calls(target) => self.bend(On::Own, Paths::To(target), Condition::Cut),
            Fault::Answers(target, of) => {
                let to = self.find(target)?;
                let from = (to + of) % servers.len();
                self.ensemble.network().set_on(On::Theirs, from, to, PathState::cut());
                Some(Undo::Heal(On::Theirs, vec![(from, to)]))
            }
            Fault::SlowDisk(..)
            | Fault::FullDisk
            | Fault::Clock(..)
            | Fault::Leave(_)
            | Fault::Observe(_) => self.strike_beside(fault),
        }
    }

    /// Does to disks, clocks and members what only Grovekeeper can be told.
    fn strike_beside(&mut self, fault: Fault) -> Option<Undo> {
        (self.ensemble.kind() == Kind::Grovekeeper).then_some(())?;
        match fault {
            Fault::SlowDisk(target, millis) => self.put(target, SLOW_DISK, millis.into()),
            Fault::Clock(target, minutes) => self.put(target, CLOCK, i64::from(minutes) * 60_000),
            Fault::FullDisk => {
                let coming = &self.coming;
                // A server whose disk was lost finds it empty, and takes no other for its own.
                let is_its_own = |of| coming.get(&of) != Some(&Coming::Serves);
                let is_free = |disk: &&mut &mut Disk| !disk.is_full && is_its_own(disk.of);
                let disk = self.disk.as_mut().filter(is_free)?;
                disk.disk.fill();
                disk.is_full = true;
                Some(Undo::Relieve)
            }
            Fault::Leave(target) => self.change(target, Part::Left),
            Fault::Observe(target) => self.change(target, Part::Observes),
            Fault::Kill(_)
            | Fault::KillAll
            | Fault::LoseDisk
            | Fault::Pause(_)
            | Fault::Reset(_)
            | Fault::Network(..)
            | Fault::Late(..)
            | Fault::Answers(..)
            | Fault::Calls(_) => None,
        }
    }

    /// Writes a number where a server looks for it.
    fn put(&self, target: Target, file: &str, number: i64) -> Option<Undo> {
        let file = self.ensemble.folder(self.find(target)?).join(file);
        std::fs::write(&file, number.to_string()).ok()?;
        Some(Undo::Remove(file))
    }

    /// Lets a server play another part, where all others vote.
    fn change(&self, target: Target, part: Part) -> Option<Undo> {
        let server = self.find(target)?;
        let members = self.members.filter(|members| members.all_vote())?;
        members.want(server, part);
        Some(Undo::Vote(server))
    }

    /// Sets the condition of some directions.
    fn bend(&mut self, on: On, paths: Paths, condition: Condition) -> Option<Undo> {
        let state = match condition {
            Condition::Cut => PathState::cut(),
            Condition::Delay(millis) => PathState::delayed(Duration::from_millis(millis.into())),
            Condition::Throttle(rate) => PathState::throttled(rate),
        };
        let struck = self.directions(paths)?;
        for (from, to) in &struck {
            self.ensemble.network().set_on(on, *from, *to, state);
        }
        Some(Undo::Heal(on, struck))
    }

    /// Holds back what is on its way on the connections of now.
    fn hold(&mut self, paths: Paths, late: Late) -> Option<Undo> {
        let struck = self.directions(paths)?;
        let network = self.ensemble.network();
        for (from, to) in struck.iter().copied() {
            match late {
                Late::Held | Late::Parted(_) | Late::Outlived(_) => {
                    network.hold(On::All, from, to, Some(TRICKLE));
                }
                Late::Answers => network.hold(On::Theirs, from, to, None),
                Late::Again(_) => {
                    network.hold(On::Theirs, to, from, None);
                    network.set(from, to, PathState::delayed(SLOW));
                }
            }
        }
        match late {
            Late::Parted(after) | Late::Outlived(after) | Late::Again(after) => {
                let at = self.world.now() + Duration::from_millis(after.into());
                self.next.push((at, struck.clone(), late));
            }
            Late::Held | Late::Answers => {}
        }
        Some(match late {
            Late::Again(_) => Undo::Straighten(struck),
            Late::Held | Late::Parted(_) | Late::Outlived(_) | Late::Answers => {
                Undo::Release(struck)
            }
        })
    }

    /// The directions that are meant.
    fn directions(&self, paths: Paths) -> Option<Directions> {
        let count = self.ensemble.servers().len();
        let every = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let every = every.filter(|(from, to)| from != to);
        Some(match paths {
            Paths::All => every.collect(),
            Paths::Around(target) => {
                let server = self.find(target)?;
                every.filter(|(from, to)| *from == server || *to == server).collect()
            }
            Paths::From(target) => {
                let server = self.find(target)?;
                every.filter(|(from, _)| *from == server).collect()
            }
            Paths::To(target) => {
                let server = self.find(target)?;
                every.filter(|(_, to)| *to == server).collect()
            }
            Paths::Between(group) => {
                every.filter(|(from, to)| (group >> from) & 1 != (group >> to) & 1).collect()
            }
            Paths::One(server) => vec![(server, (server + 1) % count)],
        })
    }

    /// The server that is meant. While nobody leads, the first that runs stands for the leader.
    fn find(&self, target: Target) -> Option<usize> {
        let runs =
            |server: &usize| self.ensemble.started(*server) && !self.ensemble.paused(*server);
        let leader = self
            .ensemble
            .leader()
            .or_else(|| self.ensemble.servers().find(|server| runs(server)))?;
        match target {
            Target::Leader => Some(leader),
            Target::Follower(number) => {
                let followers: Vec<usize> =
                    self.ensemble.servers().filter(|server| *server != leader).collect();
                followers.get(number % followers.len().max(1)).copied()
            }
        }
    }
}

/// Whether some of the servers that are well reach each other and are a majority of each group of
/// voters.
fn is_majority(
    voters: &[Vec<usize>],
    well: &[usize],
    reaches: impl Fn(usize, usize) -> bool,
) -> bool {
    (0_u32..1 << well.len()).any(|chosen| {
        let members = well.iter().enumerate().filter(|(at, _)| (chosen >> at) & 1 == 1);
        let members: Vec<usize> = members.map(|(_, server)| *server).collect();
        let reaches_all =
            |one: &usize| members.iter().all(|other| one == other || reaches(*one, *other));
        let outvotes = |of: &Vec<usize>| {
            of.iter().filter(|server| members.contains(server)).count() > of.len() / 2
        };
        voters.iter().all(outvotes) && members.iter().all(reaches_all)
    })
}

#[cfg(test)]
mod tests {
    use super::is_majority;

    #[test]
    fn a_majority_reaches_each_other_and_outvotes_every_group() {
        // Two of three are enough, not where they are cut from each other, and not where voters
        // that may be in force need the third.
        let three = vec![0, 1, 2];
        let all = |_, _| true;
        assert!(is_majority(std::slice::from_ref(&three), &[0, 2], all));
        assert!(!is_majority(std::slice::from_ref(&three), &[2], all));
        assert!(
            !is_majority(std::slice::from_ref(&three), &[0, 2], |from, to| (from, to) != (2, 0))
        );
        assert!(
            is_majority(std::slice::from_ref(&three), &[0, 1, 2], |from, to| (from, to) != (2, 0))
        );
        assert!(!is_majority(&[three, vec![1, 2]], &[0, 2], all));
    }
}
