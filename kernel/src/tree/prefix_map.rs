//! Values by path, found by the paths below them.
//!
//! To find what stands at or above a path costs as much as the path is long, however many values there are
//! and however deep it is: the hash of each ancestor follows from that of the one above it.

use alloc::sync::Arc;
use core::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

use super::digest::mix;
use super::path::{ROOT, names};

/// A map from paths to values.
#[derive(Debug)]
pub(crate) struct PrefixMap<T> {
    items: HashTable<Item<T>>,
    /// Seeded anew in each process, so that no client can choose paths that collide.
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Item<T> {
    hash: u64,
    path: Arc<str>,
    value: T,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { items: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T> PrefixMap<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut T> {
        let hash = self.hash(path);
        self.items.find_mut(hash, |item| *item.path == *path).map(|item| &mut item.value)
    }

    /// The value of a path, a new one where there is none.
    pub(crate) fn get_or_insert(&mut self, path: &str) -> &mut T
    where
        T: Default,
    {
        let hash = self.hash(path);
        let is_it = |item: &Item<T>| *item.path == *path;
        let item = match self.items.entry(hash, is_it, |item| item.hash) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => {
                let item = Item { hash, path: path.into(), value: T::default() };
                free.insert(item).into_mut()
            }
        };
        &mut item.value
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let hash = self.hash(path);
        if let Ok(found) = self.items.find_entry(hash, |item| *item.path == *path) {
            found.remove();
        }
    }

    /// The values at a path of a node and above it, the root's first.
    pub(crate) fn above<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a T)> {
        let hashes = names(path).scan((0, 0), |(hash, end), name| {
            *hash = self.step(*hash, name);
            *end += name.len() + 1;
            Some((*hash, *end - 1))
        });
        // The root has a name of its own: it is no part of the others'.
        let hashes = hashes.filter(move |(_, end)| path != ROOT || *end == 0);
        hashes.filter_map(move |(hash, end)| {
            let prefix = if end == 0 { ROOT } else { &path[..end] };
            Some((prefix, self.find(hash, prefix)?))
        })
    }

    fn find(&self, hash: u64, path: &str) -> Option<&T> {
        self.items.find(hash, |item| *item.path == *path).map(|item| &item.value)
    }

    /// Names are hashed one by one; that of the root is empty.
    fn hash(&self, path: &str) -> u64 {
        names(if path == ROOT { "" } else { path }).fold(0, |hash, name| self.step(hash, name))
    }

    fn step(&self, hash: u64, name: &[u8]) -> u64 {
        mix(hash, self.hasher.hash_one(name))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn values_are_found_from_below() {
        // What stands at a path, at the root and between is found in order; what stands beside, below, or at
        // what is no path is not.
        let mut map = PrefixMap::default();
        let all = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "", "a", "/a/", "//"];
        for (number, path) in (0..).zip(all) {
            *map.get_or_insert(path) = number;
        }
        let above = |path| map.above(path).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(above("/a/b"), ["/", "/a", "/a/b"]);
        assert_eq!(above("/a/bc/d"), ["/", "/a"]);
        assert_eq!(above("/x"), ["/"]);
        assert_eq!(above("/"), ["/"]);
        for (path, number) in all.iter().zip(0..) {
            assert_eq!(map.get_mut(path), Some(&mut number.clone()), "{path}");
        }
        for path in ["/", "/a"] {
            map.remove(path);
            map.remove(path);
        }
        assert_eq!(map.above("/a/b/c/d").map(|(at, _)| at).collect::<Vec<_>>(), ["/a/b", "/a/b/c"]);
        assert_eq!(map.get_mut("/a"), None);
    }
}
