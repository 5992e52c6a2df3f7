//! A state machine that remembers which numbers it was given, and a server around it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use grovekeeper::consensus::{
    BatchSealer, Committed, Consensus, ConsensusConfig, Fatal, Progress, Proposer, ProposerOptions,
    StateMachine,
};
use grovekeeper::storage::{DataDir, OpenOptions, Row, RowRef, RowSource, StorageError, Table};
use kernel::replica::section::{RESERVED_LEN, Section, Sender};
use parking_lot::{Condvar, Mutex};

/// Numbers, in the order in which they were applied. The rows of a checkpoint are `place -> number`.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) applied: Vec<u64>,
    /// Applied since the server was started.
    pub(crate) applied_since_start: usize,
    /// `applied[..saved]` is in the checkpoint, or on its way there.
    saved: usize,
}

/// The numbers, shared with the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toy {
    numbers: Arc<Mutex<Numbers>>,
    grown: Arc<Condvar>,
}

impl Toy {
    pub(crate) fn load(dir: &DataDir) -> Self {
        let toy = Self::default();
        toy.take_rows(&mut dir.state().reader().unwrap().rows()).unwrap();
        toy
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().applied.clone()
    }

    pub(crate) fn applied_since_start(&self) -> usize {
        self.numbers.lock().applied_since_start
    }

    /// Waits until this many numbers were applied.
    pub(crate) fn wait_for(&self, count: usize) {
        let mut numbers = self.numbers.lock();
        while numbers.applied.len() < count {
            let timeout = self.grown.wait_for(&mut numbers, Duration::from_secs(60));
            assert!(!timeout.timed_out(), "{} of {count} were applied", numbers.applied.len());
        }
    }

    fn take_rows(
        &self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        let mut numbers = self.numbers.lock();
        numbers.applied.clear();
        for row in rows {
            let row = row?;
            let place = u64::from_be_bytes(row.key.as_ref().try_into().unwrap());
            assert_eq!(place, numbers.applied.len() as u64);
            let value = row.value.unwrap();
            numbers.applied.push(u64::from_be_bytes(value.as_ref().try_into().unwrap()));
        }
        numbers.saved = numbers.applied.len();
        Ok(())
    }
}

impl StateMachine for Toy {
    fn apply(&mut self, entry: Committed<'_>) -> Result<(), Fatal> {
        let Some(payload) = entry.payload else { return Ok(()) };
        let (numbers, rest) = payload.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Fatal("half a number".to_owned()));
        }
        let mut state = self.numbers.lock();
        state.applied.extend(numbers.iter().map(|number| u64::from_be_bytes(*number)));
        state.applied_since_start += numbers.len();
        Ok(())
    }

    fn batch_end(&mut self) {
        self.grown.notify_all();
    }

    fn begin_checkpoint(&mut self) -> Box<dyn RowSource> {
        let mut numbers = self.numbers.lock();
        let first = numbers.saved as u64;
        let changed = numbers.applied[numbers.saved..].to_vec();
        numbers.saved = numbers.applied.len();
        Box::new(Changed { first, changed })
    }

    fn install(
        &mut self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        self.take_rows(rows)
    }
}

struct Changed {
    first: u64,
    changed: Vec<u64>,
}

impl RowSource for Changed {
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for (place, number) in (self.first..).zip(&self.changed) {
            let key = place.to_be_bytes();
            let value = number.to_be_bytes();
            each(RowRef { table: Table::Nodes, key: &key, value: Some(&value) })?;
        }
        Ok(())
    }
}

/// A started server.
pub(crate) struct Server {
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) toy: Toy,
}

impl Server {
    pub(crate) async fn start(path: &Path) -> Self {
        Self::start_with(path, &OpenOptions::new(1), ConsensusConfig::standalone(1)).await
    }

    pub(crate) async fn start_with(
        path: &Path,
        open: &OpenOptions,
        config: ConsensusConfig,
    ) -> Self {
        let dir = DataDir::open(path, open).unwrap();
        let toy = Toy::load(&dir);
        let consensus = Consensus::start(config, &dir, Box::new(toy.clone())).await.unwrap();
        consensus.wait_until_leader().await.unwrap();
        let (options, progress) = (ProposerOptions::default(), Progress::default());
        let proposer = Proposer::start(&consensus, options, Plain, Arc::new(()), progress);
        Self { consensus, proposer, toy }
    }

    pub(crate) fn push(&self, number: u64) {
        self.proposer.push(|buffer: &mut BytesMut| buffer.put_u64(number)).unwrap();
    }
}

/// Entries are the numbers alone.
struct Plain;

impl BatchSealer for Plain {
    fn seal<'a>(
        &mut self,
        _in_sections: bool,
        mut buffer: BytesMut,
        _own: Option<(Sender, u32)>,
        others: &mut dyn Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        buffer.advance(RESERVED_LEN);
        others.for_each(|other| buffer.extend_from_slice(other.commands));
        (buffer.freeze(), 0)
    }
}
