//! The clients of a round: how many do what.

use std::sync::Arc;
use std::time::Duration;

use super::history::{RoundHistory, register_paths};
use super::{bank, locks, once, registers, sequences, visitors, writers};
use crate::eventually::attempt;
use crate::torture::client::{Client, Outgoing};
use crate::torture::dice::Dice;
use crate::torture::plan::Faults;
use crate::torture::world::World;
use history::{Anomaly, Promise};
use jute_proto::ErrorCode;

/// Sessions of most clients.
const LONG: Duration = Duration::from_secs(6);

/// Sessions of those that hold locks.
const SHORT: Duration = Duration::from_secs(3);

/// How long the servers may take to let a round be prepared.
const PREPARE_PATIENCE: Duration = Duration::from_secs(60);

type Work = fn(&mut Client) -> RoundHistory;

/// Name, work and session timeout.
type Post = (&'static str, Work, Duration);

/// Who does what, with which session timeout.
const STAFF: [Post; 12] = [
    ("register-a", registers::work, LONG),
    ("register-b", registers::work, LONG),
    ("register-c", registers::work, SHORT),
    ("register-d", registers::work, LONG),
    ("sequence-a", sequences::work, LONG),
    ("sequence-b", sequences::work, SHORT),
    ("bank-a", bank::work, LONG),
    ("bank-b", bank::work, LONG),
    ("lock-a", locks::work, SHORT),
    ("lock-b", locks::work, SHORT),
    ("writer-a", writers::work, LONG),
    ("writer-b", writers::work, SHORT),
];

/// Those whose writes happen once.
const ONCE: [&str; 3] = ["once-a", "once-b", "once-c"];

/// Those whose sessions are short.
const VISITORS: [Post; 4] = [
    ("visitor-a", visitors::work, LONG),
    ("visitor-b", visitors::work, LONG),
    ("visitor-c", visitors::work, LONG),
    ("visitor-d", visitors::work, LONG),
];

/// How long a client may take to end: it waits for the answers to all that it sent.
pub(in crate::torture) const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Who does what while answers are late: few that read, so that their syncs do not wait for each other.
const STAFF_OF_DELAYS: [Post; 12] = [
    ("writer-a", registers::write, LONG),
    ("writer-b", registers::write, LONG),
    ("writer-c", registers::write, LONG),
    ("writer-d", registers::write, LONG),
    ("writer-e", registers::write, LONG),
    ("writer-f", registers::write, LONG),
    ("reader-a", registers::read, LONG),
    ("reader-b", registers::read, LONG),
    ("reader-c", registers::read, LONG),
    ("reader-d", registers::read, LONG),
    ("reader-e", registers::read, LONG),
    ("reader-f", registers::read, LONG),
];

/// Creates the znodes of a round; `false` when the servers did not let it.
pub(in crate::torture) fn prepare(world: &Arc<World>) -> bool {
    let mut client = Client::new(world, "setup".to_owned(), Dice::new(0), LONG);
    let deadline = world.now() + PREPARE_PATIENCE;
    let root = &world.root;
    let mut nodes = vec![(root.clone(), Vec::new())];
    nodes.extend(register_paths(root).into_iter().map(|path| (path, b"0".to_vec())));
    nodes.extend(sequences::parents(root).into_iter().map(|path| (path, Vec::new())));
    nodes.extend(bank::accounts(root).into_iter().map(|path| (path, bank::opening())));
    nodes.push((locks::folder(root), Vec::new()));
    nodes.push((once::parent(root), Vec::new()));
    for (path, data) in nodes {
        loop {
            if client.attach_until(deadline).is_none() {
                return false;
            }
            let answers = client.exchange(&[Outgoing::create(&path, &data, 0)]);
            if let [answer] = answers.as_slice()
                && matches!(answer.code(), Some(ErrorCode::Ok | ErrorCode::NodeExists))
            {
                break;
            }
        }
    }
    client.close();
    true
}

/// Lets all clients work until the world stops, while `meanwhile` goes on; what they recorded. Where
/// messages are late there are more: some number their writes, some leave as soon as they have written.
pub(in crate::torture) fn run<T>(
    world: &Arc<World>,
    dice: &Dice,
    faults: Faults,
    meanwhile: impl FnOnce() -> T,
) -> (RoundHistory, T) {
    let staff: &[Post] = match faults {
        Faults::All | Faults::Late => &STAFF,
        Faults::Delays => &STAFF_OF_DELAYS,
    };
    std::thread::scope(|scope| {
        let late = faults == Faults::Late;
        let visitors = VISITORS.iter().filter(|_| late).zip(200..);
        let mut clients: Vec<_> = staff
            .iter()
            .zip(1..)
            .chain(visitors)
            .map(|((name, work, timeout), number)| {
                let dice = dice.fork(number);
                let mut client = Client::new(world, (*name).to_owned(), dice, *timeout);
                let thread = scope.spawn(move || {
                    let mut history = work(&mut client);
                    client.close();
                    history.anomalies.append(&mut client.anomalies);
                    history
                });
                (*name, thread)
            })
            .collect();
        let ones = ONCE.iter().zip(100..).filter(|_| late);
        clients.extend(ones.map(|(name, number)| {
            let dice = dice.fork(number);
            (*name, scope.spawn(move || once::work(world, name, dice)))
        }));
        let result = meanwhile();
        world.stop();
        let mut all = RoundHistory::default();
        let ended = attempt(ANSWER_PATIENCE, || {
            clients.iter().all(|(_, thread)| thread.is_finished()).then_some(())
        });
        if ended.is_none() {
            for (name, _) in clients.iter().filter(|(_, thread)| !thread.is_finished()) {
                let detail = format!("{name} has no answer {ANSWER_PATIENCE:?} after the round");
                all.anomalies.push(Anomaly::new(Promise::Answered, detail));
            }
            world.abandon();
        }
        for (_, thread) in clients {
            all.merge(thread.join().expect("a client's thread"));
        }
        (all, result)
    })
}
