//! The data of one znode, set and read by many clients.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use jute_proto::Zxid;

use super::linearizable::{self, Object, Verdict};
use super::{Anomaly, Promise, Span};

/// One state of the znode, as a client was shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The number that was written; the writes of a history all differ.
    pub value: u64,
    /// `Stat.version`.
    pub version: i32,
    /// `Stat.mzxid`.
    pub mzxid: Zxid,
}

/// What a client did with the znode, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// setData, of any version or of the expected one.
    Write {
        /// What was written.
        value: u64,
        /// The version that it was to replace.
        expected: Option<i32>,
        /// The answer.
        outcome: Outcome,
    },
    /// sync and getData, in one go.
    SyncedRead(Seen),
    /// getData alone: it may show an old state, but none that never was.
    PlainRead(Seen),
}

impl Action {
    /// The state that the answer showed.
    fn seen(&self) -> Option<Seen> {
        match *self {
            Self::SyncedRead(seen) | Self::PlainRead(seen) => Some(seen),
            Self::Write { value, outcome: Outcome::Done { version, mzxid }, .. } => {
                Some(Seen { value, version, mzxid })
            }
            Self::Write { .. } => None,
        }
    }
}

/// The answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the version and the zxid of the Stat.
    Done {
        /// `Stat.version`.
        version: i32,
        /// `Stat.mzxid`.
        mzxid: Zxid,
    },
    /// BADVERSION.
    BadVersion,
    /// Refused for another reason: certainly not done.
    Refused,
    /// No answer came.
    Unknown,
}

/// All that was done with one znode.
#[derive(Debug, Clone)]
pub struct History {
    /// The znode.
    pub path: String,
    /// What it held at first.
    pub initial: Seen,
    /// The actions, in any order.
    pub actions: Vec<(Span, Action)>,
}

impl fmt::Display for History {
    /// One action a line, in the order in which they began.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut actions: Vec<&(Span, Action)> = self.actions.iter().collect();
        actions.sort_by_key(|(span, _)| span.invoked);
        writeln!(f, "{} at first {:?}", self.path, self.initial)?;
        for (span, action) in actions {
            writeln!(f, "{span} {action:?}")?;
        }
        Ok(())
    }
}

/// What the check of a history found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The promise that was broken.
    Anomaly(Anomaly),
    /// The search for an order was given up.
    Undecided,
}

/// Checks a history: writes and synced reads are linearizable; every state that anybody saw is one
/// that a write made, and each version has one zxid and one value.
#[must_use]
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        inconsistencies(history).into_iter().map(Finding::Anomaly).collect();
    let shown = Rc::new(shown(history));
    let linear: Vec<(Span, Step)> = history
        .actions
        .iter()
        .filter(|(_, action)| match action {
            Action::PlainRead(_) | Action::Write { outcome: Outcome::Refused, .. } => false,
            Action::SyncedRead(_) | Action::Write { .. } => true,
        })
        .map(|(span, action)| (*span, Step { action: *action, shown: Rc::clone(&shown) }))
        .collect();
    let initial = Register { value: history.initial.value, version: history.initial.version };
    match linearizable::check(&initial, &linear) {
        Verdict::Linearizable => {}
        Verdict::Undecided => findings.push(Finding::Undecided),
        Verdict::NotLinearizable { longest, state } => {
            let total = linear.len();
            let next = (0..total)
                .filter(|at| !longest.contains(at))
                .min_by_key(|at| linear[*at].0.completed.unwrap_or(Duration::MAX));
            let next = next.map(|at| format!("{} {:?}", linear[at].0, linear[at].1.action));
            findings.push(Finding::Anomaly(Anomaly::new(
                Promise::Linearizable,
                format!(
                    "{}: no order of its {total} operations; the longest beginning has {} and ends \
                     in {state:?}; not placed: {}",
                    history.path,
                    longest.len(),
                    next.unwrap_or_default()
                ),
            )));
        }
    }
    findings
}

/// The register as the search knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Register {
    value: u64,
    version: i32,
}

/// An action, beside the values that anybody saw in each version.
///
/// An unanswered write can have made only a version in which its own value or nothing was seen:
/// what else it could have done need not be searched.
struct Step {
    action: Action,
    shown: Rc<Shown>,
}

