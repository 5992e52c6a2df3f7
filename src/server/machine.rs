//! Applies committed entries and hands outcomes and events to the connections.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jute_proto::{EventType, OpCode};

use super::clients::Touched;
use super::history::{CheckpointNote, DigestLog, DigestRecord};
use super::shared::Shared;
use crate::conn::{CloseReason, Surroundings, View};
use crate::consensus::{Committed, Fatal, StateMachine, in_place};
use crate::limits::REQUEST_LEN_LONG;
use crate::replica::checkpoint::{Checkpoint, CheckpointRow, META_KEY, Restore, RestoreError};
use crate::replica::entry::{next_command, open_entry};
use crate::replica::{
    Applied, Command, EntryError, Event, EventSink, Op, Origin, Outcome, Replica, Stamp,
};
use crate::session::ConnId;
use crate::storage::{Row, RowRef, RowSource, StorageError, Table};
use crate::tree::{ChangedNodes, QuotaEvent, QuotaUnit};

/// How much is applied before readers get their turn: that many bytes of commands, of which each counts at
/// least as [`COMMAND_LEN_MIN`].
const LEN_PER_LOCK: usize = 64 << 10;
const COMMAND_LEN_MIN: usize = 1 << 10;
/// An entry that is longer than this takes long to apply: others have the thread meanwhile.
const ENTRY_LEN_LONG: usize = 256 << 10;
/// So does the end of a session with more ephemeral nodes than this.
const EPHEMERALS_LONG: usize = 1000;
/// Changed nodes that a checkpoint takes at once: what a request may have to wait for.
const NODES_PER_LOCK: usize = 256;

/// The state machine of a server.
#[derive(Debug)]
pub(super) struct Machine {
    shared: Arc<Shared>,
    touched: Touched,
    /// The last entry applied.
    index: u64,
}

