//! Which faults strike when: drawn from a seed.

use std::time::Duration;

use super::dice::Dice;

/// Which server is struck; who leads is found out when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The one that leads.
    Leader,
    /// One of the others.
    Follower(usize),
}

/// What is done to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, and started again later.
    Kill(Target),
    /// All are killed with -9 at the same time, and started again later.
    KillAll,
    /// A follower is killed with -9, its disk is lost, and it is started again later. Only while
    /// nothing else is wrong: whoever loses a majority of the disks loses what was on them.
    LoseDisk,
    /// SIGSTOP, and SIGCONT later.
    Pause(Target),
    /// Its connections with the others are broken off.
    Reset(Target),
    /// Some of the directions between servers become bad.
    Network(Paths, Condition),
    /// The answers of one of the others, counted from it, do not reach it.
    Answers(Target, usize),
    /// What the others ask it on their own does not reach it.
    Calls(Target),
    /// Each flush of its disk takes so many milliseconds.
    SlowDisk(Target, u32),
    /// The disk of the one server whose disk can be filled has no space.
    FullDisk,
    /// Its wall clock jumps by so many minutes, and back later.
    Clock(Target, i32),
    /// It leaves the ensemble by `reconfig`, and joins again later.
    Leave(Target),
    /// It loses its vote by `reconfig`, and gets it back later.
    Observe(Target),
    /// What is on its way on the connections of now stays there for a while; later ones overtake it.
    Late(Paths, Late),
}

/// What becomes of a connection whose bytes are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Nothing: who takes it for dead makes another.
    Held,
    /// It ends at the sender after so many milliseconds, who sends everything again on the next one.
    Parted(u32),
    /// The sender is killed with -9 after so many milliseconds and started again at once: what it sent
    /// arrives behind what its next process sends.
    Outlived(u32),
    /// Only what the server answers is held back, all of it: those that asked take it for gone, make
    /// other connections and ask again.
    Answers,
    /// What the server is answered is held back. It sends again on slow connections, until it is killed
    /// after so many milliseconds and started again at once: what it sent again arrives behind what its
    /// next process sends.
    Again(u32),
}

/// Directions between servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// All.
    All,
    /// From and to one server.
    Around(Target),
    /// From one server to the others.
    From(Target),
    /// From the others to one server.
    To(Target),
    /// Between two groups; bit n puts server n into the first.
    Between(u32),
    /// From one server to the one behind it.
    One(usize),
}

/// How bad a direction becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing passes.
    Cut,
    /// Everything takes so many milliseconds.
    Delay(u32),
    /// So many bytes a second pass.
    Throttle(u32),
}

impl Fault {
    /// The kind, as the figures name it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill(Target::Leader) => "kill -9 of the leader",
            Self::Kill(Target::Follower(_)) => "kill -9 of a follower",
            Self::KillAll => "kill -9 of all",
            Self::LoseDisk => "disk of a follower lost",
            Self::Pause(Target::Leader) => "SIGSTOP of the leader",
            Self::Pause(Target::Follower(_)) => "SIGSTOP of a follower",
            Self::Reset(_) => "connections reset",
            Self::Network(_, Condition::Delay(_)) => "delay",
            Self::Network(_, Condition::Throttle(_)) => "throttle",
            Self::Network(paths, Condition::Cut) => match paths {
                Paths::Around(Target::Leader) => "leader cut off",
                Paths::Around(Target::Follower(_)) => "follower cut off",
                Paths::From(_) => "one-way cut: not heard",
                Paths::To(_) => "one-way cut: hears nothing",
                Paths::Between(_) | Paths::All => "split in two",
                Paths::One(_) => "one-way cut of a pair",
            },
            Self::Answers(..) => "answers held back",
            Self::Calls(_) => "questions held back",
            Self::SlowDisk(..) => "slow disk",
            Self::FullDisk => "full disk",
            Self::Clock(..) => "wall clock jumps",
            Self::Leave(_) => "leaves and joins",
            Self::Observe(_) => "observes and votes again",
            Self::Late(_, Late::Held) => "connections overtaken",
            Self::Late(_, Late::Parted(_)) => "sent again, then late",
            Self::Late(_, Late::Outlived(_)) => "late bytes of the dead",
            Self::Late(_, Late::Answers) => "answers held, asked again",
            Self::Late(_, Late::Again(_)) => "repeats of the dead",
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// After the start of the round.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What is done.
    pub fault: Fault,
}

/// Which faults are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Faults {
    /// All there are.
    #[default]
    All,
    /// Answers that are late, by up to seconds and not the same both ways.
    Delays,
    /// All, and twice as often what makes messages between servers late, doubled or older than their
    /// sender. Some clients number their writes, and sections are counted.
    Late,
}

/// The purpose of the dice of what is drawn beside.
const BESIDE: u64 = 0x00be_51de;

