//! The state database over a disk whose flush fails while what was written stays readable, and that then
//! loses power.

use grovekeeper::storage::{Row, RowRef, RowSource, StateDb, StorageError, Table};

use super::fake_disk::{FakeDisk, Survivors};
use super::state_crash::{changes, mark, open, rows_after, write};

/// What a failed flush may have written, and what the system may have forgotten of the rest.
const PARTS: [(Survivors, Survivors); 4] = [
    (Survivors::None, Survivors::None),
    (Survivors::Odd, Survivors::None),
    (Survivors::FirstHalf, Survivors::Even),
    (Survivors::None, Survivors::All),
];

/// What is left of the disk when the power goes.
const LOSSES: [Survivors; 3] = [Survivors::None, Survivors::All, Survivors::Random(3)];

fn nth(state: &StateDb) -> u64 {
    state.mark().position.map_or(0, |position| position.index)
}

/// Writes checkpoints until one fails. From then on none may be reported done.
fn write_until_failure(disk: &FakeDisk, count: u64) -> u64 {
    let Ok(state) = open(disk) else { return 0 };
    let is_written = |nth: u64| write(&state, changes(nth), nth).is_ok();
    let done = (1..=count).take_while(|nth| is_written(*nth)).count() as u64;
    if done < count {
        assert!((done + 1..=count).all(|nth| !is_written(nth)), "written after a failure");
        // Who purges the log goes by what is read here.
        let told = state.reader().and_then(|reader| reader.mark());
        assert!(told.is_err() || told.is_ok_and(|told| told == mark(done) || done == 0));
        assert_eq!(nth(&state), done);
    }
    done
}

/// Whichever flush fails, no checkpoint is reported done afterwards; and the one that the next process finds
/// stays, so that the log may be purged up to it: a loss of power does not bring an older one back.
#[test]
fn what_is_found_after_a_failed_flush_stays() {
    const CHECKPOINTS: u64 = 4;
    let new = FakeDisk::default();
    drop(open(&new).unwrap());
    let new = new.files();
    for flush in 1.. {
        for (written, forgotten) in PARTS {
            let disk = FakeDisk::holding(&new);
            disk.fail_flush(flush, written);
            let done = write_until_failure(&disk, CHECKPOINTS);
            if !disk.flush_failed() {
                assert_eq!(done, CHECKPOINTS);
                assert!(flush > 10, "only {flush} flushes");
                return;
            }
            let what = format!("flush {flush} fails but for {written:?}, {done} reported done");
            let next = disk.after_process_death(forgotten);
            let state = open(&next).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = nth(&state);
            assert!(found == done || found == done + 1, "{what}: found {found}");
            check(&next, found, &what);
            write(&state, changes(found + 1), found + 1).unwrap();
            check(&next, found + 1, &what);
        }
    }
}

/// A checkpoint is there after a loss of power, whatever survives of what was not flushed.
fn check(disk: &FakeDisk, expected: u64, what: &str) {
    for loss in LOSSES {
        let what = format!("{what}, then the power goes: {loss:?}");
        let after = disk.after_power_loss(loss);
        let state = open(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(nth(&state), expected, "{what}");
        let rows: Vec<Row> = state.reader().unwrap().rows().map(|row| row.unwrap()).collect();
        assert_eq!(rows, rows_after(expected), "{what}");
    }
}

/// Rows of 10 KB, more of them than redb keeps in memory, while somebody reads the checkpoint before, as when
/// it is sent to another server.
struct LargeRows {
    state: StateDb,
}

impl RowSource for LargeRows {
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for key in 0..900_u64 {
            let value = [key as u8; 10_000];
            each(RowRef { table: Table::Nodes, key: &key.to_be_bytes(), value: Some(&value) })?;
            if key % 150 == 100 {
                self.state.reader()?.rows().for_each(drop);
            }
        }
        Ok(())
    }
}

/// A flush that fails in the middle of a large checkpoint fails the checkpoint, though redb does not mind where it
/// only makes room: that the flush at the end succeeds does not bring back what the one in the middle lost.
#[test]
fn a_flush_that_fails_in_the_middle_fails_the_checkpoint() {
    let disk = FakeDisk::default();
    let state = open(&disk).unwrap();
    let large = || LargeRows { state: state.clone() };
    write(&state, large(), 1).unwrap();
    write(&state, changes(100), 2).unwrap();
    disk.fail_flush(1, Survivors::None);
    write(&state, large(), 3).unwrap_err();
    assert!(disk.flush_failed());
    let after = disk.after_power_loss(Survivors::None);
    drop(state);
    assert_eq!(nth(&open(&after).unwrap()), 2);
}
