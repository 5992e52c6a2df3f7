//! What the consensus has to know of commands.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::settings::policy;
use super::shared::Shared;
use crate::consensus::Commands;
use crate::replica::EntryHeader;
use crate::replica::entry::{next_command, seal_batch};
use crate::tree::Policy;

/// Stamps batches: wall time that never goes back, and the settings that decide outcomes.
#[derive(Debug)]
pub(super) struct Stamps {
    shared: Arc<Shared>,
    policy: Policy,
    last_ms: i64,
}

impl Stamps {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { policy: policy(&shared.config), last_ms: 0, shared }
    }
}

impl Commands for Stamps {
    fn seal(&mut self, count: u32, buffer: BytesMut) -> Bytes {
        // Other leaders may have stamped before, by clocks that went ahead of this one.
        let applied_ms = self.shared.last_time_ms();
        self.last_ms = self.last_ms.max(applied_ms).max(self.shared.clock.wall_ms());
        seal_batch(buffer, &EntryHeader { time_ms: self.last_ms, policy: self.policy, count })
    }

    fn keep_own(&self, count: u32, commands: &[u8], kept: &mut BytesMut) -> u32 {
        let (mut rest, mut own) = (commands, 0);
        for number in 0..count {
            let before = rest;
            // What this server encoded, or what a peer of the same version did, decodes.
            let Ok(command) = next_command(&mut rest, number) else { break };
            if self.shared.is_local(command.origin.conn) {
                kept.extend_from_slice(&before[..before.len() - rest.len()]);
                own += 1;
            }
        }
        own
    }
}
