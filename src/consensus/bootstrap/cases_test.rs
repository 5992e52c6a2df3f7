//! Three servers in every state that their disks may be in, started in every order.
//!
//! The code that asks, answers and decides is the real one, in virtual time. The consensus is a model: an ensemble
//! has a leader while a majority of its voters is there, and its leader takes in who asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::AbortHandle;
use tokio::time::advance;

use super::super::transport::{AddressBook, EnsembleName};
use super::decide::{BootstrapPolicy, PeerAnswer};
use super::message::Question;
use super::peers::Peers;
use super::task::{Bootstrap, BootstrapConfig, EnsembleView, RaftControl};
use crate::storage::ClusterId;

const NUMBERS: [u64; 3] = [1, 2, 3];
const OF_THREE: u128 = 0x333;
const OTHER: u128 = 0x777;

/// What a server's disk has at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Disk {
    Empty,
    /// It was formed on its own.
    Alone,
    /// It has the data of the ensemble of the three.
    OfThree,
    /// It has the data of another ensemble of three servers with these numbers.
    Other,
}

const DISKS: [Disk; 4] = [Disk::Empty, Disk::Alone, Disk::OfThree, Disk::Other];

/// What a disk holds.
#[derive(Clone, Debug, Default)]
struct Data {
    ensemble: Option<u128>,
    /// The first entry alone.
    is_first_only: bool,
}

/// An ensemble, as its newest configuration is.
#[derive(Clone, Debug, Default)]
struct Ensemble {
    voters: BTreeSet<u64>,
    leader: Option<u64>,
}

#[derive(Debug, Default)]
struct World {
    data: BTreeMap<u64, Data>,
    ensembles: BTreeMap<u128, Ensemble>,
    /// Servers that were formed on their own and may lead.
    may_lead: BTreeSet<u64>,
    running: BTreeMap<u64, Bootstrap>,
    /// The ensembles that acknowledged something.
    acknowledged: BTreeSet<u128>,
    serving: BTreeSet<u64>,
}

type SharedWorld = Arc<Mutex<World>>;

fn id(number: u64, life: u32) -> u64 {
    MemberId { number, life }.raft_id()
}

/// The lives of the disks: that of data, and the one that replaces it.
fn member(number: u64, disk: Disk) -> MemberId {
    let life = match disk {
        Disk::Empty => 9,
        Disk::Alone => 1,
        Disk::OfThree => 3,
        Disk::Other => 7,
    };
    MemberId { number, life }
}

fn alone(number: u64) -> u128 {
    0x100 + u128::from(number)
}

struct Case {
    disks: [Disk; 3],
    world: SharedWorld,
    dirs: [TempDir; 3],
    tasks: BTreeMap<u64, AbortHandle>,
}

impl Case {
    fn new(disks: [Disk; 3]) -> Self {
        let mut world = World::default();
        let of = |life| NUMBERS.into_iter().map(|number| id(number, life)).collect();
        let with = |voters| Ensemble { voters, leader: None };
        world.ensembles.insert(OF_THREE, with(of(3)));
        world.ensembles.insert(OTHER, with(of(7)));
        for (number, disk) in NUMBERS.into_iter().zip(disks) {
            let ensemble = match disk {
                Disk::Empty => None,
                Disk::Alone => Some(alone(number)),
                Disk::OfThree => Some(OF_THREE),
                Disk::Other => Some(OTHER),
            };
            world.data.insert(number, Data { ensemble, is_first_only: false });
            world.ensembles.insert(alone(number), with(BTreeSet::from([id(number, 1)])));
        }
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        Self { disks, world: Arc::new(Mutex::new(world)), dirs, tasks: BTreeMap::new() }
    }

    fn start(&mut self, number: u64) {
        let at = usize::try_from(number).unwrap() - 1;
        let id = member(number, self.disks[at]);
        let name = EnsembleName::default();
        let data = self.world.lock().data[&number].clone();
        match data.ensemble.filter(|_| !data.is_first_only) {
            Some(known) => name.set(ClusterId(known)),
            None => name.begin_empty(),
        }
        let bootstrap = Bootstrap::new(BootstrapConfig {
            id,
            servers: NUMBERS.iter().map(|number| (*number, format!("h:{number}"))).collect(),
            voters: NUMBERS.into(),
            policy: BootstrapPolicy::WithAll,
            name: if self.disks[at] == Disk::Alone {
                alone(number)
            } else {
                0x900 + u128::from(number)
            },
            ensemble: name.clone(),
            book: AddressBook::default(),
            dir: self.dirs[at].path().to_owned(),
        });
        let bootstrap = bootstrap.unwrap();
        self.world.lock().running.insert(number, bootstrap.clone());
        let side = Side { world: Arc::clone(&self.world), id, name };
        let task = tokio::spawn(async move { bootstrap.search(&side, &side).await });
        self.tasks.insert(number, task.abort_handle());
    }

