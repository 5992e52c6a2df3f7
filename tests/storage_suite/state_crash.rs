//! The state database over a disk that loses power at every change it is asked for.

use std::io;
use std::path::Path;

use bytes::Bytes;
use grovekeeper::storage::log::{LogFile as _, LogFlush};
use grovekeeper::storage::state::{CheckpointMark, CheckpointSize};
use grovekeeper::storage::{LogPosition, Row, RowSource, StateDb, StorageError, Table};
use redb::StorageBackend;

use super::fake_disk::{FakeDisk, FakeFile, Survivors};

/// The file of the database.
pub(crate) const FILE: &str = "state.redb";

#[derive(Debug)]
struct Backend(FakeFile);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

pub(crate) fn open(disk: &FakeDisk) -> Result<StateDb, String> {
    StateDb::with_backend(Backend(disk.file(FILE)), Path::new(FILE))
        .map_err(|error| error.to_string())
}

/// The rows that checkpoint number `nth` writes: it changes, adds and removes some.
pub(crate) fn changes(nth: u64) -> Vec<Row> {
    let row = |key: u64, value: Option<u64>| Row {
        table: if key.is_multiple_of(7) { Table::Sessions } else { Table::Nodes },
        key: Bytes::copy_from_slice(&key.to_be_bytes()),
        value: value.map(|value| Bytes::from(vec![value as u8; 100])),
    };
    let added = (nth * 30..nth * 30 + 40).map(|key| row(key, Some(nth)));
    let removed = (nth * 30 - 20..nth * 30 - 15).map(|key| row(key, None));
    added.chain(removed).collect()
}

pub(crate) fn mark(nth: u64) -> CheckpointMark {
    let position = Some(LogPosition { term: 1, index: nth });
    CheckpointMark { position, membership: Bytes::from(vec![nth as u8; 3]) }
}

/// Writes a checkpoint that rests on no log.
pub(crate) fn write(
    state: &StateDb,
    mut rows: impl RowSource,
    nth: u64,
) -> Result<CheckpointSize, StorageError> {
    state.write_checkpoint(&mut rows, &mark(nth), &LogFlush::of_nothing())
}

/// All rows after the first `count` checkpoints, in the order in which they are read.
pub(crate) fn rows_after(count: u64) -> Vec<Row> {
    let mut rows = std::collections::BTreeMap::new();
    for row in (1..=count).flat_map(changes) {
        rows.insert((Table::ALL.iter().position(|t| *t == row.table), row.key.clone()), row);
    }
    rows.into_values().filter(|row| row.value.is_some()).collect()
}

/// Wherever the power goes, the last checkpoint that was reported done is there as a whole, or the
/// one after it.
#[test]
fn a_power_loss_leaves_a_whole_checkpoint() {
    const CHECKPOINTS: u64 = 4;
    let new = FakeDisk::default();
    drop(open(&new).unwrap());
    let new = new.files();
    for change in 1.. {
        // A new database is made under another name (see `StateDb::open`): here there is one.
        let disk = FakeDisk::holding(&new);
        disk.fail_after(change);
        let mut acknowledged = 0;
        if let Ok(state) = open(&disk) {
            let write = |nth: &u64| write(&state, changes(*nth), *nth).is_ok();
            acknowledged = (1..=CHECKPOINTS).take_while(write).count() as u64;
        }
        let failed = disk.has_failed();
        for survivors in Survivors::MANY {
            let what = format!("{survivors:?} at change {change}, {acknowledged} reported done");
            let after = disk.after_power_loss(survivors);
            let state = open(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = state.mark();
            let nth = found.position.map_or(0, |position| position.index);
            assert!(nth == acknowledged || nth == acknowledged + 1, "{what}: found {nth}");
            let rows: Vec<Row> = state.reader().unwrap().rows().map(|row| row.unwrap()).collect();
            assert_eq!(rows, rows_after(nth), "{what}");
            write(&state, changes(9), 9).unwrap();
        }
        if !failed {
            assert_eq!(acknowledged, CHECKPOINTS);
            return;
        }
    }
}

/// A flipped bit in the database is refused, or nothing that is read has changed.
#[test]
fn a_flipped_bit_in_the_database_is_refused_or_harmless() {
    let disk = FakeDisk::default();
    let state = open(&disk).unwrap();
    for nth in 1..4 {
        write(&state, changes(nth), nth).unwrap();
    }
    drop(state);
    let file = disk.file(FILE);
    let mut original = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut original, 0).unwrap();
    let mut refused = 0;
    for at in (0..original.len()).filter(|at| original[*at] != 0).step_by(97) {
        let damaged = FakeDisk::default();
        let file = damaged.file(FILE);
        file.write_at(&original, 0).unwrap();
        file.write_at(&[original[at] ^ (1 << (at % 8))], at as u64).unwrap();
        let Ok(state) = open(&damaged) else {
            refused += 1;
            continue;
        };
        let found = state.mark();
        let nth = found.position.map_or(0, |position| position.index);
        let rows: Vec<Row> = state.reader().unwrap().rows().map(|row| row.unwrap()).collect();
        assert_eq!(rows, rows_after(nth), "byte {at}");
    }
    assert!(refused > 0);
}

/// A reader keeps its checkpoint while later ones are written; replacing leaves nothing behind.
#[test]
fn a_reader_keeps_its_checkpoint() {
    let disk = FakeDisk::default();
    let state = open(&disk).unwrap();
    write(&state, changes(1), 1).unwrap();
    let reader = state.reader().unwrap();
    write(&state, changes(2), 2).unwrap();
    let other = open(&FakeDisk::default()).unwrap();
    write(&other, changes(5), 5).unwrap();
    assert_eq!(reader.mark().unwrap(), mark(1));
    other.replace(reader.rows(), &mark(1)).unwrap();
    let rows: Vec<Row> = other.reader().unwrap().rows().map(|row| row.unwrap()).collect();
    assert_eq!(rows, rows_after(1));
    assert_eq!(state.mark(), mark(2));
}

/// Rows that a thread reads ahead are the rows of the checkpoint, however many there are.
#[test]
fn rows_read_ahead_are_those_of_the_checkpoint() {
    for count in [0, 1, 511, 512, 513, 3000_u64] {
        let state = open(&FakeDisk::default()).unwrap();
        let row = |key: u64| Row {
            table: if key.is_multiple_of(7) { Table::Sessions } else { Table::Nodes },
            key: Bytes::copy_from_slice(&key.to_be_bytes()),
            value: Some(Bytes::from(vec![key as u8; key as usize % 50])),
        };
        let rows: Vec<_> = (0..count).map(row).collect();
        write(&state, rows, 1).unwrap();
        let expected: Vec<_> = state.reader().unwrap().rows().map(Result::unwrap).collect();
        assert_eq!(expected.len(), count as usize);
        let mut ahead = state.reader().unwrap().rows_ahead().unwrap();
        assert_eq!(ahead.size_hint().0, expected.len());
        let found: Vec<_> = ahead.by_ref().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{count} rows");
    }
}
