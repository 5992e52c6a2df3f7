//! Rows of a checkpoint on their way from one server to another.
//!
//! The sender puts rows into blocks. The receiver keeps the blocks in a file until it has all of
//! them; only then are they read back and replace its state. A transfer that breaks off goes on
//! where it was: both sides know how many rows there are and the check sum of all their bytes
//! ([`RowsSoFar`]), which is equal only when the rows are.
//!
//! ```text
//! received.rows    blocks: rows u32, length u32, CRC-32 of the bytes u32, bytes
//! bytes            rows: table u8, length of the key u32, of the value u32, key, value
//! ```
//!
//! All numbers are little-endian. The file is worth nothing after a restart, so it is not flushed,
//! and it is removed when the data directory is opened.

use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::{Row, StorageError, Table};
use crate::env::fs;
use crate::env::fs::File;

/// The file in the data directory.
const FILE: &str = "received.rows";

/// The length that stands for no value.
const NO_VALUE: u32 = u32::MAX;

/// Bytes in front of each block.
const HEADER_LEN: usize = 12;

/// Rows from the first on: how many, and the CRC-32 of their bytes.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsSoFar {
    /// Their number.
    pub rows: u64,
    /// The check sum over all of them.
    pub check: u32,
}

impl RowsSoFar {
    /// These rows and those of one more block.
    #[must_use]
    pub fn and(self, block: &RowBlock) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.check);
        hasher.update(&block.bytes);
        Self { rows: self.rows + u64::from(block.rows), check: hasher.finalize() }
    }
}

/// Consecutive rows, encoded.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowBlock {
    rows: u32,
    bytes: Vec<u8>,
}

impl RowBlock {
    /// A block as it came in; whether its bytes are rows is known when they are read.
    pub fn from_parts(rows: u32, bytes: Vec<u8>) -> Self {
        Self { rows, bytes }
    }

    /// The number of rows.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The rows, encoded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As [`RowBlock::bytes`].
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The CRC-32 of the bytes.
    pub fn check(&self) -> u32 {
        crc32fast::hash(&self.bytes)
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// [`StorageError::State`]: the row is too long to be encoded, at 4 GiB.
    pub fn push(&mut self, row: &Row) -> Result<(), StorageError> {
        let table = match row.table {
            Table::Meta => 0,
            Table::Sessions => 1,
            Table::Nodes => 2,
        };
        let value_len = match &row.value {
            Some(value) => length(value).filter(|len| *len != NO_VALUE),
            None => Some(NO_VALUE),
        };
        let (Some(key_len), Some(value_len)) = (length(&row.key), value_len) else {
            let what = "a row of the checkpoint is too long to be sent".to_owned();
            return Err(StorageError::State { what });
        };
        self.bytes.push(table);
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        self.bytes.extend_from_slice(&value_len.to_le_bytes());
        self.bytes.extend_from_slice(&row.key);
        self.bytes.extend_from_slice(row.value.as_deref().unwrap_or_default());
        self.rows += 1;
        Ok(())
    }
}

fn length(bytes: &Bytes) -> Option<u32> {
    u32::try_from(bytes.len()).ok()
}

/// Takes the next row off the bytes of a block; `None` when there is no whole one.
fn next_row(bytes: &mut Bytes) -> Option<Row> {
    let table = match bytes.try_get_u8().ok()? {
        0 => Table::Meta,
        1 => Table::Sessions,
        2 => Table::Nodes,
        _ => return None,
    };
    let key_len = bytes.try_get_u32_le().ok()? as usize;
    let value_len = bytes.try_get_u32_le().ok()?;
    let value_len = (value_len != NO_VALUE).then_some(value_len as usize);
    if bytes.len() < key_len.checked_add(value_len.unwrap_or(0))? {
        return None;
    }
    let key = bytes.split_to(key_len);
    Some(Row { table, key, value: value_len.map(|len| bytes.split_to(len)) })
}

/// The file of received blocks.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: Option<File>,
    /// Bytes of whole blocks.
    len: u64,
    so_far: RowsSoFar,
}

