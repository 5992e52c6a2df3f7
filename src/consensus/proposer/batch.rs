//! Commands that become one entry.
//!
//! A batch is sealed or forwarded perhaps several times, until it is known to be applied. So its own commands are
//! kept as they were encoded: first as the buffer that is filled, then as a slice of the entry that it became. A
//! retry copies them into a buffer again, since an entry in flight shares their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use kernel::ensemble::ServerId;
use kernel::replica::section::{RESERVED_LEN, SECTION_HEADER_LEN};
use kernel::replica::{Section, Sender};
use tokio::sync::Notify;

use super::progress::SectionNumber;
use super::sealer::BatchSealer;

/// Commands that become one entry: those of this server, and sections that belong to a term.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The commands of this server.
    pub(crate) own: OwnCommands,
    /// Their number among all that this process wants written; `None` while they are not numbered.
    pub(crate) number: Option<SectionNumber>,
    /// Kept apart from the commands of this server, which outlive the term.
    pub(crate) term_sections: Vec<TermSection>,
}

/// Commands of connections of this server.
#[derive(Debug, Default)]
pub(crate) struct OwnCommands {
    /// Where commands are added, behind room for headers, until they are sealed or forwarded.
    buffer: BytesMut,
    /// The commands, once they were sealed or forwarded: nothing is added to them any more.
    frozen: Option<Bytes>,
    pub(crate) commands: u32,
}

impl OwnCommands {
    /// Room for about as many bytes as there were the last time.
    pub(super) fn new(expected: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(expected.max(512) + RESERVED_LEN);
        buffer.put_bytes(0, RESERVED_LEN);
        Self { buffer, ..Self::default() }
    }

    /// Adds commands; returns how many bytes they take.
    pub(super) fn add(&mut self, commands: u32, encode: impl FnOnce(&mut BytesMut)) -> usize {
        let before = self.buffer.len();
        encode(&mut self.buffer);
        self.commands += commands;
        self.buffer.len() - before
    }

    /// Bytes of the commands.
    pub(super) fn len(&self) -> usize {
        match &self.frozen {
            Some(commands) => commands.len(),
            None => self.buffer.len().saturating_sub(RESERVED_LEN),
        }
    }

    /// The commands alone.
    fn commands(&mut self) -> Bytes {
        let buffer = &mut self.buffer;
        let frozen = self.frozen.get_or_insert_with(|| {
            let mut buffer = std::mem::take(buffer);
            buffer.split_off(RESERVED_LEN.min(buffer.len())).freeze()
        });
        frozen.clone()
    }

    /// The commands behind room for headers.
    fn take_buffer(&mut self) -> BytesMut {
        match self.frozen.take() {
            // They were sealed before: what was stamped on them then may be old.
            Some(commands) => {
                let mut buffer = BytesMut::with_capacity(RESERVED_LEN + commands.len());
                buffer.put_bytes(0, RESERVED_LEN);
                buffer.extend_from_slice(&commands);
                buffer
            }
            None if self.buffer.is_empty() => BytesMut::zeroed(RESERVED_LEN),
            None => std::mem::take(&mut self.buffer),
        }
    }
}

/// A section that belongs to one term: a follower forwarded it, or this server proposes it as the leader. It ends
/// with its term; a follower sends it again in the next one.
#[derive(Clone, Debug)]
pub(crate) struct TermSection {
    /// Whose it is; `None` for a server that does not number its commands.
    pub(crate) sender: Option<Sender>,
    pub(crate) count: u32,
    pub(crate) commands: Bytes,
    /// The term of the leader that took it.
    pub(crate) term: u64,
    /// Whom to tell when it is applied.
    pub(crate) ack: Option<ForwardAck>,
}

impl TermSection {
    pub(super) fn len(&self) -> usize {
        self.commands.len() + SECTION_HEADER_LEN
    }

    /// Whether it does no harm when it is applied twice: what a leader gives on its own.
    pub(super) fn may_repeat(&self) -> bool {
        self.sender.is_some_and(|sender| sender.incarnation == 0)
    }

    fn as_section(&self) -> Section<'_> {
        let sender = self.sender.unwrap_or_default();
        Section { sender, count: self.count, commands: &self.commands }
    }
}

