//! Applies committed entries and hands outcomes and events to the connections.

use std::sync::Arc;

use jute_proto::{EventType, OpCode};
use kernel::conn::{CloseReason, Handling, Surroundings, View};
use kernel::limits::REQUEST_LEN_LONG;
use kernel::replica::entry::{is_repeatable, next_command, open_entry};
use kernel::replica::section::{self, next_section};
use kernel::replica::{
    Applied, Command, EntryError, EntryHeader, Event, EventSink, Op, Origin, Outcome, Replica,
    Section, SectionClaim, Sender, Stamp, VERSION_2,
};
use kernel::session::ConnId;
use kernel::time::ElapsedTime;
use kernel::tree::{QuotaEvent, QuotaUnit};

use super::checkpoint::{CheckpointRows, restore};
use super::checkpoint_info::CheckpointInfo;
use super::connections::{ConnectionHandle, WakeList};
use super::core::Core;
use super::digest_log::{DigestLog, DigestRecord};
use super::entry_progress::{EntryProgress, SectionProgress};
use crate::consensus::{Committed, Fatal, StateMachine};
use crate::env::task::block_in_place;
use crate::failpoints;
use crate::storage::{Row, RowSource, StorageError};

/// How much is applied before readers get their turn: that many bytes of commands, of which each counts at
/// least as [`COMMAND_LEN_MIN`].
const LEN_PER_LOCK: usize = 64 << 10;
const COMMAND_LEN_MIN: usize = 1 << 10;
/// An entry that is longer than this takes long to apply: others have the thread meanwhile.
const ENTRY_LEN_LONG: usize = 256 << 10;
/// So does the end of a session with more ephemeral nodes than this.
const EPHEMERALS_LONG: usize = 1000;
/// So many ephemeral nodes of a session that ends go at once, before readers get their turn.
const EPHEMERALS_PER_LOCK: usize = 5000;

/// The state machine of a server. One thread at a time applies entries with it, in order: comments call it the apply
/// thread.
///
/// One command is one step under the exclusive lock of the replica ([`Applier::apply_command`]):
///
/// 1. Reads that the same connection sent before it, and that are paused, are answered: they must not see it.
/// 2. The replica applies it. Events go into the output of the connections that watch.
/// 3. The outcome goes to the connection that sent it, which answers the reads that waited behind it: they must see
///    this command, and none after it.
/// 4. A connection that lost its session to another one is closed.
///
/// So each connection's output has replies and events in the order of the log, and a client never sees a change before
/// it is told of it. Connections are woken at the end of the batch ([`WakeList`]).
///
/// Between two commands the lock may be given back, in the middle of an entry. Readers see a state between two commands
/// then, which is one that every server has.
#[derive(Debug)]
pub(super) struct Applier {
    core: Arc<Core>,
    wake_list: WakeList,
    /// The last entry applied.
    index: u64,
}

/// Whether a section is to be applied: it is not, where it was before, or is not the next one of its sender.
fn claim(core: &Core, replica: &mut Replica, section: Section<'_>) -> bool {
    let not_applied = match replica.claim_section(section.sender) {
        SectionClaim::Granted => None,
        SectionClaim::Repeated => Some(&core.stats.sections_repeated),
        SectionClaim::Gap => Some(&core.stats.sections_early),
        SectionClaim::Ended => Some(&core.stats.sections_ended),
    };
    if let Some(counter) = not_applied {
        counter.increment();
        return false;
    }
    count_section(core, section);
    true
}

fn count_section(core: &Core, section: Section<'_>) {
    core.stats.batch_commands.record(u64::from(section.count));
    core.stats.commands_applied.add(u64::from(section.count));
}