impl Spool {
    /// The empty spool of a data directory; what an earlier process left is removed.
    pub(super) fn open(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join(FILE);
        remove(&path)?;
        Ok(Self { path, file: None, len: 0, so_far: RowsSoFar::default() })
    }

    /// What is in it.
    pub fn so_far(&self) -> RowsSoFar {
        self.so_far
    }

    /// Adds a block behind the others.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`]; the block is not in it then, the others are.
    pub fn append(&mut self, block: &RowBlock) -> Result<(), StorageError> {
        let (path, len) = (&self.path, self.len);
        let open = || File::options().write(true).create(true).truncate(true).open(path);
        let mut write = || -> io::Result<u64> {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(open()?),
            };
            let bytes_len = u32::try_from(block.bytes.len()).map_err(io::Error::other)?;
            let mut frame = Vec::with_capacity(HEADER_LEN + block.bytes.len());
            frame.extend_from_slice(&block.rows.to_le_bytes());
            frame.extend_from_slice(&bytes_len.to_le_bytes());
            frame.extend_from_slice(&block.check().to_le_bytes());
            frame.extend_from_slice(&block.bytes);
            file.write_all_at(&frame, len)?;
            Ok(frame.len() as u64)
        };
        self.len += write().map_err(StorageError::io("write", path))?;
        self.so_far = self.so_far.and(block);
        Ok(())
    }

    /// Forgets everything and removes the file.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`].
    pub fn clear(&mut self) -> Result<(), StorageError> {
        (self.file, self.len, self.so_far) = (None, 0, RowsSoFar::default());
        remove(&self.path)
    }

    /// Reads all rows, to see that they are what was received, and returns them to be read again.
    ///
    /// # Errors
    ///
    /// [`StorageError::State`] where they are not, [`StorageError::Io`].
    pub fn verified(&self) -> Result<SpoolRows, StorageError> {
        let mut rows = self.rows()?;
        let mut read = 0;
        for row in &mut rows {
            row?;
            read += 1;
        }
        if (RowsSoFar { rows: read, check: rows.check }) != self.so_far {
            return Err(damaged(&self.path, 0, "they are not all of those that came"));
        }
        self.rows()
    }

    fn rows(&self) -> Result<SpoolRows, StorageError> {
        let file = match &self.file {
            Some(_) => {
                let file = File::open(&self.path);
                Some(BufReader::new(file.map_err(StorageError::io("read", &self.path))?))
            }
            None => None,
        };
        let path = self.path.clone();
        Ok(SpoolRows { path, file, left: self.len, at: 0, block: Bytes::new(), rows: 0, check: 0 })
    }
}

/// Nothing is lost with received rows: they are sent again.
fn damaged(path: &Path, offset: u64, what: &str) -> StorageError {
    let path = path.display();
    let what = format!(
        "the rows received from another server, {path}, are damaged at byte {offset}: {what}"
    );
    StorageError::State { what }
}

fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The rows of a spool. Ends after the first error.
#[derive(Debug)]
pub struct SpoolRows {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// Bytes of the file that are not read yet.
    left: u64,
    /// Where the next block begins.
    at: u64,
    /// What is left of the current block.
    block: Bytes,
    /// Rows left in it.
    rows: u32,
    /// The check sum of all bytes read.
    check: u32,
}

impl SpoolRows {
    fn advance(&mut self) -> Result<Option<Row>, StorageError> {
        while self.rows == 0 {
            if !self.block.is_empty() {
                return Err(self.damaged("a block has more bytes than rows"));
            }
            if self.left == 0 {
                return Ok(None);
            }
            self.next_block()?;
        }
        self.rows -= 1;
        let row = next_row(&mut self.block);
        row.map(Some).ok_or_else(|| self.damaged("a block has bytes that are no rows"))
    }