/// Draws the faults of a round of `length` with so many servers, in their order. They may overlap;
/// all end before the round does.
///
/// Disks, clocks and members came later than the rest. They are drawn beside it, so that what a
/// seed did before is still a part of what it does.
#[must_use]
pub fn draw(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    draw_with(draw_first, dice, servers, length)
}

/// Draws also, and more often, what makes messages late, as [`draw`] does.
#[must_use]
pub fn draw_late(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    draw_with(draw_messages, dice, servers, length)
}

/// Draws what `first` does, and what strikes beside it.
fn draw_with(
    first: fn(&mut Dice, usize, Duration) -> Vec<Planned>,
    dice: &mut Dice,
    servers: usize,
    length: Duration,
) -> Vec<Planned> {
    let mut beside = dice.fork(BESIDE);
    let mut plan = first(dice, servers, length);
    plan.extend(draw_beside(&mut beside, servers, length));
    plan.sort_by_key(|planned| planned.at);
    plan
}

/// Draws only what makes answers late, as [`draw`] does.
///
/// Directions are delayed one by one. Beside that, and more often, the leader stops hearing the others, shortly
/// before they stop hearing it; then the answers to what it sent before reach it, those of one server after those
/// of another, while the others may follow another leader already.
#[must_use]
pub fn draw_delays(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let planned = |at: u64, lasts: u64, fault| Planned {
        at: Duration::from_millis(at),
        lasts: Duration::from_millis(lasts.min(length - at)),
        fault,
    };
    let mut plan = Vec::new();
    let mut at = dice.within(100..500);
    while at + 200 < length {
        if !dice.one_in(3) {
            let (gap, until) = (dice.within(150..300), dice.within(900..1_150));
            let lasts = gap + until + dice.within(600..1_500);
            let cut = Fault::Network(Paths::From(Target::Leader), Condition::Cut);
            let mut late = until;
            for other in 1..servers {
                plan.push(planned(at, late, Fault::Answers(Target::Leader, other)));
                late += dice.within(5..60);
            }
            plan.push(planned(at, lasts, Fault::Calls(Target::Leader)));
            plan.push(planned(at + gap, lasts, cut));
            at += lasts + dice.within(500..2_000);
        } else {
            let target = target(dice, servers);
            let paths = match dice.within(0..4) {
                0 => Paths::To(target),
                1 => Paths::From(target),
                2 => Paths::One(dice.index(servers)),
                _ => Paths::Around(target),
            };
            let delay = Fault::Network(paths, Condition::Delay(number(dice, 20..3_000)));
            plan.push(planned(at, dice.within(300..4_000), delay));
            at += dice.within(100..1_500);
        }
    }
    plan
}

/// What strikes disks, clocks and members.
fn draw_beside(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    let mut plan = Vec::new();
    let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut at = dice.within(500..3_000);
    while at + 500 < length {
        let target = target(dice, servers);
        let fault = match dice.within(0..100) {
            0..30 => Fault::SlowDisk(target, number(dice, 5..100)),
            30..50 => Fault::FullDisk,
            50..65 => {
                let minutes = i32::try_from(dice.within(0..4_000)).unwrap_or(0) - 2_000;
                Fault::Clock(target, minutes)
            }
            65..85 => Fault::Leave(target),
            _ => Fault::Observe(target),
        };
        let lasts = dice.within(500..6_000).min(length - at);
        plan.push(Planned {
            at: Duration::from_millis(at),
            lasts: Duration::from_millis(lasts),
            fault,
        });
        at += dice.within(1_000..8_000);
    }
    plan
}

fn target(dice: &mut Dice, servers: usize) -> Target {
    if dice.one_in(2) {
        Target::Leader
    } else {
        Target::Follower(dice.index(servers.saturating_sub(1)))
    }
}

fn number(dice: &mut Dice, range: std::ops::Range<u64>) -> u32 {
    u32::try_from(dice.within(range)).unwrap_or(u32::MAX)
}

/// What makes messages late, and between that what strikes processes and the network. In one of two rounds
/// only answers to the leader are late.
fn draw_messages(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    let mut plan = Vec::new();
    let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let answers_are_slow = dice.one_in(2);
    let mut at = dice.within(300..800);
    while at + 500 < length {
        let (fault, lasts) = if dice.one_in(3) {
            (fault(dice, servers), dice.within(100..1_500))
        } else if answers_are_slow {
            slow_answers(dice)
        } else {
            late(dice, servers)
        };
        let lasts = lasts.min(length - at);
        plan.push(Planned {
            at: Duration::from_millis(at),
            lasts: Duration::from_millis(lasts),
            fault,
        });
        // One time in six the next one strikes while this one lasts.
        at += if dice.one_in(6) { lasts / 2 } else { lasts + dice.within(50..500) };
    }
    plan
}

