//! The servers of one round: what is done to them, and what is seen of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::ensemble::Ensemble;
use crate::eventually::{attempt, pause_for};
use crate::torture::dice::Dice;
use crate::torture::world::World;
use crate::{Mode, RawClient, four_letter};
use history::{Anomaly, Promise};
use proxy::PathState;

/// How long the servers may take to do what a scene waits for.
const SCENE_PATIENCE: Duration = Duration::from_secs(15);

/// How long a server may take until its log shows that it is being taken in.
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(5);

/// What was decided before a majority went may still be told; when nothing was for so long, all was.
const STILL_TOLD: Duration = Duration::from_millis(400);

/// How long that may take on a machine with much else to do.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// What a leader logs when it lets a server take part without a vote.
const LET_IN: &str = "takes part without a vote";

/// What it logs when it exchanges one life for another.
const EXCHANGED: &str = "the voters change from";

/// In a server's folder: how long each flush takes, in milliseconds.
pub(super) const SLOW_DISK: &str = "slow-disk";

/// How much a joining server is sent at most where that is held up, in bytes a second.
const TRICKLE: u32 = 20_000;

/// The servers of one round.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) ensemble: &'a mut Ensemble,
    pub(super) dice: Dice,
    world: &'a World,
    /// What was done and seen, in lines that begin with the time.
    pub(super) notes: String,
    pub(super) anomalies: Vec<Anomaly>,
    /// Znodes whose creation was acknowledged to the scene itself.
    pub(super) acknowledged: Vec<String>,
    /// How often what was done.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Servers whose disks are slow.
    slow: Vec<usize>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(ensemble: &'a mut Ensemble, world: &'a World, dice: Dice) -> Self {
        Self {
            ensemble,
            dice,
            world,
            notes: String::new(),
            anomalies: Vec::new(),
            acknowledged: Vec::new(),
            counts: BTreeMap::new(),
            slow: Vec::new(),
        }
    }

    /// Writes down what is done or seen.
    pub(super) fn note(&mut self, what: &str) {
        let _ = writeln!(self.notes, "{:.3} {what}", self.world.now().as_secs_f64());
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += u64::try_from(times).unwrap_or(0);
    }

    /// A minority of these servers is at most so large.
    pub(super) fn minority(&self) -> usize {
        (self.ensemble.servers().len() - 1) / 2
    }

    /// Some of `of`, drawn.
    pub(super) fn some(&mut self, of: &[usize], count: usize) -> Vec<usize> {
        let mut left = of.to_vec();
        (0..count.min(of.len())).map(|_| left.remove(self.dice.index(left.len()))).collect()
    }

    /// All servers but these.
    pub(super) fn others(&self, than: &[usize]) -> Vec<usize> {
        self.ensemble.servers().filter(|server| !than.contains(server)).collect()
    }

    /// How many disks to lose: a minority, at least one.
    pub(super) fn losses(&mut self) -> usize {
        1 + self.dice.index(self.minority())
    }

    /// The server that leads, waited for.
    pub(super) fn leader(&self) -> Option<usize> {
        attempt(SCENE_PATIENCE, || self.ensemble.leader())
    }

    /// One of these that leads, waited for.
    pub(super) fn leader_of(&self, servers: &[usize]) -> Option<usize> {
        let leads = |server: &usize| self.ensemble.mode(*server) == Some(Mode::Leader);
        attempt(SCENE_PATIENCE, || servers.iter().copied().find(leads))
    }

    /// The epoch of the last zxid of a server that serves.
    pub(super) fn epoch(&self, server: usize) -> Option<u64> {
        let patience = Duration::from_secs(2);
        let answer = four_letter::ask_within(self.ensemble.addr(server), "srvr", patience)?;
        let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
        Some(u64::from_str_radix(zxid.trim(), 16).ok()? >> 32)
    }

    /// Creates a znode at a server; it must be there for ever after. `None` where it was not acknowledged.
    pub(super) fn create(&mut self, server: usize, name: &str) -> Option<()> {
        let path = format!("{}/{name}", self.world.root);
        let addr = self.ensemble.addr(server);
        attempt(SCENE_PATIENCE, || {
            let mut client = RawClient::connect_for(addr, Duration::from_secs(3)).ok()?;
            client.create(&path, b"acknowledged", 0).ok()?;
            let _ = client.close();
            Some(())
        })?;
        self.note(&format!("{path} is acknowledged by server {}", server + 1));
        self.acknowledged.push(path);
        Some(())
    }

    pub(super) fn kill(&mut self, servers: &[usize]) {
        for server in servers {
            self.ensemble.kill(*server);
        }
        self.count("servers killed", servers.len());
        self.note(&format!("killed: {}", ids(servers)));
    }

    /// Kills servers and takes their disks.
    pub(super) fn lose(&mut self, servers: &[usize]) {
        for server in servers {
            self.ensemble.wipe(*server);
        }
        self.count("disks lost", servers.len());
        self.note(&format!("lost their disks: {}", ids(servers)));
    }

    pub(super) fn start(&mut self, servers: &[usize]) {
        for server in servers {
            if !self.ensemble.started(*server) {
                self.ensemble.start(*server);
            }
        }
        self.note(&format!("started: {}", ids(servers)));
    }

    pub(super) fn cut_off(&mut self, group: &[usize]) {
        self.ensemble.network().partition(group);
        self.count("partitions", 1);
        self.note(&format!("cut off: {}", ids(group)));
    }

    pub(super) fn heal(&mut self) {
        self.ensemble.network().heal();
        for server in std::mem::take(&mut self.slow) {
            // What is not there slows nothing.
            let _ = std::fs::remove_file(self.ensemble.folder(server).join(SLOW_DISK));
        }
        self.note("healed");
    }

    /// Lets a random time pass, in milliseconds.
    pub(super) fn pass(&mut self, millis: std::ops::Range<u64>) {
        pause_for(Duration::from_millis(self.dice.within(millis)));
    }

    /// Makes it take its time to bring these servers up to date.
    pub(super) fn hold_up(&mut self, servers: &[usize]) {
        for server in servers {
            if self.dice.one_in(3) {
                // A disk that cannot be made slow stays as it is.
                let _ = std::fs::write(self.ensemble.folder(*server).join(SLOW_DISK), "200");
                self.slow.push(*server);
            } else {
                self.ensemble.network().set_to(*server, PathState::throttled(TRICKLE));
            }
        }
        self.note(&format!("held up: {}", ids(servers)));
    }

    /// In half of the rounds, cuts some servers off for a while.
    pub(super) fn disturb(&mut self) {
        if self.dice.one_in(2) {
            return;
        }
        let all: Vec<usize> = self.ensemble.servers().collect();
        let count = 1 + self.dice.index(all.len() - 1);
        let group = self.some(&all, count);
        self.cut_off(&group);
        self.pass(200..1_200);
        self.heal();
    }

    /// How much a server has logged.
    pub(super) fn mark(&self, server: usize) -> usize {
        self.ensemble.log(server).len()
    }

    /// What a server has logged since.
    fn since(&self, server: usize, mark: usize) -> String {
        self.ensemble.log(server).get(mark..).unwrap_or_default().to_owned()
    }

    /// Waits until a leader's log says that it let one of these servers in.
    pub(super) fn let_in(&mut self, leader: usize, mark: usize, servers: &[usize]) -> bool {
        let numbers: Vec<String> =
            servers.iter().map(|server| format!("server {} (life", server + 1)).collect();
        let is_it = |line: &str| line.contains(LET_IN) && numbers.iter().any(|n| line.contains(n));
        let found =
            attempt(TAKEN_IN_WITHIN, || self.since(leader, mark).lines().any(is_it).then_some(()));
        self.note(if found.is_some() { "taken in, without a vote" } else { "not taken in" });
        found.is_some()
    }

    /// Whether a leader began to exchange lives since.
    pub(super) fn exchanges(&self, leader: usize, mark: usize) -> bool {
        self.since(leader, mark).contains(EXCHANGED)
    }

    /// Whether a server's log names another one among those that it waits for, with this in its reason.
    pub(super) fn waits_for(
        &mut self,
        server: usize,
        mark: usize,
        other: usize,
        why: &str,
    ) -> bool {
        let reason = format!("server {}{why}", other + 1);
        let is_it = |line: &str| line.contains("waits for its ensemble") && line.contains(&reason);
        let found =
            attempt(TAKEN_IN_WITHIN, || self.since(server, mark).lines().any(is_it).then_some(()));
        let verb = if found.is_some() { "says" } else { "does not say" };
        self.note(&format!("server {} {verb}: {reason}", server + 1));
        found.is_some()
    }

    /// Watches for a random time that nothing is acknowledged; to be called when no majority is there
    /// any more.
    pub(super) fn nothing_is_acknowledged(&mut self, millis: std::ops::Range<u64>) {
        let writes = || self.world.tally.writes();
        let _ = attempt(TOLD_WITHIN, || {
            let before = writes();
            pause_for(STILL_TOLD);
            (writes() == before).then_some(())
        });
        let before = writes();
        let from = self.world.now();
        self.pass(millis);
        let count = self.world.tally.writes() - before;
        if count > 0 {
            let (from, to) = (from.as_secs_f64(), self.world.now().as_secs_f64());
            let detail = format!(
                "{count} writes were acknowledged {from:.3}..{to:.3}, without a majority of the disks"
            );
            self.note(&detail);
            self.anomalies.push(Anomaly::new(Promise::Durable, detail));
        }
        self.note("watched without a majority");
    }

    /// Waits until writes are acknowledged.
    pub(super) fn writes_go_on(&self) -> Option<()> {
        let before = self.world.tally.writes();
        attempt(SCENE_PATIENCE, || (self.world.tally.writes() > before + 5).then_some(()))
    }

    /// Takes all faults away and starts whoever does not run.
    pub(super) fn finish(&mut self) {
        self.heal();
        self.restart_ended();
        let all: Vec<usize> = self.ensemble.servers().collect();
        self.start(&all);
    }

    /// A server that ends by itself is an anomaly, and is started again.
    fn restart_ended(&mut self) {
        for (server, status) in self.ensemble.ended() {
            let what = format!("server {} ended by itself ({status})", server + 1);
            self.note(&what);
            self.anomalies.push(Anomaly::new(Promise::Recovery, what));
            self.ensemble.kill(server);
            self.ensemble.start(server);
        }
    }

    /// Whether each server serves, and all vote.
    pub(super) fn all_vote(&mut self) -> bool {
        self.restart_ended();
        let modes: Vec<Option<Mode>> =
            self.ensemble.servers().map(|server| self.ensemble.mode(server)).collect();
        let leaders = modes.iter().filter(|mode| **mode == Some(Mode::Leader)).count();
        let followers = modes.iter().filter(|mode| **mode == Some(Mode::Follower)).count();
        leaders == 1 && leaders + followers == modes.len()
    }
}

fn ids(servers: &[usize]) -> String {
    let ids: Vec<String> = servers.iter().map(|server| (server + 1).to_string()).collect();
    format!("servers {}", ids.join(", "))
}
