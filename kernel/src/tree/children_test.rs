use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::*;

fn path(number: usize) -> Arc<str> {
    format!("/a/{number:06}").into()
}

/// What a set of paths would say of the same list.
fn check(children: &Children, expected: &BTreeSet<Arc<str>>) {
    assert_eq!(children.len(), expected.len());
    assert_eq!(children.is_empty(), expected.is_empty());
    assert_eq!(children.iter().len(), expected.len());
    assert!(children.iter().eq(expected));
    let lengths: Vec<_> = children.runs.iter().map(Vec::len).collect();
    assert!(lengths.iter().all(|length| (1..=RUN_MAX).contains(length)), "{lengths:?}");
}

#[test]
fn children_are_a_sorted_set_whatever_comes_and_goes() {
    // In each order in which names may come, and while they go in another, the list is that of a set;
    // what comes twice or goes twice changes nothing.
    let count = 5 * RUN_MAX;
    let orders: [&dyn Fn(usize) -> usize; 4] = [
        &|at| at,
        &|at| count - at,
        // Ten that count up by turns.
        &|at| at % 10 * 1000 + at / 10,
        &|at| at * 7919 % 10_007,
    ];
    for (coming, going) in [(0, 0), (0, 3), (1, 1), (1, 0), (2, 2), (2, 1), (3, 3), (3, 2)] {
        let (mut children, mut expected) = (Children::new(), BTreeSet::new());
        for at in 0..count {
            for _ in 0..2 {
                children.insert(path(orders[coming](at)));
            }
            expected.insert(path(orders[coming](at)));
            if at % 97 == 0 || at + 1 == count {
                check(&children, &expected);
            }
        }
        // Another order goes through other names as well.
        let mut left: Vec<_> = (0..count).map(|at| path(orders[going](at))).collect();
        left.extend(expected.clone());
        for (at, path) in left.iter().enumerate() {
            children.remove(path);
            expected.remove(path);
            if at % 97 == 0 {
                check(&children, &expected);
            }
        }
        check(&children, &BTreeSet::new());
        assert!(children.runs.is_empty());
    }
}

#[test]
fn a_list_goes_on_behind_any_path() {
    // Behind one that is there, between two, before the first, behind the last, and at the ends of runs.
    let mut children = Children::new();
    (0..3 * RUN_MAX).for_each(|number| children.insert(path(2 * number)));
    for number in 0..6 * RUN_MAX + 2 {
        let after = children.after(Some(&path(number))).next().cloned();
        let next = Some(number / 2 + 1).filter(|next| *next < 3 * RUN_MAX);
        assert_eq!(after, next.map(|next| path(2 * next)), "behind {number}");
    }
    assert_eq!(children.after(Some("/")).count(), 3 * RUN_MAX);
    assert_eq!(children.after(None).count(), 3 * RUN_MAX);
    assert_eq!(Children::new().after(Some("/a")).count(), 0);
}

#[test]
fn runs_are_full_where_names_count_up_or_down() {
    // The memory of a long list is that of its paths: about twice as many runs as are needed at most, in
    // whatever order they come, and none to spare where they come in order.
    let count = 20 * RUN_MAX;
    let runs = |order: &dyn Fn(usize) -> usize| {
        let mut children = Children::new();
        (0..count).for_each(|at| children.insert(path(order(at))));
        children.runs.len()
    };
    assert_eq!(runs(&|at| at), 20);
    assert!(runs(&|at| count - at) <= 21);
    assert!(runs(&|at| at % 10 * 10_000 + at / 10) <= 42);
    assert!(runs(&|at| at * 7919 % 100_003) <= 42);
}

#[test]
fn a_list_that_shrinks_gives_its_memory_back() {
    // Of many children a few are left, far from each other.
    let mut children = Children::new();
    (0..20 * RUN_MAX).for_each(|number| children.insert(path(number)));
    (0..20 * RUN_MAX).filter(|number| number % 64 > 0).for_each(|at| children.remove(&path(at)));
    assert_eq!(children.len(), 80);
    let room: usize = children.runs.iter().map(Vec::capacity).sum();
    assert!(room <= 4 * 80, "room for {room}");
    assert!(children.runs.capacity() <= 8, "{}", children.runs.capacity());
}