impl Applier {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, wake_list: WakeList::default(), index: 0 }
    }

    fn apply_entry(&mut self, term: u64, index: u64, payload: &[u8]) -> Result<(), EntryError> {
        if payload.first() == Some(&section::FORMAT) {
            return self.apply_sections(term, index, payload);
        }
        let (header, commands) = open_entry(payload)?;
        let EntryHeader { wall_time, policy, count } = header;
        let stamp = Stamp { term, index, wall_time, elapsed: ElapsedTime(0), policy };
        if self.core.replica.read_blocking().version() >= VERSION_2 {
            // It was on its way when the version was raised. Its clients were let go.
            self.core.stats.sections_ended.increment();
            return Ok(());
        }
        let section = Section { sender: Sender::default(), count, commands };
        count_section(&self.core, section);
        self.apply_in_turns(EntryProgress::of_section(stamp, section))
    }

    fn apply_sections(&mut self, term: u64, index: u64, payload: &[u8]) -> Result<(), EntryError> {
        let (header, sections) = section::open(payload)?;
        let section::Header { wall_time, elapsed, policy } = header;
        let stamp = Stamp { term, index, wall_time, elapsed, policy };
        self.apply_in_turns(EntryProgress::of_sections(stamp, sections))
    }

    /// Applies an entry, and gives readers their turn now and then.
    fn apply_in_turns(&mut self, mut entry: EntryProgress<'_>) -> Result<(), EntryError> {
        let core = Arc::clone(&self.core);
        while !core.replica.write(|replica| self.apply_some(&core, replica, &mut entry))? {}
        Ok(())
    }

    /// Applies as much of an entry as others may have to wait for; returns whether that was the rest.
    fn apply_some(
        &mut self,
        core: &Core,
        replica: &mut Replica,
        entry: &mut EntryProgress<'_>,
    ) -> Result<bool, EntryError> {
        if !std::mem::replace(&mut entry.begun, true) {
            let stamp = &entry.stamp;
            replica.begin_entry(stamp);
            core.time.applied(stamp.wall_time.0, replica.elapsed().0, core.clock.now_us());
        }
        let mut room = LEN_PER_LOCK;
        while room > 0 {
            let Some(mut part) = entry.part.take() else {
                let Some(section) = next_section(&mut entry.sections)? else { return Ok(true) };
                entry.part =
                    claim(core, replica, section).then(|| SectionProgress::of_section(section));
                continue;
            };
            let more = self.apply_part(core, replica, &entry.stamp, &mut part, &mut room)?;
            entry.part = more.then_some(part);
        }
        Ok(false)
    }

    /// Applies commands of one sender while there is room; returns whether some are left. Those that have no number
    /// must be such that applying them twice does no harm.
    fn apply_part(
        &mut self,
        core: &Core,
        replica: &mut Replica,
        stamp: &Stamp,
        part: &mut SectionProgress<'_>,
        room: &mut usize,
    ) -> Result<bool, EntryError> {
        let around = core.around();
        while part.number < part.count && *room > 0 {
            let mut behind = part.commands;
            let command = next_command(&mut behind, part.number)?;
            if part.must_be_repeatable && !is_repeatable(&command.op) {
                return Err(EntryError::Unnumbered);
            }
            if self.end_session_partly(core, around, replica, stamp, &command) {
                *room = 0;
                return Ok(true);
            }
            let len = part.commands.len() - behind.len();
            let long = takes_long(replica, &command, len);
            if long {
                core.replica.takes_long();
            }
            in_place_if(long, || self.apply_command(core, around, replica, stamp, &command))?;
            (part.number, part.commands) = (part.number + 1, behind);
            *room = room.saturating_sub(len.max(COMMAND_LEN_MIN));
        }
        let more = part.number < part.count;
        let may_be_ours =
            part.sender.incarnation == 0 || part.sender.server.0 == core.process.server();
        if !more && may_be_ours {
            self.learn_process(core, replica);
        }
        Ok(more)
    }

    /// Takes what the state shows of this process. Where sections are numbered from now on, clients are disconnected:
    /// what they wrote before has no number, so nobody can tell them what became of it.
    fn learn_process(&mut self, core: &Core, replica: &Replica) {
        let before = core.process.version();
        core.process.learn(replica);
        if before < VERSION_2 && replica.version() >= VERSION_2 {
            if !core.settings.is_alone {
                tracing::info!("version {} is in force", replica.version());
            }
            core.serving.stop();
            self.close_all(&CloseReason::NotServing);
        }
    }

    /// Closes all connections: no outcome of what they sent will be told. To be called under the exclusive lock of
    /// the replica, so that none of them sends anything after that: a connection gives commands to the proposer under a
    /// shared lock, and a closed one gives none.
    fn close_all(&mut self, reason: &CloseReason) {
        let core = Arc::clone(&self.core);
        for client in core.connections.all() {
            client.conn.lock().close(reason.clone());
            self.wake_list.add(&client);
        }
        core.abandon_outcomes();
    }

    /// Begins with the end of a session that has many ephemeral nodes; returns false where nothing is left to do
    /// before the command itself.
    fn end_session_partly(
        &mut self,
        core: &Core,
        around: Surroundings<'_>,
        replica: &mut Replica,
        stamp: &Stamp,
        command: &Command<'_>,
    ) -> bool {
        let Origin { session, conn, .. } = command.origin;
        let has_many = || replica.tree().ephemerals_of(session) > EPHEMERALS_PER_LOCK;
        if !is_end(&command.op) || !has_many() {
            return false;
        }
        if let Some(client) = core.local_connection(conn) {
            answer_what_came_before(&client, around, replica);
        }
        let wake_list = &mut self.wake_list;
        let mut delivery =
            WatchDelivery { core, around, wake_list, watchers: WatcherCount::default() };
        core.replica.takes_long();
        let begun = block_in_place(|| {
            replica.end_session_partly(stamp, command, EPHEMERALS_PER_LOCK, &mut delivery)
        });
        delivery.watchers.count(core);
        begun
    }

    fn apply_command(
        &mut self,
        core: &Core,
        around: Surroundings<'_>,
        replica: &mut Replica,
        stamp: &Stamp,
        command: &Command<'_>,
    ) -> Result<(), EntryError> {
        let origin = command.origin;
        let is_local = core.awaits_outcome(origin.conn);
        let client = if is_local { core.connections.get(origin.conn.number) } else { None };
        if let Some(client) = &client {
            answer_what_came_before(client, around, replica);
        }
        let wake_list = &mut self.wake_list;
        let mut delivery =
            WatchDelivery { core, around, wake_list, watchers: WatcherCount::default() };
        let before = replica.last_zxid();
        let Applied { outcome, finished, displaced } =
            replica.apply(stamp, command, &mut delivery)?;
        delivery.watchers.count(core);
        if replica.last_zxid() != before {
            keep_digest(core, replica);
        }
        track_session(core, command, &outcome);
        if matches!(command.op, Op::NameEnsemble { .. }) {
            core.learn_name(replica);
        }
        let expired = is_expiry(&command.op);
        let view = View { replica, around, at_length: false };
        if let Some(client) = client {
            client.complete(view, origin.seq, outcome);
            self.wake_list.add(&client);
        } else if is_local {
            core.stats.conns.writes_finished.increment();
        }
        if let Some((origin, outcome)) = finished {
            self.finish(core, view, &origin, outcome);
        }
        if changes_members(command) {
            self.learn_members(core, replica);
        }
        if let Some(conn) = displaced {
            let reason =
                if expired { CloseReason::SessionEnded } else { CloseReason::SessionMoved };
            self.close(core, conn, reason);
        }
        Ok(())
    }

    /// Hands over the outcome of an earlier command.
    fn finish(&mut self, core: &Core, view: View<'_>, origin: &Origin, outcome: Outcome) {
        if !core.awaits_outcome(origin.conn) {
            return;
        }
        match core.connections.get(origin.conn.number) {
            Some(client) => {
                client.complete(view, origin.seq, outcome);
                self.wake_list.add(&client);
            }
            None => core.stats.conns.writes_finished.increment(),
        }
    }

    /// A server that was removed disconnects its clients.
    fn learn_members(&mut self, core: &Core, replica: &Replica) {
        core.learn_members(replica.members());
        if core.membership.is_member() {
            return;
        }
        for client in core.connections.all() {
            client.conn.lock().close(CloseReason::NotMember);
            self.wake_list.add(&client);
        }
    }

    /// Replaces the state, and disconnects all clients in the same step: the outcomes and events in between are
    /// lost to them, so they have to come back and say what they have seen. None may be told of the new state before
    /// that. Returns the old state.
    fn replace(&mut self, replica: Replica) -> Replica {
        let core = Arc::clone(&self.core);
        core.replica.write(|current| {
            self.close_all(&CloseReason::ServerStops);
            let before = std::mem::replace(current, replica);
            core.process.learn(current);
            before
        })
    }

    fn close(&mut self, core: &Core, conn: ConnId, reason: CloseReason) {
        if let Some(client) = core.local_connection(conn) {
            client.conn.lock().close(reason);
            self.wake_list.add(&client);
        }
    }
}

