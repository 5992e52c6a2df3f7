//! Reads many entries in order, ahead of the caller, who has work with each.

use std::io;
use std::ops::Range;
use std::sync::{Arc, mpsc};

use super::entry::LogEntry;
use super::raft_log::LogShared;
use crate::env::thread;
use crate::env::thread::JoinHandle;
use crate::storage::StorageError;

/// Payload bytes that are handed over at once; a larger entry comes alone.
const BATCH_BYTES: usize = 512 << 10;
/// As many times as many wait at most.
const BATCHES: usize = 2;

type Batch = Result<Vec<LogEntry>, StorageError>;

/// Entries of the log in order, some at a time, read by a thread of its own. It has ended when this is
/// dropped.
#[derive(Debug)]
pub struct EntriesAhead {
    /// `None` while this is dropped, which ends the thread.
    batches: Option<mpsc::Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl EntriesAhead {
    pub(super) fn start(log: Arc<LogShared>, range: Range<u64>) -> io::Result<Self> {
        let (sender, batches) = mpsc::sync_channel(BATCHES);
        let thread = thread::Builder::new()
            .name("log-reader".into())
            .spawn(move || read(&log, range, &sender))?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }
}

fn read(log: &LogShared, range: Range<u64>, batches: &mpsc::SyncSender<Batch>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for index in range {
        let entry = match log.read(index..index + 1) {
            Ok(mut found) => found.pop(),
            Err(error) => {
                // What came before it comes first. Nobody need be there any more to take it.
                let _ = batches.send(Ok(batch)).and_then(|()| batches.send(Err(error)));
                return;
            }
        };
        let Some(entry) = entry else { break };
        bytes += entry.payload.len();
        batch.push(entry);
        if bytes >= BATCH_BYTES {
            bytes = 0;
            if batches.send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
        }
    }
    let _ = batches.send(Ok(batch));
}

/// Ends after the first error.
impl Iterator for EntriesAhead {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.batches.as_ref()?.recv().ok()
    }
}

impl Drop for EntriesAhead {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
