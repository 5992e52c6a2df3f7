//! The batch sealer of a node: makes entries of commands, with the stamp and the policy.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use kernel::replica::entry::{self, EntryHeader, seal_batch};
use kernel::replica::section::{self, RESERVED_LEN};
use kernel::replica::{Section, Sender};
use kernel::time::{ElapsedTime, WallTime};

use super::core::Core;
use crate::consensus::BatchSealer;

/// Makes entries: stamps the time, and the settings that decide outcomes.
#[derive(Debug)]
pub(super) struct EntryStamper {
    core: Arc<Core>,
    last_ms: i64,
}

impl EntryStamper {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, last_ms: 0 }
    }

    /// An entry as builds of version 1 read it: no sections, and a time that never goes back.
    fn seal_without_sections<'a>(
        &mut self,
        mut buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: &mut dyn Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        buffer.advance(RESERVED_LEN - entry::HEADER_LEN);
        let mut count = own.map_or(0, |(_, count)| count);
        for other in others {
            count += other.count;
            buffer.extend_from_slice(other.commands);
        }
        let applied_ms = self.core.time.last_wall_ms();
        self.last_ms = self.last_ms.max(applied_ms).max(self.core.clock.wall_ms());
        let header = EntryHeader {
            wall_time: WallTime(self.last_ms),
            policy: self.core.settings.policy,
            count,
        };
        (seal_batch(buffer, &header), entry::HEADER_LEN)
    }
}

impl BatchSealer for EntryStamper {
    fn seal<'a>(
        &mut self,
        in_sections: bool,
        buffer: BytesMut,
        own: Option<(Sender, u32)>,
        others: &mut dyn Iterator<Item = Section<'a>>,
    ) -> (Bytes, usize) {
        if !in_sections {
            return self.seal_without_sections(buffer, own, others);
        }
        let header = section::Header {
            wall_time: WallTime(self.core.clock.wall_ms()),
            elapsed: ElapsedTime(self.core.elapsed_ms()),
            policy: self.core.settings.policy,
        };
        let at = if own.is_some() { RESERVED_LEN } else { 0 };
        (section::seal(buffer, &header, own, others), at)
    }

    fn may_register(&self) -> bool {
        self.core.membership.is_member()
    }
}