fn is_expiry(op: &Op<'_>) -> bool {
    matches!(op, Op::ExpireSession { .. } | Op::ExpireSessionIn { .. })
}

/// Answers what a client asked for before a command, which must not see it. Whether there is anything is read without
/// the lock of the connection: see `paused` of [`ConnectionHandle`].
fn answer_what_came_before(client: &ConnectionHandle, around: Surroundings<'_>, replica: &Replica) {
    if client.is_paused() {
        let view = View { replica, around, at_length: false };
        block_in_place(|| client.conn.lock().resume_all(view));
    }
}

/// Whether a command asks for the end of its session.
fn is_end(op: &Op<'_>) -> bool {
    matches!(op, Op::CloseSession) || is_expiry(op)
}

/// Gives others the thread meanwhile, where something takes long. To do so costs a wake-up.
fn in_place_if<T>(takes_long: bool, work: impl FnOnce() -> T) -> T {
    if takes_long { block_in_place(work) } else { work() }
}

/// Whether applying a command may take more than a few milliseconds.
fn takes_long(replica: &Replica, command: &Command<'_>, len: usize) -> bool {
    let ephemerals = || replica.tree().ephemerals_of(command.origin.session);
    len > REQUEST_LEN_LONG || is_end(&command.op) && ephemerals() > EPHEMERALS_LONG
}

