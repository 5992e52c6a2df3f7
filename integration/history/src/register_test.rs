use std::time::Duration;

use jute_proto::Zxid;

use super::{Action, Finding, History, Outcome, Seen, check};
use crate::{Promise, Span};

fn span(invoked: u64, completed: u64) -> Span {
    Span::new(Duration::from_millis(invoked), Duration::from_millis(completed))
}

fn seen(value: u64, version: i32) -> Seen {
    Seen { value, version, mzxid: Zxid(i64::from(version) + 100) }
}

fn done(value: u64, expected: Option<i32>, version: i32) -> Action {
    let outcome = Outcome::Done { version, mzxid: Zxid(i64::from(version) + 100) };
    Action::Write { value, expected, outcome }
}

fn other(value: u64, expected: Option<i32>, outcome: Outcome) -> Action {
    Action::Write { value, expected, outcome }
}

/// The promises that a history of a register breaks, which first holds 0.
fn broken(actions: &[(Span, Action)]) -> Vec<Promise> {
    let history = History { path: "/r".into(), initial: seen(0, 0), actions: actions.to_vec() };
    let findings = check(&history);
    findings
        .into_iter()
        .map(|finding| match finding {
            Finding::Anomaly(anomaly) => anomaly.promise,
            Finding::Undecided => panic!("a short history is decided"),
        })
        .collect()
}

#[test]
fn a_correct_history_passes() {
    // Versions, refusals by version, lost answers and old plain reads are all as they may be.
    let actions = [
        (span(0, 5), done(1, None, 1)),
        (span(6, 9), Action::SyncedRead(seen(1, 1))),
        (span(7, 20), done(2, Some(1), 2)),
        (span(8, 30), other(3, Some(1), Outcome::BadVersion)),
        (Span::unanswered(Duration::from_millis(9)), other(4, None, Outcome::Unknown)),
        (span(40, 41), Action::PlainRead(seen(1, 1))),
        (span(50, 51), Action::SyncedRead(seen(4, 3))),
    ];
    assert_eq!(broken(&actions), []);
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    // A synced read after an acknowledged write shows the state before it.
    let actions = [(span(0, 5), done(1, None, 1)), (span(6, 9), Action::SyncedRead(seen(0, 0)))];
    assert_eq!(broken(&actions), [Promise::Linearizable]);
    let plain = [(span(0, 5), done(1, None, 1)), (span(6, 9), Action::PlainRead(seen(0, 0)))];
    assert_eq!(broken(&plain), []);
}

#[test]
fn a_write_applied_twice_is_found() {
    // One acknowledged write made two versions: the second shows in a plain read already.
    let actions = [(span(0, 5), done(1, None, 1)), (span(6, 9), Action::PlainRead(seen(1, 2)))];
    assert_eq!(broken(&actions), [Promise::Versions]);
}

#[test]
fn two_writes_of_one_version_are_found() {
    // Two servers that both decide give two writes the same version.
    let second = Outcome::Done { version: 1, mzxid: Zxid(999) };
    let actions = [(span(0, 5), done(1, None, 1)), (span(0, 5), other(2, None, second))];
    assert!(broken(&actions).contains(&Promise::Versions));
    assert!(broken(&actions).contains(&Promise::Linearizable));
}

#[test]
fn a_refused_write_that_shows_is_found() {
    // What was refused is never read, nor what nobody wrote.
    for outcome in [Outcome::BadVersion, Outcome::Refused] {
        let actions =
            [(span(0, 5), other(1, Some(7), outcome)), (span(6, 9), Action::PlainRead(seen(1, 8)))];
        assert_eq!(broken(&actions), [Promise::Versions]);
    }
    assert_eq!(broken(&[(span(6, 9), Action::PlainRead(seen(5, 1)))]), [Promise::Versions]);
}

#[test]
fn a_wrong_refusal_is_found() {
    // A write that expected the version that was there all the time is not refused.
    let actions = [(span(0, 5), other(1, Some(0), Outcome::BadVersion))];
    assert_eq!(broken(&actions), [Promise::Linearizable]);
}

#[test]
fn zxids_that_go_back_are_found() {
    // A later version has a later zxid.
    let early = Outcome::Done { version: 2, mzxid: Zxid(50) };
    let actions = [(span(0, 5), done(1, None, 1)), (span(6, 9), other(2, None, early))];
    assert_eq!(broken(&actions), [Promise::Versions]);
}