impl Machine {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, touched: Touched::default(), index: 0 }
    }

    fn apply_batch(&mut self, term: u64, payload: &[u8]) -> Result<(), EntryError> {
        let shared = Arc::clone(&self.shared);
        let (header, mut rest) = open_entry(payload)?;
        // ZooKeeper's epoch has 32 bits; terms grow by elections and never get near.
        let epoch = u32::try_from(term).unwrap_or(u32::MAX);
        let stamp = Stamp { epoch, time_ms: header.time_ms, policy: header.policy };
        shared.stats.batch_commands.record(u64::from(header.count));
        shared.stats.commands_applied.add(u64::from(header.count));
        shared.last_time_ms.store(header.time_ms, Ordering::Relaxed);
        let mut number = 0;
        while number < header.count {
            shared.replica.write(|replica| {
                let (around, mut room) = (shared.around(), LEN_PER_LOCK);
                while number < header.count && room > 0 {
                    let before = rest.len();
                    let command = next_command(&mut rest, number)?;
                    let len = before - rest.len();
                    let long = takes_long(replica, &command, len);
                    let apply = || self.apply_command(&shared, around, replica, &stamp, &command);
                    if long {
                        shared.replica.takes_long();
                    }
                    in_place_if(long, apply)?;
                    number += 1;
                    room = room.saturating_sub(len.max(COMMAND_LEN_MIN));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn apply_command(
        &mut self,
        shared: &Shared,
        around: Surroundings<'_>,
        replica: &mut Replica,
        stamp: &Stamp,
        command: &Command<'_>,
    ) -> Result<(), EntryError> {
        let origin = command.origin;
        let is_local = shared.is_local(origin.conn);
        let client = if is_local { shared.clients.get(origin.conn.number) } else { None };
        if let Some(client) = client.as_ref().filter(|client| client.is_paused()) {
            // What the client asked for before this must not see it.
            let view = View { replica, around, at_length: false };
            in_place(|| client.conn.lock().resume_all(view));
        }
        let touched = &mut self.touched;
        let mut delivery = Delivery { shared, around, touched, told: Told::default() };
        let Applied { outcome, finished, displaced } =
            replica.apply(stamp, command, &mut delivery)?;
        delivery.told.count(shared);
        keep_digest(shared, replica);
        track_session(shared, command, &outcome);
        if matches!(command.op, Op::NameEnsemble { .. }) {
            shared.learn_name(replica);
        }
        let expired = matches!(command.op, Op::ExpireSession { .. });
        let view = View { replica, around, at_length: false };
        if let Some(client) = client {
            client.complete(view, origin.seq, outcome);
            self.touched.add(&client);
        } else if is_local {
            shared.stats.writes_finished.increment();
        }
        if let Some((origin, outcome)) = finished {
            self.finish(shared, view, &origin, outcome);
        }
        if changes_members(command) {
            self.learn_members(shared, replica);
        }
        if let Some(conn) = displaced {
            let reason =
                if expired { CloseReason::SessionEnded } else { CloseReason::SessionMoved };
            self.close(shared, conn, reason);
        }
        Ok(())
    }

    /// Hands over the outcome of an earlier command.
    fn finish(&mut self, shared: &Shared, view: View<'_>, origin: &Origin, outcome: Outcome) {
        if !shared.is_local(origin.conn) {
            return;
        }
        match shared.clients.get(origin.conn.number) {
            Some(client) => {
                client.complete(view, origin.seq, outcome);
                self.touched.add(&client);
            }
            None => shared.stats.writes_finished.increment(),
        }
    }

    /// A server that was removed lets its clients go.
    fn learn_members(&mut self, shared: &Shared, replica: &Replica) {
        shared.learn_members(replica.members());
        if shared.is_member() {
            return;
        }
        for client in shared.clients.all() {
            client.conn.lock().close(CloseReason::NotMember);
            self.touched.add(&client);
        }
    }

    fn close(&mut self, shared: &Shared, conn: ConnId, reason: CloseReason) {
        if !shared.is_local(conn) {
            return;
        }
        if let Some(client) = shared.clients.get(conn.number) {
            client.conn.lock().close(reason);
            self.touched.add(&client);
        }
    }
}

/// Gives others the thread meanwhile, where something takes long. To do so costs a wake-up.
fn in_place_if<T>(takes_long: bool, work: impl FnOnce() -> T) -> T {
    if takes_long { in_place(work) } else { work() }
}

/// Whether applying a command may take more than a few milliseconds.
fn takes_long(replica: &Replica, command: &Command<'_>, len: usize) -> bool {
    let ends_session = matches!(command.op, Op::CloseSession | Op::ExpireSession { .. });
    let ephemerals = || replica.tree().ephemerals_of(command.origin.session);
    len > REQUEST_LEN_LONG || ends_session && ephemerals() > EPHEMERALS_LONG
}

/// Whether a command may have changed who belongs to the ensemble, or who is to.
fn changes_members(command: &Command<'_>) -> bool {
    match &command.op {
        Op::SetMembers { .. } | Op::FinishReconfig { .. } => true,
        Op::Request { op_code, .. } => *op_code == i32::from(OpCode::Reconfig),
        Op::Numbered { .. }
        | Op::CreateSession { .. }
        | Op::AttachSession { .. }
        | Op::CloseSession
        | Op::ExpireSession { .. }
        | Op::DeleteContainer { .. }
        | Op::NameEnsemble { .. } => false,
    }
}

/// Says which quotas were exceeded. Without enforcement, and for soft limits, that is all that comes
/// of it.
fn report_quotas(shared: &Shared) {
    if !shared.replica.figures().has_quota_events() {
        return;
    }
    let events = shared.replica.write(|replica| replica.tree_mut().take_quota_events());
    shared.stats.quotas_exceeded.add(events.len() as u64);
    for event in events {
        let QuotaEvent { path, unit, usage, limit, hard, refused } = event;
        let kind = if hard { "hard" } else { "soft" };
        let what = if refused { "refused" } else { "allowed" };
        tracing::warn!(
            "{path} would have {usage} {unit}, its {kind} quota is {limit}: {what}",
            unit = match unit {
                QuotaUnit::Nodes => "nodes",
                QuotaUnit::Bytes => "bytes",
            }
        );
    }
}

/// Keeps the digest of the tree now and then.
fn keep_digest(shared: &Shared, replica: &Replica) {
    let zxid = replica.last_zxid();
    if DigestLog::wants(zxid) {
        let digest = replica.tree().digest() ^ shared.digest_error();
        shared.digests.lock().add(DigestRecord { zxid, digest });
    }
}

/// Keeps the deadlines in step with the sessions.
fn track_session(shared: &Shared, command: &Command<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::SessionOpened { timeout_ms } => {
            if shared.leading().is_none() {
                return;
            }
            let now_ms = shared.clock.now_us() / 1000;
            shared.expiry.lock().track(now_ms, command.origin.session, *timeout_ms);
        }
        Outcome::SessionClosed => {
            shared.expiry.lock().forget(command.origin.session);
            if matches!(command.op, Op::ExpireSession { .. }) {
                shared.stats.sessions_expired.increment();
            }
        }
        Outcome::Request(_)
        | Outcome::Numbered(_)
        | Outcome::Misnumbered
        | Outcome::SessionRefused
        | Outcome::Disowned
        | Outcome::Early
        | Outcome::Deferred
        | Outcome::Repeated => {}
    }
}

/// Puts events into the output of the connections that watch.
struct Delivery<'a> {
    shared: &'a Shared,
    around: Surroundings<'a>,
    touched: &'a mut Touched,
    told: Told,
}

impl EventSink for Delivery<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.told.add(self.shared, &event);
        if let Some(client) = self.shared.clients.get(event.watcher) {
            client.conn.lock().notify(self.around, &event);
            self.touched.add(&client);
        }
    }
}