/// Whether a command may have changed who belongs to the ensemble, or who is to.
fn changes_members(command: &Command<'_>) -> bool {
    match &command.op {
        Op::SetMembers { .. } | Op::FinishReconfig { .. } | Op::FinishReconfigIn { .. } => true,
        Op::Request { op_code, .. } => {
            OpCode::try_from(*op_code).is_ok_and(|op| Handling::of(op).changes_members)
        }
        Op::Numbered { .. }
        | Op::CreateSession { .. }
        | Op::AttachSession { .. }
        | Op::CloseSession
        | Op::ExpireSession { .. }
        | Op::DeleteContainer { .. }
        | Op::NameEnsemble { .. }
        | Op::RaiseVersion { .. }
        | Op::RegisterServer { .. }
        | Op::ExpireSessionIn { .. }
        | Op::DeleteContainerIn { .. } => false,
    }
}

/// Says which quotas were exceeded. Without enforcement, and for soft limits, that is all that comes
/// of it.
fn report_quotas(core: &Core) {
    if !core.replica.figures().has_quota_events() {
        return;
    }
    let events = core.replica.write(|replica| replica.tree_mut().take_quota_events());
    core.stats.quotas_exceeded.add(events.len() as u64);
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
fn keep_digest(core: &Core, replica: &Replica) {
    let zxid = replica.last_zxid();
    if DigestLog::wants(zxid) {
        let digest = replica.tree().digest() ^ failpoints::digest_error();
        let whole = replica.digest() ^ failpoints::digest_error();
        core.digests.lock().add(DigestRecord { zxid, digest, whole });
    }
}

/// Keeps the deadlines in step with the sessions.
fn track_session(core: &Core, command: &Command<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::SessionOpened { timeout_ms } => {
            let now_ms = core.clock.now_us() / 1000;
            core.leader_duties.track(now_ms, command.origin.session, *timeout_ms);
        }
        Outcome::SessionClosed => {
            core.leader_duties.forget(command.origin.session);
            if is_expiry(&command.op) {
                core.stats.sessions_expired.increment();
            }
        }
        Outcome::Request(_)
        | Outcome::Numbered(_)
        | Outcome::BadWriteNumber
        | Outcome::SessionRefused
        | Outcome::NotOwner
        | Outcome::OutOfOrder
        | Outcome::Deferred
        | Outcome::Repeated => {}
    }
}

