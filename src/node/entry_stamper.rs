//! What the consensus has to know of commands.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use kernel::replica::entry::{self, EntryHeader, seal_batch};
use kernel::replica::section::{self, RESERVED_LEN};
use kernel::replica::{Section, Sender};
use kernel::time::{ElapsedTime, WallTime};
use kernel::tree::Policy;

use super::core::Shared;
use super::settings::policy;
use crate::consensus::BatchSealer;

/// Makes entries: stamps the time, and the settings that decide outcomes.
#[derive(Debug)]
pub(super) struct EntryStamper {
    shared: Arc<Shared>,
    policy: Policy,
    last_ms: i64,
}

impl EntryStamper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { policy: policy(&shared.config), last_ms: 0, shared }
    }

    /// An entry as builds of version 1 read it: no sections, and a time that never goes back.
    fn seal_without_sections<'a>(
        &mut self,
        mut buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: impl Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        buffer.advance(RESERVED_LEN - entry::HEADER_LEN);
        let mut count = own.map_or(0, |(_, count)| count);
        for other in others {
            count += other.count;
            buffer.extend_from_slice(other.commands);
        }
        let applied_ms = self.shared.last_time_ms();
        self.last_ms = self.last_ms.max(applied_ms).max(self.shared.clock.wall_ms());
        let header = EntryHeader { wall_time: WallTime(self.last_ms), policy: self.policy, count };
        (seal_batch(buffer, &header), entry::HEADER_LEN)
    }
}

impl BatchSealer for EntryStamper {
    fn seal<'a>(
        &mut self,
        in_sections: bool,
        buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: impl Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        if !in_sections {
            return self.seal_without_sections(buffer, own, others);
        }
        let header = section::Header {
            wall_time: WallTime(self.shared.clock.wall_ms()),
            elapsed: ElapsedTime(self.shared.elapsed_ms()),
            policy: self.policy,
        };
        let at = if own.is_some() { RESERVED_LEN } else { 0 };
        (section::seal(buffer, &header, own, others), at)
    }

    fn may_register(&self) -> bool {
        self.shared.is_member()
    }
}
