//! The checks at the end of a round.

use std::collections::BTreeMap;
use std::time::Duration;

use super::workload::{ACCOUNTS, RoundHistory, TOTAL, balance, last_read, locks, register_paths};
use super::world::World;
use crate::eventually::attempt;
use crate::tree::{self, Tree};
use history::register::{Finding, History, Seen};
use history::sequence::{self, Create, Present};
use history::{Anomaly, Promise, Span, bank, counter, lock, register};

/// How long the servers may take until they show the same.
const AGREEMENT_PATIENCE: Duration = Duration::from_secs(60);

/// How long a session whose client has gone may live on: much longer than its timeout.
const EXPIRY_PATIENCE: Duration = Duration::from_secs(20);

/// What the checks of a round found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) anomalies: Vec<Anomaly>,
    pub(super) undecided: u64,
    /// The histories of registers that are wrong.
    pub(super) histories: Vec<History>,
}

/// What all servers hold below `root`, once it is the same; an anomaly when it stays different.
pub(super) fn agreed(world: &World) -> Result<Tree, Anomaly> {
    let left_out = locks(&world.root);
    let mut last = String::from("no server was asked");
    attempt(AGREEMENT_PATIENCE, || {
        let mut first: Option<Tree> = None;
        for addr in &world.addrs {
            let tree = match tree::read(*addr, &world.root, &left_out) {
                Ok(tree) => tree,
                Err(error) => {
                    last = format!("{addr} cannot be read: {error:?}");
                    return None;
                }
            };
            let Some(known) = &first else {
                first = Some(tree);
                continue;
            };
            let differences = tree::differences(known, &tree);
            if !differences.is_empty() {
                last = format!("{} and {addr} differ: {}", world.addrs[0], differences.join("; "));
                return None;
            }
        }
        first
    })
    .ok_or_else(|| Anomaly::new(Promise::Replicas, last))
}

/// When all clients have gone, the locks of the round go with their sessions.
pub(super) fn locks_go(world: &World) -> Option<Anomaly> {
    let folder = locks(&world.root);
    let mut left = String::from("no server was asked");
    let gone = attempt(EXPIRY_PATIENCE, || {
        let tree = tree::read(world.addrs[0], &folder, "").ok()?;
        let held = tree.iter().filter(|(path, _)| **path != folder);
        left = held.map(|(path, (_, stat))| format!("{path} {stat:x?}")).collect();
        left.is_empty().then_some(())
    });
    if gone.is_some() {
        return None;
    }
    let detail = format!("{EXPIRY_PATIENCE:?} after all clients have gone: {left}");
    Some(Anomaly::new(Promise::Ephemeral, detail))
}

/// Checks the histories of a round against each other and against what all servers hold.
pub(super) fn check(world: &World, mut history: RoundHistory, tree: &Tree) -> Checked {
    let mut checked = Checked::default();
    checked.anomalies.append(&mut history.anomalies);
    checked.anomalies.extend(lock::check(&history.holds));
    history.audits.push(final_balances(&world.root, tree));
    checked.anomalies.extend(bank::check(&history.audits, ACCOUNTS, TOTAL));
    checked.anomalies.extend(check_once(&history, tree));
    check_registers(world, history, tree, &mut checked);
    checked
}

/// Whether each create and each increment was done once.
fn check_once(history: &RoundHistory, tree: &Tree) -> Vec<Anomaly> {
    let creates = history
        .creates
        .iter()
        .flat_map(|(parent, creates)| sequence::check(parent, creates, &children(parent, tree)));
    let counters = history.counters.iter().flat_map(|(path, increments)| {
        let held = tree.get(path).map_or(0, |(_, stat)| stat.version.into());
        counter::check(path, increments, held)
    });
    creates.chain(counters).collect()
}