/// Puts events into the output of the connections that watch.
struct WatchDelivery<'a> {
    core: &'a Core,
    around: Surroundings<'a>,
    wake_list: &'a mut WakeList,
    watchers: WatcherCount,
}

impl EventSink for WatchDelivery<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.watchers.add(self.core, &event);
        if let Some(client) = self.core.connections.get(event.watcher) {
            client.conn.lock().notify(self.around, &event);
            self.wake_list.add(&client);
        }
    }
}

/// How many watchers were told of the change at hand.
#[derive(Default)]
struct WatcherCount {
    change: Option<(EventType, String)>,
    watchers: u64,
}

impl WatcherCount {
    fn add(&mut self, core: &Core, event: &Event<'_>) {
        let same =
            |(kind, path): &(EventType, String)| *kind == event.event_type && path == event.path;
        if !self.change.as_ref().is_some_and(same) {
            self.count(core);
            self.change = Some((event.event_type, event.path.to_owned()));
        }
        self.watchers += 1;
    }

    fn count(&mut self, core: &Core) {
        if let Some((event_type, _)) = self.change.take() {
            core.stats.count_watchers(event_type, std::mem::take(&mut self.watchers));
        }
    }
}

impl StateMachine for Applier {
    fn apply(&mut self, entry: Committed<'_>) -> Result<(), Fatal> {
        self.index = entry.index;
        let Some(payload) = entry.payload else { return Ok(()) };
        let long = payload.len() > ENTRY_LEN_LONG;
        in_place_if(long, || self.apply_entry(entry.term, entry.index, payload)).map_err(|error| {
            Fatal(format!("entry {} of term {}: {error}", entry.index, entry.term))
        })
    }

    fn batch_end(&mut self) {
        self.wake_list.wake_all(&self.core.stats);
        report_quotas(&self.core);
    }

    fn begin_checkpoint(&mut self) -> Box<dyn RowSource> {
        let checkpoint = self.core.replica.write(|replica| {
            self.core.snapshots.lock().extend([CheckpointInfo {
                index: self.index,
                zxid: replica.last_zxid(),
                time_ms: self.core.clock.wall_ms(),
            }]);
            replica.begin_checkpoint()
        });
        Box::new(CheckpointRows::new(Arc::clone(&self.core), checkpoint))
    }

    fn install(
        &mut self,
        rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        let mut replica = restore(rows, 0)?.map_err(|error| Fatal(error.to_string()))?;
        replica.keep_watches(Arc::clone(&self.core.watches));
        self.core.learn_name(&replica);
        self.core.learn_members(replica.members());
        let (wall_ms, elapsed_ms) = (replica.last_wall_time().0, replica.elapsed().0);
        self.core.time.applied(wall_ms, elapsed_ms, self.core.clock.now_us());
        self.core.digests.lock().clear();
        let before = self.replace(replica);
        // It may be large, and nobody waits for it any more.
        drop(before);
        self.wake_list.wake_all(&self.core.stats);
        Ok(())
    }
}
