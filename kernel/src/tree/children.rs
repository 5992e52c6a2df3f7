//! The children of a node: their paths, sorted, in runs of bounded length.
//!
//! Most lists grow at their end, because names count up. There a path is added after one comparison, and
//! runs are left full, where a tree of small nodes compares its way down each time and is left half empty.
//! Elsewhere a run is found by bisection, and to add or to remove moves pointers of one run only.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::slice;

/// Paths in one run. Long runs make a long list of few runs, short ones move less when one of them changes.
const RUN_MAX: usize = 256;

/// The children of a node, by their whole paths: the strings that the children have anyway.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// None is empty or longer than [`RUN_MAX`]; all paths of a run are before those of the next.
    runs: Vec<Vec<Arc<str>>>,
    len: usize,
    /// Run and place of the last change: the next one is mostly beside it.
    last_change: (usize, usize),
}

impl Children {
    pub(super) const fn new() -> Self {
        Self { runs: Vec::new(), len: 0, last_change: (0, 0) }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a path; one that is there already stays as it is.
    pub(super) fn insert(&mut self, path: Arc<str>) {
        let is_last = self.last().is_none_or(|last| **last < *path);
        let (at, place) = match is_last {
            true => (self.runs.len().saturating_sub(1), self.runs.last().map_or(0, Vec::len)),
            false => match self.search_for_change(&path) {
                Ok(_) => return,
                Err(place) => place,
            },
        };
        self.len += 1;
        self.last_change = (at, place);
        match self.runs.get_mut(at) {
            Some(run) if run.len() < RUN_MAX => run.insert(place, path),
            // In front of all.
            Some(_) if place == 0 => self.runs.insert(at, vec![path]),
            Some(run) if place < RUN_MAX => {
                let mut rest = run.split_off(RUN_MAX / 2);
                match place.checked_sub(RUN_MAX / 2) {
                    Some(place) => rest.insert(place, path),
                    None => run.insert(place, path),
                }
                self.runs.insert(at + 1, rest);
            }
            // Behind a full run, which stays full.
            Some(_) => match self.runs.get_mut(at + 1) {
                Some(next) if next.len() < RUN_MAX => next.insert(0, path),
                Some(_) | None => self.runs.insert(at + 1, vec![path]),
            },
            None => self.runs.push(vec![path]),
        }
    }

    /// Takes a path out.
    pub(super) fn remove(&mut self, path: &str) {
        let Ok((at, place)) = self.search_for_change(path) else { return };
        let run = &mut self.runs[at];
        run.remove(place);
        self.len -= 1;
        self.last_change = (at, place);
        if run.is_empty() {
            self.runs.remove(at);
        } else {
            shrink(run);
            self.merge(at);
            if let Some(before) = at.checked_sub(1) {
                self.merge(before);
            }
        }
        shrink(&mut self.runs);
    }

    /// Makes one of two short neighbours, so that a list that shrinks has no more runs than it needs.
    fn merge(&mut self, at: usize) {
        let Some([run, next]) = self.runs.get_mut(at..).and_then(<[_]>::first_chunk_mut) else {
            return;
        };
        if run.len() + next.len() <= RUN_MAX / 2 {
            run.append(next);
            self.runs.remove(at + 1);
        }
    }

    /// All paths, sorted.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        Counted { paths: self.run_on(0, 0), left: self.len }
    }

    /// The paths behind one that need not be there; all of them without it.
    pub(super) fn after(&self, path: Option<&str>) -> Paths<'_> {
        let Some(path) = path else { return self.run_on(0, 0) };
        match self.search(path) {
            Ok((at, place)) => self.run_on(at, place + 1),
            Err((at, place)) => self.run_on(at, place),
        }
    }

    fn last(&self) -> Option<&Arc<str>> {
        self.runs.last().and_then(|run| run.last())
    }

    /// Run and place of a path, or where it would have to be.
    fn search(&self, path: &str) -> Result<(usize, usize), (usize, usize)> {
        let behind = self.runs.partition_point(|run| run.first().is_some_and(|at| **at <= *path));
        let at = behind.saturating_sub(1);
        let Some(run) = self.runs.get(at) else { return Err((0, 0)) };
        let place = run.binary_search_by(|other| (**other).cmp(path));
        place.map(|place| (at, place)).map_err(|place| (at, place))
    }

    /// As [`search`](Self::search), for who adds or takes out: where the last one did is looked at first.
    fn search_for_change(&self, path: &str) -> Result<(usize, usize), (usize, usize)> {
        self.search_near(path).unwrap_or_else(|| self.search(path))
    }

    /// As [`search`](Self::search), where two paths side by side tell: the one at the last change, and its neighbour.
    fn search_near(&self, path: &str) -> Option<Result<(usize, usize), (usize, usize)>> {
        let (at, place) = self.last_change;
        let run = self.runs.get(at)?;
        match path.cmp(run.get(place)?) {
            Ordering::Equal => Some(Ok((at, place))),
            Ordering::Greater => match path.cmp(run.get(place + 1)?) {
                Ordering::Equal => Some(Ok((at, place + 1))),
                Ordering::Less => Some(Err((at, place + 1))),
                Ordering::Greater => None,
            },
            Ordering::Less => match path.cmp(run.get(place.checked_sub(1)?)?) {
                Ordering::Equal => Some(Ok((at, place - 1))),
                Ordering::Greater => Some(Err((at, place))),
                Ordering::Less => None,
            },
        }
    }

    /// The paths from a place on.
    fn run_on(&self, at: usize, place: usize) -> Paths<'_> {
        let mut runs = self.runs.get(at..).unwrap_or_default().iter();
        let run = runs.next().and_then(|run| run.get(place..)).unwrap_or_default().iter();
        Paths { run, runs }
    }
}

/// Gives memory back where most is unused.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > 4 * list.len() {
        list.shrink_to(2 * list.len());
    }
}

/// Paths in their order.
#[derive(Debug)]
pub(super) struct Paths<'a> {
    run: slice::Iter<'a, Arc<str>>,
    runs: slice::Iter<'a, Vec<Arc<str>>>,
}

impl<'a> Iterator for Paths<'a> {
    type Item = &'a Arc<str>;

    fn next(&mut self) -> Option<&'a Arc<str>> {
        loop {
            if let Some(path) = self.run.next() {
                return Some(path);
            }
            self.run = self.runs.next()?.iter();
        }
    }
}

/// Paths whose number is known.
struct Counted<'a> {
    paths: Paths<'a>,
    left: usize,
}

impl<'a> Iterator for Counted<'a> {
    type Item = &'a Arc<str>;

    fn next(&mut self) -> Option<&'a Arc<str>> {
        let path = self.paths.next()?;
        self.left -= 1;
        Some(path)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Counted<'_> {}

#[cfg(test)]
#[path = "children_test.rs"]
mod tests;
