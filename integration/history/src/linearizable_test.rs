use std::time::Duration;

use super::{Object, Verdict, check};
use crate::Span;

/// A register of a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Number(u32);

enum Operation {
    Write(u32),
    Read(u32),
}
use Operation::{Read, Write};

impl Object for Number {
    type Operation = Operation;

    fn after(&self, operation: &Operation) -> Option<Self> {
        match operation {
            Write(value) => Some(Self(*value)),
            Read(value) => (self.0 == *value).then(|| self.clone()),
        }
    }
}

fn span(invoked: u64, completed: u64) -> Span {
    Span::new(Duration::from_millis(invoked), Duration::from_millis(completed))
}

fn lost(invoked: u64) -> Span {
    Span::unanswered(Duration::from_millis(invoked))
}

fn fits(operations: &[(Span, Operation)]) -> bool {
    match check(&Number(0), operations) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable { .. } => false,
        Verdict::Undecided => panic!("a short history is decided"),
    }
}

#[test]
fn one_after_the_other_is_linearizable() {
    // A history without concurrency fits when each read shows the last write, and only then.
    assert!(fits(&[]));
    assert!(fits(&[(span(0, 1), Write(7)), (span(2, 3), Read(7))]));
    assert!(!fits(&[(span(0, 1), Write(7)), (span(2, 3), Read(0))]));
}

#[test]
fn concurrent_operations_may_take_either_order() {
    // A read beside a write may show the old or the new; two reads in a row not new and then old.
    assert!(fits(&[(span(0, 9), Write(7)), (span(1, 2), Read(0)), (span(3, 4), Read(7))]));
    assert!(!fits(&[(span(0, 9), Write(7)), (span(1, 2), Read(7)), (span(3, 4), Read(0))]));
}

#[test]
fn an_unanswered_operation_may_happen_late_or_never() {
    // A write without an answer may show long after, but once overwritten it does not come back,
    // and it does not show before it was sent.
    assert!(fits(&[(lost(0), Write(7)), (span(5, 6), Read(0)), (span(7, 8), Read(7))]));
    assert!(fits(&[(lost(0), Write(7)), (span(5, 6), Read(0))]));
    assert!(!fits(&[(span(1, 2), Read(7)), (lost(3), Write(7))]));
    assert!(!fits(&[
        (lost(0), Write(7)),
        (span(1, 2), Read(7)),
        (span(3, 4), Write(8)),
        (span(5, 6), Read(7)),
    ]));
}

#[test]
fn a_lost_write_is_found_among_many() {
    // Among a hundred concurrent writes and their reads, one read of what was never written or was
    // surely overwritten is found, and the verdict names where the order breaks off.
    let mut operations = Vec::new();
    for n in 0..100u32 {
        let at = u64::from(n) * 10;
        operations.push((span(at, at + 15), Write(n + 1)));
        operations.push((span(at + 16, at + 18), Read(n + 1)));
    }
    // Each write overlaps the next one, which may take effect before the read: not so here.
    operations.retain(|(_, operation)| !matches!(operation, Read(n) if n % 3 != 0));
    assert!(fits(&operations));
    operations.push((span(1_200, 1_201), Read(42)));
    let verdict = check(&Number(0), &operations);
    let Verdict::NotLinearizable { longest, state } = verdict else { panic!("{verdict:?}") };
    assert_eq!((longest.len(), state), (operations.len() - 1, Number(100)));
}

#[test]
fn many_unanswered_operations_are_decided() {
    // Twenty writes whose outcome is unknown do not make the search endless.
    let mut operations: Vec<_> = (0..20).map(|n| (lost(n), Write(n as u32 + 100))).collect();
    operations.extend((0..30).map(|n| (span(100 + n * 2, 101 + n * 2), Write(n as u32))));
    operations.push((span(500, 501), Read(105)));
    operations.push((span(502, 503), Read(119)));
    assert!(fits(&operations));
}
