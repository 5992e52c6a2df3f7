//! The names of lock contenders' znodes, by the convention of each library.

use crate::random::unique_id;

/// Whose convention the names of a lock's znodes follow.
///
/// Contenders of the other convention are seen in any case. They see this client only if it follows
/// theirs: choose what the other programs of the same lock use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockStyle {
    /// `_c_<uuid>-lock-<number>`, as Curator's `InterProcessMutex` and most Go clients (`lock-`).
    #[default]
    Curator,
    /// `<uuid>__lock__<number>`, as kazoo's `Lock`.
    Kazoo,
}

/// How a contender wants to hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockMode {
    /// To be alone.
    Exclusive,
    /// To read beside other readers.
    Read,
    /// To write, alone.
    Write,
}

/// The text before the number in the names of contenders who want to be alone, and of readers.
const EXCLUSIVE: [&str; 3] = ["lock-", "__lock__", "__WRIT__"];
const READ: [&str; 2] = ["__READ__", "__rlock__"];

impl LockStyle {
    /// The beginning of the name of a new contender, up to the number.
    pub(super) fn prefix(self, mode: LockMode) -> String {
        let id = unique_id();
        match (self, mode) {
            (Self::Curator, LockMode::Exclusive) => format!("_c_{}-lock-", hyphenated(&id)),
            (Self::Curator, LockMode::Read) => format!("_c_{}-__READ__", hyphenated(&id)),
            (Self::Curator, LockMode::Write) => format!("_c_{}-__WRIT__", hyphenated(&id)),
            (Self::Kazoo, LockMode::Exclusive | LockMode::Write) => format!("{id}__lock__"),
            (Self::Kazoo, LockMode::Read) => format!("{id}__rlock__"),
        }
    }
}

/// A UUID as Java reads it.
fn hyphenated(id: &str) -> String {
    let mut text = String::with_capacity(36);
    for (at, digit) in id.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// A contender as its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    number: i64,
    pub(super) reads: bool,
    pub(super) name: String,
}

/// The contenders among the children of a lock's znode, first come first.
pub(super) fn contenders(children: Vec<String>) -> Vec<Contender> {
    let mut contenders: Vec<Contender> = children.into_iter().filter_map(contender).collect();
    contenders.sort_unstable_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    contenders
}

fn contender(name: String) -> Option<Contender> {
    let number = |marker: &&str| name.rsplit_once(*marker)?.1.parse::<i64>().ok();
    let (number, reads) = match EXCLUSIVE.iter().find_map(number) {
        Some(number) => (number, false),
        None => (READ.iter().find_map(number)?, true),
    };
    Some(Contender { number, reads, name })
}

/// The contender that `name` has to wait for; the outer `None` where `name` is not in line.
pub(super) fn predecessor<'a>(
    line: &'a [Contender],
    name: &str,
    mode: LockMode,
) -> Option<Option<&'a Contender>> {
    let at = line.iter().position(|contender| contender.name == name)?;
    let in_front = line.get(..at).unwrap_or_default();
    Some(match mode {
        LockMode::Exclusive | LockMode::Write => in_front.last(),
        LockMode::Read => in_front.iter().rev().find(|contender| !contender.reads),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_of_all_conventions_stand_in_one_line() {
        // The number decides, whatever stands before it; other znodes are no contenders.
        let names = [
            "ffffffff__lock__0000000007",
            "_c_00000000-0000-0000-0000-000000000000-lock-0000000003",
            "lock-0000000005",
            "x-__READ__0000000004",
            "x__rlock__0000000006",
            "readme",
            "lock-x",
        ];
        let line = contenders(names.iter().map(|&name| name.to_owned()).collect());
        let numbers: Vec<(i64, bool)> = line.iter().map(|one| (one.number, one.reads)).collect();
        assert_eq!(numbers, [(3, false), (4, true), (5, false), (6, true), (7, false)]);
        let waits_for =
            |name, mode| predecessor(&line, name, mode).map(|one| one.map(|one| one.number));
        assert_eq!(waits_for("x__rlock__0000000006", LockMode::Read), Some(Some(5)));
        assert_eq!(waits_for("ffffffff__lock__0000000007", LockMode::Exclusive), Some(Some(6)));
        assert_eq!(waits_for("gone", LockMode::Exclusive), None);
    }

    #[test]
    fn names_are_those_that_curator_and_kazoo_know() {
        // Curator parses the id as a UUID, kazoo takes anything before its mark.
        let curator = LockStyle::Curator.prefix(LockMode::Exclusive);
        assert_eq!((curator.len(), &curator[..3], &curator[39..]), (45, "_c_", "-lock-"));
        assert_eq!(curator.matches('-').count(), 6);
        assert!(LockStyle::Kazoo.prefix(LockMode::Exclusive).ends_with("__lock__"));
        assert!(LockStyle::Kazoo.prefix(LockMode::Read).ends_with("__rlock__"));
        assert_ne!(LockStyle::Curator.prefix(LockMode::Exclusive), curator);
    }
}