/// The versions in which each value was seen, and the value of each version.
#[derive(Debug, Default)]
struct Shown {
    versions: BTreeMap<u64, i32>,
    values: BTreeMap<i32, u64>,
}

impl Shown {
    fn allows(&self, value: u64, version: i32) -> bool {
        self.versions.get(&value).is_none_or(|shown| *shown == version)
            && self.values.get(&version).is_none_or(|shown| *shown == value)
    }
}

impl Object for Register {
    type Operation = Step;

    fn after(&self, Step { action, shown }: &Step) -> Option<Self> {
        match *action {
            Action::SyncedRead(seen) | Action::PlainRead(seen) => {
                (seen.value == self.value && seen.version == self.version).then(|| self.clone())
            }
            Action::Write { value, expected, outcome } => {
                let fits = expected.is_none_or(|expected| expected == self.version);
                let written = Self { value, version: self.version + 1 };
                match outcome {
                    Outcome::Done { version, .. } => {
                        (fits && version == written.version).then_some(written)
                    }
                    Outcome::BadVersion => (!fits).then(|| self.clone()),
                    Outcome::Unknown => {
                        (fits && shown.allows(value, written.version)).then_some(written)
                    }
                    Outcome::Refused => None,
                }
            }
        }
    }
}

fn shown(history: &History) -> Shown {
    let mut shown = Shown::default();
    for seen in history.actions.iter().filter_map(|(_, action)| action.seen()) {
        shown.versions.insert(seen.value, seen.version);
        shown.values.insert(seen.version, seen.value);
    }
    shown
}

/// Everything that was shown, by anyone: a version, its zxid and its value belong together, later
/// versions have later zxids, and nothing shows before it was sent or although it was refused.
fn inconsistencies(history: &History) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let mut versions: BTreeMap<i32, Seen> = BTreeMap::new();
    let writes = writes(history);
    versions.insert(history.initial.version, history.initial);
    for (span, action) in &history.actions {
        let Some(seen) = action.seen() else { continue };
        let known = *versions.entry(seen.version).or_insert(seen);
        if known != seen {
            anomalies.push(Anomaly::new(
                Promise::Versions,
                format!("{}: one version, two states: {known:?} and {seen:?}", history.path),
            ));
        }
        if seen == history.initial {
            continue;
        }
        if let Some(why) = impossible(writes.get(&seen.value), &seen, span) {
            let path = &history.path;
            anomalies
                .push(Anomaly::new(Promise::Versions, format!("{path}: {span} {action:?}: {why}")));
        }
    }
    for ((_, one), (_, next)) in versions.iter().zip(versions.iter().skip(1)) {
        if one.mzxid >= next.mzxid {
            anomalies.push(Anomaly::new(
                Promise::Versions,
                format!("{}: zxids do not grow with versions: {one:?}, {next:?}", history.path),
            ));
        }
    }
    anomalies
}

type Write = (Span, Option<i32>, Outcome);

fn writes(history: &History) -> BTreeMap<u64, Write> {
    let writes = history.actions.iter().filter_map(|(span, action)| match *action {
        Action::Write { value, expected, outcome } => Some((value, (*span, expected, outcome))),
        Action::SyncedRead(_) | Action::PlainRead(_) => None,
    });
    writes.collect()
}

/// Why the write of a state that was seen could not have made it.
fn impossible(write: Option<&Write>, seen: &Seen, span: &Span) -> Option<&'static str> {
    let Some((written, expected, outcome)) = write else { return Some("nobody wrote that") };
    if span.before(written) {
        return Some("seen before it was written");
    }
    if expected.is_some_and(|expected| expected + 1 != seen.version) {
        return Some("written over another version than the expected one");
    }
    match outcome {
        Outcome::BadVersion | Outcome::Refused => Some("written although refused"),
        Outcome::Unknown => None,
        Outcome::Done { version, mzxid } => {
            (*version != seen.version || *mzxid != seen.mzxid).then_some("written twice")
        }
    }
}

#[cfg(test)]
#[path = "register_test.rs"]
mod tests;