/// How many watchers were told of the change at hand.
#[derive(Default)]
struct Told {
    change: Option<(EventType, String)>,
    watchers: u64,
}

impl Told {
    fn add(&mut self, shared: &Shared, event: &Event<'_>) {
        let same =
            |(kind, path): &(EventType, String)| *kind == event.event_type && path == event.path;
        if !self.change.as_ref().is_some_and(same) {
            self.count(shared);
            self.change = Some((event.event_type, event.path.to_owned()));
        }
        self.watchers += 1;
    }

    fn count(&mut self, shared: &Shared) {
        if let Some((event_type, _)) = self.change.take() {
            shared.stats.count_watchers(event_type, std::mem::take(&mut self.watchers));
        }
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, entry: Committed<'_>) -> Result<(), Fatal> {
        self.index = entry.index;
        let Some(payload) = entry.payload else { return Ok(()) };
        let long = payload.len() > ENTRY_LEN_LONG;
        in_place_if(long, || self.apply_batch(entry.term, payload)).map_err(|error| {
            Fatal(format!("entry {} of term {}: {error}", entry.index, entry.term))
        })
    }

    fn batch_end(&mut self) {
        self.touched.wake_all(&self.shared.stats);
        report_quotas(&self.shared);
    }

    fn begin_checkpoint(&mut self) -> Box<dyn RowSource> {
        let checkpoint = self.shared.replica.write(|replica| {
            self.shared.checkpoints.lock().extend([CheckpointNote {
                index: self.index,
                zxid: replica.last_zxid(),
                time_ms: self.shared.clock.wall_ms(),
            }]);
            Some(replica.begin_checkpoint())
        });
        Box::new(Rows { shared: Arc::clone(&self.shared), checkpoint })
    }

    fn install(
        &mut self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        let mut replica = restore(rows, 0)?.map_err(|error| Fatal(error.to_string()))?;
        replica.keep_watches(Arc::clone(&self.shared.watches));
        self.shared.learn_name(&replica);
        self.shared.learn_members(replica.members());
        self.shared.last_time_ms.store(replica.last_time_ms(), Ordering::Relaxed);
        self.shared.digests.lock().clear();
        let replaced = self.shared.replica.write(|current| std::mem::replace(current, replica));
        drop(replaced);
        // The outcomes and events in between are lost to this server's clients: they have to come
        // back and say what they have seen.
        for client in self.shared.clients.all() {
            client.conn.lock().close(CloseReason::ServerStops);
            self.touched.add(&client);
        }
        self.touched.wake_all(&self.shared.stats);
        Ok(())
    }
}

/// Builds a replica from stored rows, with room for `more` nodes that are about to come from the log.
pub(super) fn restore(
    rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    more: usize,
) -> Result<Result<Replica, RestoreError>, StorageError> {
    let mut restore = Restore::default();
    restore.expect_nodes(rows.size_hint().0.saturating_add(more));
    for row in rows {
        let row = row?;
        let Some(value) = row.value else { continue };
        let added = match row.table {
            Table::Nodes => restore.node(&row.key, &value),
            Table::Sessions => restore.session(&row.key, &value),
            Table::Meta => restore.meta(&row.key, &value),
        };
        if let Err(error) = added {
            return Ok(Err(error));
        }
    }
    Ok(restore.finish())
}

/// A checkpoint as the storage wants it.
struct Rows {
    shared: Arc<Shared>,
    /// Until it is written.
    checkpoint: Option<Checkpoint>,
}

/// The next nodes of the checkpoint under way.
fn more(shared: &Shared) -> Option<ChangedNodes> {
    shared.replica.write(|replica| replica.take_changed(NODES_PER_LOCK))
}

impl RowSource for Rows {
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let Some(checkpoint) = self.checkpoint.take() else { return Ok(()) };
        for row in checkpoint.rows(|| more(&self.shared)) {
            match &row {
                CheckpointRow::Node(key, value) => {
                    each(RowRef { table: Table::Nodes, key, value: value.as_deref() })?;
                }
                CheckpointRow::Session(key, value) => {
                    each(RowRef { table: Table::Sessions, key, value: value.as_deref() })?;
                }
                CheckpointRow::Meta(value) => {
                    each(RowRef { table: Table::Meta, key: META_KEY, value: Some(value) })?;
                }
            }
        }
        Ok(())
    }
}
