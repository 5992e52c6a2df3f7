//! Whether the operations of concurrent clients could have happened one after the other.
//!
//! The search of Wing and Gong: of the operations that were under way before the first unmatched
//! answer, take one that the object's state allows, and go on with the rest; where that leads
//! nowhere, take it back and try another. As in Lowe's variant, which porcupine uses, a set of
//! taken operations with the state they led to is never searched twice.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

use super::Span;

/// Steps after which a search is given up: some histories would take for ever.
const STEPS_MAX: usize = 3_000_000;

/// An object whose operations are recorded with their answers.
pub trait Object: Clone + Debug + Eq + Hash {
    /// An operation with its answer, or without one.
    type Operation;

    /// The object after the operation; `None` where the answer could not have been given.
    ///
    /// An operation without an answer that would change nothing may answer `None` too.
    #[must_use]
    fn after(&self, operation: &Self::Operation) -> Option<Self>;
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<O> {
    /// There is an order.
    Linearizable,
    /// There is none. As many operations could be put in order as in `longest`, which led to
    /// `state`; no other followed.
    NotLinearizable {
        /// The longest beginning of an order that was found, as places in the history.
        longest: Vec<usize>,
        /// The object after it.
        state: O,
    },
    /// The search was given up.
    Undecided,
}

/// Looks for an order of `operations` that begins with `initial` and agrees with the clock.
#[must_use]
pub fn check<O: Object>(initial: &O, operations: &[(Span, O::Operation)]) -> Verdict<O> {
    Search::new(initial.clone(), operations).run()
}

/// A call or an answer, in the order of time; a list that elements are taken out of and put back.
#[derive(Debug, Clone, Copy)]
struct Event {
    operation: usize,
    is_call: bool,
    /// The event of the same operation's answer, for a call that has one.
    answer: Option<usize>,
    before: usize,
    after: usize,
}

/// Operations that were taken, one bit each.
type Taken = Vec<u64>;

struct Search<'a, O: Object> {
    operations: &'a [(Span, O::Operation)],
    /// Event 0 and the last one are the ends of the list.
    events: Vec<Event>,
    state: O,
    taken: Taken,
    /// The calls that were taken, with the state before each.
    stack: Vec<(usize, O)>,
    known: HashSet<(Taken, O)>,
    longest: (Vec<usize>, O),
}

impl<'a, O: Object> Search<'a, O> {
    fn new(initial: O, operations: &'a [(Span, O::Operation)]) -> Self {
        Self {
            operations,
            events: events(operations),
            state: initial.clone(),
            taken: vec![0; operations.len().div_ceil(64)],
            stack: Vec::new(),
            known: HashSet::new(),
            longest: (Vec::new(), initial),
        }
    }

    fn run(mut self) -> Verdict<O> {
        let end = self.events.len() - 1;
        let mut at = self.events[0].after;
        // Operations without an answer are tried only where no other leads on: most never happened.
        let mut unanswered = false;
        for _ in 0..STEPS_MAX {
            if at == end {
                // No answer is left: what remains was never answered and need not have happened.
                return Verdict::Linearizable;
            }
            let Event { is_call, answer, after, .. } = self.events[at];
            if is_call {
                let taken = answer.is_none() == unanswered && self.take(at);
                unanswered &= !taken;
                at = if taken { self.events[0].after } else { after };
            } else if !unanswered {
                unanswered = true;
                at = self.events[0].after;
            } else {
                // Nothing that was under way before this answer fits.
                let Some(call) = self.take_back() else {
                    let (longest, state) = self.longest;
                    return Verdict::NotLinearizable { longest, state };
                };
                unanswered = self.events[call].answer.is_none();
                at = self.events[call].after;
            }
        }
        Verdict::Undecided
    }

    /// Takes the operation of the call `at` as the next one, unless it does not fit or leads to
    /// what was searched before.
    fn take(&mut self, at: usize) -> bool {
        let operation = self.events[at].operation;
        let Some(after) = self.state.after(&self.operations[operation].1) else { return false };
        self.taken[operation / 64] ^= 1 << (operation % 64);
        if !self.known.insert((self.taken.clone(), after.clone())) {
            self.taken[operation / 64] ^= 1 << (operation % 64);
            return false;
        }
        let before = std::mem::replace(&mut self.state, after);
        self.stack.push((at, before));
        self.unlink(at);
        if let Some(answer) = self.events[at].answer {
            self.unlink(answer);
        }
        if self.stack.len() > self.longest.0.len() {
            let order = self.stack.iter().map(|(call, _)| self.events[*call].operation);
            self.longest = (order.collect(), self.state.clone());
        }
        true
    }

    /// Takes back the last operation; its call.
    fn take_back(&mut self) -> Option<usize> {
        let (call, before) = self.stack.pop()?;
        let operation = self.events[call].operation;
        self.taken[operation / 64] ^= 1 << (operation % 64);
        self.state = before;
        if let Some(answer) = self.events[call].answer {
            self.relink(answer);
        }
        self.relink(call);
        Some(call)
    }

    fn unlink(&mut self, at: usize) {
        let Event { before, after, .. } = self.events[at];
        self.events[before].after = after;
        self.events[after].before = before;
    }

    fn relink(&mut self, at: usize) {
        let Event { before, after, .. } = self.events[at];
        self.events[before].after = at;
        self.events[after].before = at;
    }
}

/// All calls and answers in the order of time, between two ends.
fn events<T>(operations: &[(Span, T)]) -> Vec<Event> {
    // At the same time a call goes first: then the two were under way together.
    let mut order: Vec<_> = Vec::with_capacity(operations.len() * 2);
    for (operation, (span, _)) in operations.iter().enumerate() {
        order.push((span.invoked, 0, operation));
        if let Some(completed) = span.completed {
            order.push((completed, 1, operation));
        }
    }
    order.sort_unstable();
    let end = Event { operation: usize::MAX, is_call: false, answer: None, before: 0, after: 1 };
    let mut events = vec![end];
    let mut calls = vec![0; operations.len()];
    for (_, kind, operation) in order {
        let at = events.len();
        let is_call = kind == 0;
        if is_call {
            calls[operation] = at;
        } else {
            events[calls[operation]].answer = Some(at);
        }
        events.push(Event { operation, is_call, answer: None, before: at - 1, after: at + 1 });
    }
    let last = events.len();
    events.push(Event { before: last - 1, after: last, ..end });
    events
}

#[cfg(test)]
#[path = "linearizable_test.rs"]
mod tests;