    fn next_block(&mut self) -> Result<(), StorageError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).map_err(StorageError::io("read", &self.path))?;
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (rows, len, check) = (number(0), number(4), number(8));
        let whole_len = HEADER_LEN as u64 + u64::from(len);
        let Some(left) = self.left.checked_sub(whole_len) else {
            return Err(self.damaged("a block is longer than the file"));
        };
        let mut bytes = vec![0; len as usize];
        file.read_exact(&mut bytes).map_err(StorageError::io("read", &self.path))?;
        let block = RowBlock { rows, bytes };
        if block.check() != check {
            return Err(self.damaged("the check sum of a block does not fit its bytes"));
        }
        self.check = RowsSoFar { rows: 0, check: self.check }.and(&block).check;
        (self.left, self.at) = (left, self.at + whole_len);
        (self.rows, self.block) = (block.rows, block.bytes.into());
        Ok(())
    }

    fn damaged(&self, what: &str) -> StorageError {
        damaged(&self.path, self.at, what)
    }
}

impl Iterator for SpoolRows {
    type Item = Result<Row, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.advance().transpose()?;
        if row.is_err() {
            (self.left, self.rows, self.block) = (0, 0, Bytes::new());
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> Row {
        let table = Table::ALL[number as usize % 3];
        let value = (number % 5 != 4).then(|| vec![7; number as usize].into());
        Row { table, key: format!("/{number}").into_bytes().into(), value }
    }

    fn block(numbers: std::ops::Range<u32>) -> RowBlock {
        let mut block = RowBlock::default();
        numbers.for_each(|number| block.push(&row(number)).unwrap());
        block
    }

    /// A spool of three blocks, the middle one empty.
    fn filled(dir: &Path) -> Spool {
        let mut spool = Spool::open(dir).unwrap();
        for numbers in [0..30, 30..30, 30..40] {
            spool.append(&block(numbers)).unwrap();
        }
        spool
    }

    #[test]
    fn rows_come_back_as_they_went() {
        // What was received is what is read, whatever the blocks were; an empty spool has no rows.
        let dir = tempfile::tempdir().unwrap();
        let mut spool = filled(dir.path());
        let rows: Vec<Row> = spool.verified().unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, (0..40).map(row).collect::<Vec<_>>());
        assert_eq!(spool.so_far(), RowsSoFar::default().and(&block(0..3)).and(&block(3..40)));
        spool.clear().unwrap();
        assert_eq!(spool.so_far(), RowsSoFar::default());
        assert_eq!(spool.verified().unwrap().count(), 0);
        spool.append(&block(5..6)).unwrap();
        assert_eq!(spool.verified().unwrap().next().unwrap().unwrap(), row(5));
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        // No changed byte of the file passes, nor does a file that lost its end.
        let dir = tempfile::tempdir().unwrap();
        let spool = filled(dir.path());
        let good = std::fs::read(&spool.path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&spool.path, bad).unwrap();
            assert!(spool.verified().is_err(), "byte {at}");
        }
        std::fs::write(&spool.path, &good[..good.len() - 1]).unwrap();
        assert!(spool.verified().is_err());
        std::fs::write(&spool.path, &good).unwrap();
        assert!(spool.verified().is_ok());
    }

    #[test]
    fn bytes_that_are_no_rows_are_refused() {
        // Blocks whose check sums fit may still be nonsense: that is an error, not a crash.
        let dir = tempfile::tempdir().unwrap();
        let huge = [2, 255, 255, 255, 255, 254, 255, 255, 255];
        for bytes in [vec![], vec![9; 20], huge.to_vec(), vec![0; 10]] {
            let mut spool = Spool::open(dir.path()).unwrap();
            spool.append(&RowBlock::from_parts(1, bytes)).unwrap();
            assert!(matches!(spool.verified(), Err(StorageError::State { .. })));
        }
    }

    #[test]
    fn a_crash_leaves_nothing_behind() {
        // What a process that ended in the middle had received is gone at the next start.
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()));
        assert!(dir.path().join(FILE).exists());
        assert_eq!(Spool::open(dir.path()).unwrap().so_far(), RowsSoFar::default());
        assert!(!dir.path().join(FILE).exists());
    }
}