fn check_registers(world: &World, mut history: RoundHistory, tree: &Tree, checked: &mut Checked) {
    let now = world.now();
    for path in register_paths(&world.root) {
        let Some((data, stat)) = tree.get(&path) else {
            let detail = format!("{path} is gone");
            checked.anomalies.push(Anomaly::new(Promise::Durable, detail));
            continue;
        };
        let mut actions = history.registers.remove(&path).unwrap_or_default();
        actions.push(last_read(data, stat.version, stat.mzxid, Span::new(now, now)));
        let initial = Seen { value: 0, version: 0, mzxid: stat.czxid };
        let history = History { path, initial, actions };
        let mut wrong = false;
        for finding in register::check(&history) {
            match finding {
                Finding::Undecided => checked.undecided += 1,
                Finding::Anomaly(anomaly) => {
                    wrong = true;
                    checked.anomalies.push(anomaly);
                }
            }
        }
        if wrong {
            checked.histories.push(history);
        }
    }
}

fn final_balances(root: &str, tree: &Tree) -> Vec<i64> {
    let accounts = (0..ACCOUNTS).map(|number| format!("{root}/account-{number}"));
    accounts.filter_map(|path| balance(&tree.get(&path)?.0)).collect()
}

/// The children of a parent of sequential znodes, with their data.
pub(super) fn children(parent: &str, tree: &Tree) -> Present {
    let prefix = format!("{parent}/");
    tree.range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .map(|(path, (data, _))| {
            let id = std::str::from_utf8(data).ok().and_then(|text| text.trim_end().parse().ok());
            (path[prefix.len()..].to_owned(), id.unwrap_or(u64::MAX))
        })
        .collect()
}

/// Checks once more, at the end of the run, that what earlier rounds created is there.
pub(super) fn durable(creates: &BTreeMap<String, Vec<Create>>, tree: &Tree) -> Vec<Anomaly> {
    let parents = creates.iter();
    parents
        .flat_map(|(parent, creates)| sequence::durable(parent, creates, &children(parent, tree)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jute_proto::Stat;

    use super::*;
    use history::counter::Increment;
    use history::sequence::Outcome;

    /// Two transactions, each a create and an increment: the one was acknowledged, of the other nothing
    /// is known.
    fn history() -> RoundHistory {
        let span = |at| Span::new(Duration::from_secs(at), Duration::from_secs(at + 1));
        let create = |at, id, outcome| Create { span: span(at), id, outcome };
        let creates = vec![
            create(1, 11, Outcome::Created("n-0000000000".to_owned())),
            create(3, 12, Outcome::Unknown),
        ];
        let increments = vec![Increment::Done(1), Increment::Unknown];
        RoundHistory {
            creates: BTreeMap::from([("/r/once".to_owned(), creates)]),
            counters: BTreeMap::from([("/r/counter".to_owned(), increments)]),
            ..RoundHistory::default()
        }
    }

    /// What the servers hold: the data of the creates, by their numbers, and the counter.
    fn tree(creates: &[(u32, u64)], version: i32) -> Tree {
        let created = creates.iter().map(|(number, id)| {
            let path = format!("/r/once/n-{number:010}");
            (path, (id.to_string().into_bytes(), Stat::default()))
        });
        let counter = (Vec::new(), Stat { version, ..Stat::default() });
        created.chain([("/r/counter".to_owned(), counter)]).collect()
    }

    #[test]
    fn a_planted_double_and_a_planted_loss_are_found() {
        // The unknown one may be done or not; what is done twice, or gone, is found by each checker.
        for (creates, version) in [(&[(0, 11)][..], 1), (&[(0, 11), (1, 12)], 2)] {
            assert_eq!(check_once(&history(), &tree(creates, version)), []);
        }
        for (creates, version) in [
            // Done twice: the acknowledged create, the unknown one, an increment.
            (&[(0, 11), (1, 11)][..], 1),
            (&[(0, 11), (1, 12), (2, 12)], 2),
            (&[(0, 11), (1, 12)], 3),
            // Lost: the acknowledged create, the acknowledged increment.
            (&[(1, 12)], 2),
            (&[(0, 11)], 0),
        ] {
            let found = check_once(&history(), &tree(creates, version));
            assert_eq!(found.len(), 1, "{creates:?} {version}: {found:?}");
        }
    }
}