impl Batch {
    /// Bytes of all commands.
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.term_sections.iter().map(TermSection::len).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.commands == 0 && self.term_sections.is_empty()
    }

    /// Whether a forwarding connection is told when the batch is applied.
    pub(super) fn has_acks(&self) -> bool {
        self.term_sections.iter().any(|section| section.ack.is_some())
    }

    /// The entry that the batch becomes at this server.
    pub(super) fn entry(
        &mut self,
        server: u64,
        in_sections: bool,
        sealer: &mut dyn BatchSealer,
    ) -> Bytes {
        let (count, len) = (self.own.commands, self.own.len());
        let SectionNumber { incarnation, number } = self.number.unwrap_or_default();
        let own = (count > 0)
            .then_some((Sender { server: ServerId(server), incarnation, number }, count));
        let buffer = self.own.take_buffer();
        let mut others = self.term_sections.iter().map(TermSection::as_section);
        let (entry, at) = sealer.seal(in_sections, buffer, own, &mut others);
        self.own.frozen = Some(entry.slice(at..at + len));
        entry
    }

    /// The commands of this server alone.
    pub(crate) fn payload(&mut self) -> Bytes {
        self.own.commands()
    }

    /// Drops what belonged to another term than `leading`, the one that this server leads in, if it
    /// does.
    pub(super) fn drop_stale(&mut self, leading: Option<u64>) {
        self.term_sections.retain(|section| Some(section.term) == leading);
    }

    /// Drops what must not be applied twice.
    pub(super) fn keep_repeatable(&mut self) {
        (self.own, self.number) = (OwnCommands::default(), None);
        self.term_sections.retain(TermSection::may_repeat);
    }

    /// Tells that the batch is applied.
    pub(super) fn applied(self) {
        for ack in self.term_sections.into_iter().filter_map(|section| section.ack) {
            ack.send();
        }
    }
}

/// Tells a forwarding connection that its batch of this number is applied.
#[derive(Clone, Debug)]
pub(crate) struct ForwardAck {
    pub(crate) to: Arc<AckedUpTo>,
    pub(crate) number: u64,
}

impl ForwardAck {
    fn send(self) {
        self.to.number.fetch_max(self.number, Ordering::Relaxed);
        self.to.changed.notify_one();
    }
}

/// Up to which number the batches of a forwarding connection are applied; 0 for none.
#[derive(Debug, Default)]
pub(crate) struct AckedUpTo {
    number: AtomicU64,
    pub(crate) changed: Notify,
}

impl AckedUpTo {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;

    impl BatchSealer for Plain {
        fn seal<'a>(
            &mut self,
            _in_sections: bool,
            buffer: BytesMut,
            own: Option<(Sender, u32)>,
            others: &mut dyn Iterator<Item = Section<'a>>,
        ) -> (Bytes, usize) {
            let mut entry = BytesMut::from(&buffer[RESERVED_LEN..]);
            assert_eq!(own.is_some(), !entry.is_empty());
            others.for_each(|section| entry.extend_from_slice(section.commands));
            (entry.freeze(), 0)
        }
    }

    fn section(term: u64, commands: &'static [u8]) -> TermSection {
        let commands = Bytes::from_static(commands);
        TermSection { sender: None, count: 1, commands, term, ack: None }
    }

    #[test]
    fn a_term_section_ends_with_its_term_and_takes_nothing_else_with_it() {
        // A leader's own order of a term that is over goes, and what another server sent in the new term stays,
        // although both were to be in one entry: else the other server would wait for ever.
        let mut batch = Batch { own: OwnCommands::new(0), ..Batch::default() };
        batch.own.add(1, |buffer| buffer.extend_from_slice(b"own"));
        batch.term_sections = vec![section(5, b"order"), section(7, b"forwarded")];
        assert_eq!(batch.entry(1, true, &mut Plain), &b"ownorderforwarded"[..]);
        batch.drop_stale(Some(7));
        assert_eq!(batch.entry(1, true, &mut Plain), &b"ownforwarded"[..]);
        batch.drop_stale(None);
        assert_eq!((batch.payload(), batch.is_empty()), (Bytes::from_static(b"own"), false));
        assert_eq!(batch.entry(1, true, &mut Plain), &b"own"[..]);
    }

    #[test]
    fn what_may_be_applied_twice_outlives_a_version() {
        // A batch was to carry a client's command, a follower's and what the leader gives once in its term. When
        // the version is raised nobody knows what was applied: the last one goes again.
        let mut batch = Batch { own: OwnCommands::new(0), ..Batch::default() };
        batch.own.add(1, |buffer| buffer.extend_from_slice(b"own"));
        let order = TermSection { sender: Some(Sender::default()), ..section(7, b"order") };
        batch.term_sections = vec![section(7, b"forwarded"), order];
        batch.keep_repeatable();
        assert_eq!(batch.entry(1, true, &mut Plain), &b"order"[..]);
        batch.term_sections.clear();
        batch.keep_repeatable();
        assert!(batch.is_empty());
    }

    #[test]
    fn a_batch_of_others_alone_has_no_commands_of_this_server() {
        // Nothing of it goes to another leader.
        let mut batch = Batch { term_sections: vec![section(5, b"order")], ..Batch::default() };
        assert_eq!(batch.entry(1, true, &mut Plain), &b"order"[..]);
        batch.drop_stale(None);
        assert!(batch.is_empty());
    }
}