/// What makes messages late, and for how many milliseconds.
fn late(dice: &mut Dice, servers: usize) -> (Fault, u64) {
    let follower = Target::Follower(dice.index(servers.saturating_sub(1)));
    let (leader_sends, it_sends) = (Paths::From(Target::Leader), Paths::From(follower));
    let lasts = dice.within(1_200..2_800);
    match number(dice, 0..100) {
        // Long enough that the next process has begun to send.
        0..18 => (Fault::Late(it_sends, Late::Outlived(number(dice, 100..500))), lasts + 800),
        18..26 => (Fault::Late(leader_sends, Late::Outlived(number(dice, 50..300))), lasts),
        26..38 => (Fault::Late(it_sends, Late::Parted(number(dice, 100..500))), lasts),
        38..43 => (Fault::Late(leader_sends, Late::Parted(number(dice, 50..200))), lasts),
        43..46 => (Fault::Late(it_sends, Late::Held), lasts),
        46..49 => (Fault::Late(Paths::To(follower), Late::Held), lasts),
        49..52 => (Fault::Late(Paths::Around(follower), Late::Held), lasts),
        // Whoever hears nothing for two seconds asks again.
        52..62 => (Fault::Late(leader_sends, Late::Answers), lasts + 1_000),
        62..74 => {
            let killed = number(dice, 2_700..3_150);
            (Fault::Late(it_sends, Late::Again(killed)), u64::from(killed) + lasts / 2 + 400)
        }
        _ => slow_answers(dice),
    }
}

/// Answers take nearly as long as the leader writes without one: it refuses one entry and takes the next.
fn slow_answers(dice: &mut Dice) -> (Fault, u64) {
    let delay = Condition::Delay(number(dice, 174..190));
    (Fault::Network(Paths::To(Target::Leader), delay), dice.within(1_200..2_800))
}

/// What strikes processes and the network.
fn draw_first(dice: &mut Dice, servers: usize, length: Duration) -> Vec<Planned> {
    let mut plan = Vec::new();
    let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut at = dice.within(300..1_000);
    while at + 300 < length {
        let fault = fault(dice, servers);
        // Mostly short enough that sessions live, now and then so long that some expire.
        let lasts = if matches!(fault, Fault::Reset(_)) {
            1
        } else if dice.one_in(8) {
            dice.within(3_000..7_000)
        } else {
            dice.within(100..2_500)
        };
        let lasts = lasts.min(length - at);
        plan.push(Planned {
            at: Duration::from_millis(at),
            lasts: Duration::from_millis(lasts),
            fault,
        });
        // One time in three the next one strikes while this one lasts.
        at += if dice.one_in(3) { lasts / 2 } else { lasts + dice.within(100..2_000) };
        at += 50;
    }
    plan
}

fn fault(dice: &mut Dice, servers: usize) -> Fault {
    let target = target(dice, servers);
    match number(dice, 0..100) {
        0..24 => Fault::Kill(target),
        24..28 => Fault::KillAll,
        28..31 => Fault::LoseDisk,
        31..44 => Fault::Pause(target),
        44..54 => Fault::Network(Paths::Around(target), Condition::Cut),
        54..60 => Fault::Network(Paths::From(target), Condition::Cut),
        60..66 => Fault::Network(Paths::To(target), Condition::Cut),
        66..72 => {
            let groups = number(dice, 1..(1 << servers) - 1);
            Fault::Network(Paths::Between(groups), Condition::Cut)
        }
        72..78 => Fault::Network(Paths::One(dice.index(servers)), Condition::Cut),
        78..83 => Fault::Network(Paths::All, Condition::Delay(number(dice, 5..120))),
        83..88 => Fault::Network(Paths::From(target), Condition::Delay(number(dice, 20..400))),
        88..92 => {
            let rate = number(dice, 2_000..60_000);
            Fault::Network(Paths::Around(target), Condition::Throttle(rate))
        }
        _ => Fault::Reset(target),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{draw, draw_delays, draw_first, draw_late};
    use crate::torture::dice::Dice;

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        // And they all end with the round; another seed draws others.
        let length = Duration::from_secs(30);
        for draw in [draw, draw_delays, draw_late] {
            let plan = draw(&mut Dice::new(7), 5, length);
            assert_eq!(plan, draw(&mut Dice::new(7), 5, length));
            assert_ne!(plan, draw(&mut Dice::new(8), 5, length));
            assert!(plan.len() > 5);
            assert!(plan.iter().all(|planned| planned.at + planned.lasts <= length));
            assert!(plan.is_sorted_by_key(|planned| planned.at));
        }
    }

    #[test]
    fn what_came_later_is_drawn_beside_the_rest() {
        // Processes and the network are struck as they were before disks, clocks and members were.
        let length = Duration::from_secs(20);
        let mut plan = draw(&mut Dice::new(31).fork(1), 3, length);
        let first = draw_first(&mut Dice::new(31).fork(1), 3, length);
        let beside = plan.len() - first.len();
        plan.retain(|planned| first.contains(planned));
        assert_eq!(plan, first);
        assert!(beside > 1);
    }
}
