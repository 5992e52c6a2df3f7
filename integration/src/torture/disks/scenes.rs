//! How each situation is brought about. Each scene returns whether it was reached.

use super::situation::Situation;
use super::stage::Stage;

/// So long a round goes on without a majority, in milliseconds.
const WITHOUT_MAJORITY: std::ops::Range<u64> = 1_000..2_500;

/// Entries that a leader keeps for others: with fewer in its log, a new life is given the log from its
/// beginning.
const ENTRIES_KEPT: u64 = 10_000;

/// Plays a situation; `None` where the servers did not come far enough for it.
pub(super) fn play(stage: &mut Stage<'_>, situation: Situation) -> bool {
    let reached = match situation {
        Situation::OutOfDateLeader => out_of_date_leader(stage),
        Situation::LeaderDies => leader_dies(stage),
        Situation::AnotherDown => another_down(stage),
        Situation::GrownFromOne => grown_from_one(stage),
        Situation::CrashWhileJoining => crash_while_joining(stage),
        Situation::AnyMoment => any_moment(stage),
    };
    reached.unwrap_or(false)
}

/// A leader and a part of the others are cut off; the rest elects and acknowledges. Of the rest some lose
/// their disks and the others go down, so that whoever comes back meets the old leader alone.
fn out_of_date_leader(stage: &mut Stage<'_>) -> Option<bool> {
    let old = stage.leader()?;
    let epoch = stage.epoch(old)?;
    let with = stage.minority() - 1;
    let with = stage.some(&stage.others(&[old]), with);
    let group = [vec![old], with].concat();
    let rest = stage.others(&group);
    stage.cut_off(&group);
    let new = stage.leader_of(&rest)?;
    stage.create(new, "acknowledged-by-the-rest")?;
    let is_deposed = stage.epoch(new)? > epoch;
    stage.pass(0..300);
    let losses = stage.losses();
    let lost = stage.some(&rest, losses);
    let away: Vec<usize> = rest.iter().copied().filter(|server| !lost.contains(server)).collect();
    stage.kill(&away);
    stage.lose(&lost);
    stage.heal();
    let marks: Vec<usize> = lost.iter().map(|server| stage.mark(*server)).collect();
    stage.start(&lost);
    stage.nothing_is_acknowledged(WITHOUT_MAJORITY);
    // It was answered by the old leader.
    let met = lost
        .iter()
        .zip(marks)
        .filter(|(server, mark)| stage.waits_for(**server, *mark, old, ": it "))
        .count();
    stage.start(&away);
    stage.disturb();
    Some(is_deposed && met > 0 && stage.ensemble.started(old))
}

/// Followers lose their disks; the leader is killed when it has let them in, and before they vote.
fn leader_dies(stage: &mut Stage<'_>) -> Option<bool> {
    let leader = stage.leader()?;
    let losses = stage.losses();
    let lost = stage.some(&stage.others(&[leader]), losses);
    stage.lose(&lost);
    stage.hold_up(&lost);
    let mark = stage.mark(leader);
    stage.start(&lost);
    let let_in = stage.let_in(leader, mark, &lost);
    stage.pass(0..300);
    stage.kill(&[leader]);
    let reached = let_in && !stage.exchanges(leader, mark);
    if stage.dice.one_in(2) {
        stage.heal();
    }
    let left = stage.ensemble.servers().len() - lost.len() - 1;
    if reached && left <= stage.minority() {
        stage.nothing_is_acknowledged(WITHOUT_MAJORITY);
    } else {
        stage.disturb();
        stage.pass(0..2_000);
    }
    stage.start(&[leader]);
    stage.disturb();
    Some(reached)
}

/// Some lose their disks while others are down, so that no majority of the disks is there.
fn another_down(stage: &mut Stage<'_>) -> Option<bool> {
    let _ = stage.leader()?;
    let all: Vec<usize> = stage.ensemble.servers().collect();
    let losses = stage.losses();
    let lost = stage.some(&all, losses);
    let down = stage.minority() + 1 - lost.len();
    let down = stage.some(&stage.others(&lost), down);
    stage.kill(&down);
    stage.pass(0..200);
    stage.lose(&lost);
    let marks: Vec<usize> = lost.iter().map(|server| stage.mark(*server)).collect();
    stage.pass(0..500);
    stage.start(&lost);
    stage.nothing_is_acknowledged(WITHOUT_MAJORITY);
    let mut said = true;
    for (server, mark) in lost.iter().zip(marks) {
        for other in &down {
            said &= stage.waits_for(*server, mark, *other, "");
        }
    }
    stage.start(&down);
    stage.disturb();
    Some(said)
}

/// The server that once was the whole ensemble loses its disk, and is given the log from its beginning.
fn grown_from_one(stage: &mut Stage<'_>) -> Option<bool> {
    stage.kill(&[0]);
    let leader = stage.leader_of(&stage.others(&[0]))?;
    stage.create(leader, "acknowledged-without-the-first")?;
    let entries: u64 = stage.ensemble.metric(leader, "zk_raft_last_log_index")?.parse().ok()?;
    stage.lose(&[0]);
    let mark = stage.mark(leader);
    if stage.dice.one_in(2) {
        stage.hold_up(&[0]);
    }
    stage.start(&[0]);
    let let_in = stage.let_in(leader, mark, &[0]);
    stage.disturb();
    stage.pass(0..500);
    Some(let_in && entries < ENTRIES_KEPT)
}

/// Followers lose their disks, and are killed when they were let in and before they vote, once or twice.
fn crash_while_joining(stage: &mut Stage<'_>) -> Option<bool> {
    let leader = stage.leader()?;
    let losses = stage.losses();
    let lost = stage.some(&stage.others(&[leader]), losses);
    stage.lose(&lost);
    stage.hold_up(&lost);
    let mark = stage.mark(leader);
    stage.start(&lost);
    let let_in = stage.let_in(leader, mark, &lost);
    stage.pass(0..300);
    stage.kill(&lost);
    let reached = let_in && !stage.exchanges(leader, mark);
    if stage.dice.one_in(2) {
        stage.lose(&lost);
    }
    stage.disturb();
    stage.start(&lost);
    if stage.dice.one_in(3) {
        stage.pass(0..700);
        stage.kill(&lost);
        stage.start(&lost);
    }
    if stage.dice.one_in(2) {
        stage.heal();
    }
    stage.disturb();
    Some(reached)
}

/// Any servers lose their disks at once, the network breaks around them, and they come back.
fn any_moment(stage: &mut Stage<'_>) -> Option<bool> {
    stage.pass(0..1_000);
    let all: Vec<usize> = stage.ensemble.servers().collect();
    let losses = stage.losses();
    let lost = stage.some(&all, losses);
    if stage.dice.one_in(2) {
        let count = 1 + stage.dice.index(all.len() - 1);
        let group = stage.some(&all, count);
        stage.cut_off(&group);
        stage.pass(0..500);
    }
    stage.lose(&lost);
    stage.pass(0..1_000);
    stage.start(&lost);
    stage.pass(0..600);
    if stage.dice.one_in(3) {
        let rest = stage.others(&lost);
        let killed = stage.some(&rest, 1);
        stage.kill(&killed);
        stage.pass(0..1_500);
        stage.start(&killed);
    }
    stage.disturb();
    Some(true)
}