    fn stop(&mut self, number: u64) {
        if let Some(task) = self.tasks.remove(&number) {
            task.abort();
        }
        let mut world = self.world.lock();
        world.running.remove(&number);
        world.serving.remove(&number);
        world.may_lead.remove(&number);
    }

    /// Lets time pass, and the ensembles do what they do.
    async fn pass(&mut self, time: Duration) {
        let step = Duration::from_millis(20);
        for _ in 0..time.as_millis() / step.as_millis() {
            advance(step).await;
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let ended: Vec<u64> = {
                let mut world = self.world.lock();
                world.step();
                let running = world.running.iter();
                running.filter(|(_, f)| f.ended().borrow().is_some()).map(|(n, _)| *n).collect()
            };
            for number in ended {
                if let Some(task) = self.tasks.remove(&number) {
                    task.abort();
                }
            }
        }
    }
}

impl World {
    /// The life of a running server.
    fn life(&self, number: u64) -> Option<u64> {
        self.running.get(&number).map(|bootstrap| bootstrap.id().raft_id())
    }

    fn is_ended(&self, number: u64) -> bool {
        self.running.get(&number).is_none_or(|bootstrap| bootstrap.ended().borrow().is_some())
    }

    fn step(&mut self) {
        self.serving.clear();
        let names: Vec<u128> = self.ensembles.keys().copied().collect();
        for name in names {
            self.step_of(name);
        }
    }

    fn step_of(&mut self, name: u128) {
        let Ensemble { voters, .. } = self.ensembles[&name].clone();
        let present = |world: &Self, id: u64| {
            let number = MemberId::number_of(id);
            let data = &world.data[&number];
            let decided = world.running.get(&number).and_then(Bootstrap::decided);
            world.life(number) == Some(id)
                && !world.is_ended(number)
                && (data.ensemble == Some(name)
                    || (data.ensemble.is_none() && decided == Some(name)))
        };
        let there: Vec<u64> = voters.iter().copied().filter(|id| present(self, *id)).collect();
        let is_alone = voters.len() == 1;
        let leader = there.iter().copied().find(|id| {
            let number = MemberId::number_of(*id);
            self.data[&number].ensemble == Some(name)
                && (!is_alone || self.may_lead.contains(&number))
        });
        let leader = leader.filter(|_| there.len() > voters.len() / 2);
        self.ensembles.get_mut(&name).unwrap().leader = leader;
        let Some(leader) = leader else { return };
        for id in &there {
            let number = MemberId::number_of(*id);
            self.data.insert(number, Data { ensemble: Some(name), is_first_only: false });
            self.running[&number].learn(name);
        }
        // A majority of those that the files name.
        if there.len() >= 2 {
            self.acknowledged.insert(name);
            self.serving.extend(there.iter().map(|id| MemberId::number_of(*id)));
        }
        self.admit(name, MemberId::number_of(leader));
    }

    /// Takes in who asks the leader, where its number has no other life that is there.
    fn admit(&mut self, name: u128, leader: u64) {
        for (number, joiner) in self.running[&leader].admissions().asking() {
            let voters = &self.ensembles[&name].voters;
            let holder = voters.iter().copied().find(|id| MemberId::number_of(*id) == number);
            let is_there = holder.is_some_and(|id| {
                self.life(number) == Some(id) && self.data[&number].ensemble == Some(name)
            });
            let id = joiner.member.raft_id();
            if !is_there && self.life(number) == Some(id) && !self.is_ended(number) {
                let voters = &mut self.ensembles.get_mut(&name).unwrap().voters;
                voters.retain(|known| Some(*known) != holder);
                voters.insert(id);
            }
        }
    }
}

/// A server's side of the model.
#[derive(Clone)]
struct Side {
    world: SharedWorld,
    id: MemberId,
    name: EnsembleName,
}

