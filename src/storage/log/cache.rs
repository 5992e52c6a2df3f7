//! What the log holds, in memory: the place of every entry, and the newest entries themselves.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::entry::LogEntry;
use super::file_system::LogFile;
use crate::storage::{LogPosition, Vote};

/// Where an entry record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

#[derive(Debug)]
struct CachedEntry {
    term: u64,
    /// The entry itself, while it is kept in memory.
    entry: Option<LogEntry>,
    /// Its record; `None` until the record is on disk.
    place: Option<Place>,
}

/// Where to get an entry from.
#[derive(Debug)]
pub(super) enum Source {
    Memory(LogEntry),
    Disk { file: Arc<dyn LogFile>, place: Place, position: LogPosition },
}

/// The content of the log: `purged < entries`, consecutive.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogPosition>,
    pub(super) purged: Option<LogPosition>,
    /// The open segments, for reading.
    pub(super) files: BTreeMap<u64, Arc<dyn LogFile>>,
    /// The index of `slots[0]`.
    first: u64,
    slots: VecDeque<CachedEntry>,
    /// The payload bytes kept in memory.
    bytes: usize,
    /// No entry before this index is kept in memory.
    oldest_kept: u64,
    bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// The index that the next entry must have, once there is a first one.
    pub(super) fn next_index(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub(super) fn last(&self) -> Option<LogPosition> {
        let slot = self.slots.back().map(|slot| slot.term);
        slot.map(|term| LogPosition { term, index: self.next_index() - 1 }).or(self.purged)
    }

    pub(super) fn first_index(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.first)
    }

    /// Adds an entry at the end; false when its index would leave a hole.
    #[must_use]
    pub(super) fn push(&mut self, entry: LogEntry, place: Option<Place>) -> bool {
        let LogPosition { term, index } = entry.position;
        if self.slots.is_empty() && self.purged.is_none_or(|purged| index > purged.index) {
            self.first = index;
            self.oldest_kept = index;
        }
        if index != self.next_index() {
            return false;
        }
        self.bytes += entry.payload.len();
        self.slots.push_back(CachedEntry { term, entry: Some(entry), place });
        self.evict();
        true
    }

    /// Notes where the record of an entry lies.
    pub(super) fn set_place(&mut self, position: LogPosition, place: Place) {
        // The entry may have been purged, or truncated and replaced, while it was written.
        if let Some(slot) = self.slot_mut(position.index)
            && slot.term == position.term
        {
            slot.place = Some(place);
        }
    }

    /// Drops entries from memory, oldest first, until the bound holds; those that are not on disk
    /// yet stay.
    pub(super) fn evict(&mut self) {
        while self.bytes > self.bytes_max && self.oldest_kept < self.next_index() {
            let Some(slot) = self.slot_mut(self.oldest_kept) else { break };
            if slot.place.is_none() {
                break;
            }
            let freed = slot.entry.take().map_or(0, |entry| entry.payload.len());
            self.bytes -= freed;
            self.oldest_kept += 1;
        }
    }

    pub(super) fn truncate(&mut self, from: u64) {
        while self.next_index() > from.max(self.first) {
            let dropped = self.slots.pop_back().and_then(|slot| slot.entry);
            self.bytes -= dropped.map_or(0, |entry| entry.payload.len());
        }
        self.oldest_kept = self.oldest_kept.min(self.next_index());
    }

    pub(super) fn purge(&mut self, upto: LogPosition) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        self.purged = Some(upto);
        while self.first <= upto.index {
            let Some(slot) = self.slots.pop_front() else {
                self.first = upto.index + 1;
                break;
            };
            self.bytes -= slot.entry.map_or(0, |entry| entry.payload.len());
            self.first += 1;
        }
        self.oldest_kept = self.oldest_kept.max(self.first);
    }

    /// Where the entries of a range are; those that the log does not hold are left out.
    pub(super) fn sources(&self, range: Range<u64>) -> Vec<Source> {
        let start = range.start.max(self.first);
        let end = range.end.min(self.next_index());
        (start..end).filter_map(|index| self.source(index)).collect()
    }

    /// The bytes of the records on disk behind a position: what a restart applies again.
    pub(super) fn bytes_after(&self, position: Option<LogPosition>) -> u64 {
        let start = position.map_or(0, |position| position.index + 1).saturating_sub(self.first);
        let skipped = usize::try_from(start).unwrap_or(usize::MAX);
        let places = self.slots.iter().skip(skipped).filter_map(|slot| slot.place);
        places.map(|place| u64::from(place.length)).sum()
    }

    fn source(&self, index: u64) -> Option<Source> {
        let slot = self.slots.get(usize::try_from(index - self.first).ok()?)?;
        if let Some(entry) = &slot.entry {
            return Some(Source::Memory(entry.clone()));
        }
        let place = slot.place?;
        let file = Arc::clone(self.files.get(&place.segment)?);
        Some(Source::Disk { file, place, position: LogPosition { term: slot.term, index } })
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut CachedEntry> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::EntryKind;
    use super::*;

    #[test]
    fn what_a_restart_applies_again_is_known_in_bytes() {
        // All that is on disk behind the checkpoint counts, and nothing else: not what the checkpoint
        // holds, though the log may still have it, and not what only waits to be written.
        let mut cache = Cache::new(0);
        let at = |index| LogPosition { term: 1, index };
        for index in 5..10 {
            let entry = LogEntry {
                position: at(index),
                kind: EntryKind::Normal,
                payload: Default::default(),
            };
            let length = 10 * u32::try_from(index).unwrap();
            let place = Place { segment: 1, offset: 0, length };
            assert!(cache.push(entry, (index < 9).then_some(place)));
        }
        assert_eq!(cache.bytes_after(None), 50 + 60 + 70 + 80);
        assert_eq!(cache.bytes_after(Some(at(4))), 50 + 60 + 70 + 80);
        assert_eq!(cache.bytes_after(Some(at(6))), 70 + 80);
        assert_eq!(cache.bytes_after(Some(at(20))), 0);
    }
}
