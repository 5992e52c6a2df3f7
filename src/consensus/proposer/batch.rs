//! Commands that travel together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::liaison::Commands;
use super::proposer::ProposerOptions;

/// Commands that travel together, behind room for a header.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Where commands are added, until the batch is sealed.
    pub(super) buffer: BytesMut,
    /// The whole batch, once it travels.
    sealed: Option<Bytes>,
    pub(super) commands: u32,
    /// The term in which some of the commands are to be applied or never, if any are.
    term: Option<u64>,
    /// Who is told when the batch is applied.
    acks: Vec<Ack>,
}

impl Batch {
    /// A buffer that is about to hold as much as the previous one did.
    pub(super) fn new(options: &ProposerOptions, expected: usize) -> Self {
        let capacity = expected.min(options.batch_bytes_soft_max).max(512) + options.header_bytes;
        let mut buffer = BytesMut::with_capacity(capacity);
        buffer.resize(options.header_bytes, 0);
        Self { buffer, ..Self::default() }
    }

    /// Bytes, the header's included.
    pub(super) fn len(&self) -> usize {
        self.sealed.as_ref().map_or(self.buffer.len(), Bytes::len)
    }

    /// Some of the commands are the business of this term only.
    pub(super) fn bind(&mut self, term: u64) {
        self.term = Some(self.term.map_or(term, |known| known.min(term)));
    }

    pub(super) fn on_applied(&mut self, ack: Ack) {
        self.acks.push(ack);
    }

    /// Whether somebody is told when the batch is applied.
    pub(super) fn has_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// The entry that the batch becomes at this server.
    pub(super) fn entry(&mut self, commands: &mut impl Commands) -> Bytes {
        let buffer = match self.sealed.take() {
            // It travelled before: its stamp may be older than others that are applied by now.
            Some(sealed) => BytesMut::from(&*sealed),
            None => std::mem::take(&mut self.buffer),
        };
        let entry = commands.seal(self.commands, buffer);
        self.sealed = Some(entry.clone());
        entry
    }

    /// The commands alone.
    pub(super) fn payload(&mut self, header_bytes: usize) -> Bytes {
        let buffer = &mut self.buffer;
        let sealed = self.sealed.get_or_insert_with(|| std::mem::take(buffer).freeze());
        sealed.slice(header_bytes.min(sealed.len())..)
    }

    /// Drops what belonged to another term than `leading`, the one that this server leads in, if it
    /// does.
    pub(super) fn renew(
        &mut self,
        leading: Option<u64>,
        commands: &impl Commands,
        options: &ProposerOptions,
    ) {
        if self.term.is_none() || self.term == leading {
            return;
        }
        let payload = self.payload(options.header_bytes);
        let mut kept = Self::new(options, payload.len());
        kept.commands = commands.keep_own(self.commands, &payload, &mut kept.buffer);
        *self = kept;
    }

    /// Tells that the batch is applied.
    pub(super) fn applied(self) {
        for ack in self.acks {
            ack.give();
        }
    }
}

/// Tells a connection up to which number its batches are applied.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    pub(super) to: Arc<Acked>,
    pub(super) number: u64,
}

impl Ack {
    fn give(self) {
        self.to.number.fetch_max(self.number, Ordering::Relaxed);
        self.to.changed.notify_one();
    }
}

/// Up to which number the batches of a connection are applied; 0 for none.
#[derive(Debug, Default)]
pub(super) struct Acked {
    number: AtomicU64,
    pub(super) changed: Notify,
}

impl Acked {
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }
}