impl RaftControl for Side {
    fn view(&self) -> EnsembleView {
        let world = self.world.lock();
        let data = &world.data[&self.id.number];
        let Some(name) = data.ensemble else { return EnsembleView::default() };
        let Ensemble { voters, leader } = world.ensembles[&name].clone();
        EnsembleView {
            last_index: Some(if data.is_first_only { 0 } else { 9 }),
            members: voters.iter().map(|id| (*id, String::new())).collect(),
            voters,
            leader,
            agreed: false,
        }
    }

    fn initialize(&self, members: BTreeMap<u64, String>) -> BoxFuture<'_, Result<(), String>> {
        let mut world = self.world.lock();
        let name = self.name.get().expect("what is formed has a name").0;
        let voters = members.into_keys().collect();
        world.ensembles.insert(name, Ensemble { voters, leader: None });
        world.data.insert(self.id.number, Data { ensemble: Some(name), is_first_only: true });
        Box::pin(std::future::ready(Ok(())))
    }

    fn allow_elections(&self) {
        self.world.lock().may_lead.insert(self.id.number);
    }
}

impl Peers for Side {
    fn ask(&self, number: u64, question: Question) -> BoxFuture<'_, PeerAnswer> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let (bootstrap, id) = {
                let world = self.world.lock();
                match world.running.get(&number).filter(|_| !world.is_ended(number)) {
                    Some(bootstrap) => (bootstrap.clone(), bootstrap.id()),
                    None => return PeerAnswer::Nothing("connection refused".to_owned()),
                }
            };
            let there = Self { id, name: EnsembleName::default(), world: Arc::clone(&self.world) };
            PeerAnswer::Answer(bootstrap.answer_to(question, &there.view()))
        })
    }
}

/// What must hold whatever the disks were.
fn check(case: &Case, how: &str) {
    let world = case.world.lock();
    let disks = case.disks;
    assert!(
        world.acknowledged.len() <= 1,
        "{disks:?} {how}: {:?} acknowledged",
        world.acknowledged
    );
    for number in NUMBERS {
        let bootstrap = &world.running[&number];
        let why = bootstrap.ended().borrow().clone().unwrap_or_else(|| bootstrap.says());
        let serves = world.serving.contains(&number);
        assert!(serves || !why.is_empty(), "{disks:?} {how}: server {number} says nothing");
    }
    for (number, _) in NUMBERS.iter().zip(disks).filter(|(_, disk)| *disk == Disk::Alone) {
        let leads = world.may_lead.contains(number) && !world.is_ended(*number);
        assert!(!leads || world.serving.contains(number), "{disks:?} {how}: {number} leads alone");
    }
    for (disk, name) in [(Disk::OfThree, OF_THREE), (Disk::Other, OTHER)] {
        let has = disks.iter().filter(|has| **has == disk).count();
        if has >= 2 {
            assert_eq!(world.acknowledged, BTreeSet::from([name]), "{disks:?} {how}");
        }
    }
    let all_new = disks.iter().all(|disk| *disk == Disk::Empty);
    let with_one_alone = disks.iter().filter(|disk| **disk == Disk::Alone).count() == 1
        && disks.iter().filter(|disk| **disk == Disk::Empty).count() == 2;
    if all_new || with_one_alone {
        assert_eq!(world.serving.len(), 3, "{disks:?} {how}: {:?}", world.serving);
    }
}

const ORDERS: [[u64; 3]; 6] = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];

async fn play(disks: [Disk; 3], order: [u64; 3], restart: bool) {
    let how = format!("in the order {order:?}, restart {restart}");
    let mut case = Case::new(disks);
    for (at, number) in order.into_iter().enumerate() {
        case.start(number);
        case.pass(Duration::from_secs(2)).await;
        if at == 1 && restart {
            case.stop(order[0]);
            case.pass(Duration::from_millis(200)).await;
            case.start(order[0]);
            case.pass(Duration::from_secs(2)).await;
        }
    }
    case.pass(Duration::from_secs(6)).await;
    check(&case, &how);
    for number in NUMBERS {
        case.stop(number);
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_one_ensemble_acknowledges_whatever_the_disks_hold() {
    // Each of three servers empty, formed on its own, of the ensemble of the three, or of another one; started in each
    // order, also with a restart of the first in between. Nothing acknowledged is lost, what can serve
    // does, and whoever does not says why.
    for one in DISKS {
        for two in DISKS {
            for three in DISKS {
                for order in ORDERS {
                    for restart in [false, true] {
                        play([one, two, three], order, restart).await;
                    }
                }
            }
        }
    }
}
