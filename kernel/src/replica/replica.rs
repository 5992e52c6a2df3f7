//! One server's copy of the state, and how a command changes it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BytesMut;
use jute_proto::{ErrorCode, Id, ReconfigRequest, Request, SessionId, WriteNumber, Zxid, once};

use super::answer;
use super::checkpoint::ReplicaMeta;
use super::entry::{Command, EntryError, Op, Origin, decode_identities, decode_request};
use super::node_ages::NodeAges;
use super::outcome::{Event, EventSink, Outcome};
use super::processes::{ProcessTable, SectionClaim};
use super::reconfig::Members;
use super::section::Sender;
use crate::session::{Attach, CachedReply, Claim, ConnId, Dedup, SessionTable};
use crate::time::{ElapsedTime, WallTime};
use crate::tree::digest::mix;
use crate::tree::{
    Change, ChangeKind, Create, CreateOp, ExpirySearch, ExpirySettings, Node, NodeKind, OpContext,
    OpError, Policy, Tree, TxnResult, WriteOp,
};
use crate::watch::WatchTable;

/// What the commands of one entry share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp {
    /// The term of the entry.
    pub term: u64,
    /// Its index in the log.
    pub index: u64,
    /// The leader's clock.
    pub wall_time: WallTime,
    /// What expires goes by this; 0 for entries that do not say.
    pub elapsed: ElapsedTime,
    /// The leader's settings that decide outcomes.
    pub policy: Policy,
}

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// What its sender is told.
    pub outcome: Outcome,
    /// An earlier command whose outcome is known with this one.
    pub finished: Option<(Origin, Outcome)>,
    /// A connection that has lost its session to this command.
    pub displaced: Option<ConnId>,
}

/// The version of the software that knew nothing of versions in force.
const VERSION_FIRST: u16 = 1;

/// The version from which on commands of servers are applied exactly once: sections are numbered. Also, nodes
/// expire by [elapsed time](Stamp::elapsed), and sessions are part of the digest.
pub const VERSION_2: u16 = 2;

/// Now, for what expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The leader's clock, by which nodes expire before [`VERSION_2`].
    pub wall_time: WallTime,
    /// As [`Stamp::elapsed`].
    pub elapsed: ElapsedTime,
}

/// A container or TTL node whose life is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The node.
    pub path: Arc<str>,
    /// The zxid of its creation.
    pub czxid: Zxid,
    /// The zxid of the last change of its data.
    pub mzxid: Zxid,
}

impl From<Outcome> for Applied {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, finished: None, displaced: None }
    }
}

/// Tree, sessions and watches of one server.
#[derive(Debug, Default)]
pub struct Replica {
    tree: Tree,
    sessions: SessionTable,
    watches: Arc<WatchTable>,
    last_zxid: Zxid,
    last_wall_time: WallTime,
    elapsed: ElapsedTime,
    /// See [`Replica::version`]; 0 where it was never raised.
    version: u16,
    pub(super) processes: ProcessTable,
    pub(super) node_ages: NodeAges,
    ensemble: Option<u128>,
    pub(super) members: Members,
    /// The identities of the last command: neighbours in a batch mostly have the same.
    identities: (Box<[u8]>, Arc<[Id]>),
    changes: Vec<Change>,
    /// Where replies that are kept are encoded.
    scratch: BytesMut,
}

impl Replica {
    /// A state as a checkpoint kept it; no connection watches anything yet.
    pub(super) fn restored(tree: Tree, sessions: SessionTable, meta: ReplicaMeta) -> Self {
        let ReplicaMeta {
            last_zxid,
            last_wall_time,
            elapsed,
            version,
            processes,
            node_ages,
            ensemble,
            members,
        } = meta;
        Self {
            tree,
            sessions,
            last_zxid,
            last_wall_time,
            elapsed,
            version,
            processes,
            node_ages,
            ensemble,
            members,
            ..Self::default()
        }
    }

    /// The znodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The znodes, for what changes no node: taking a checkpoint, taking reports.
    pub fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// The live sessions.
    pub fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    pub(super) fn sessions_mut(&mut self) -> &mut SessionTable {
        &mut self.sessions
    }

    /// The watches of this server's connections. They have locks of their own: who holds on to the table may
    /// look at it, and leave it, while the replica is locked.
    pub fn watches(&self) -> &Arc<WatchTable> {
        &self.watches
    }

    /// Uses the watches of the replica that this one takes the place of.
    pub fn keep_watches(&mut self, watches: Arc<WatchTable>) {
        self.watches = watches;
    }

    /// The zxid of the last operation.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The wall time of the last entry.
    pub fn last_wall_time(&self) -> WallTime {
        self.last_wall_time
    }

    /// The elapsed time as of the last entry.
    pub fn elapsed(&self) -> ElapsedTime {
        self.elapsed
    }

    /// The version in force: what every member can read, in the log, in rows, and between servers.
    pub fn version(&self) -> u16 {
        self.version.max(VERSION_FIRST)
    }

    /// The processes of the servers.
    pub fn processes(&self) -> &ProcessTable {
        &self.processes
    }

    /// A hash of all that replicas have in common, comparable between replicas of one [`Self::version`].
    pub fn digest(&self) -> u64 {
        let tree = self.tree.digest();
        if self.version() < VERSION_2 {
            return tree;
        }
        let parts = [self.sessions.digest(), self.processes.digest(), self.node_ages.digest()];
        parts.into_iter().fold(tree, mix)
    }

    /// Of the next `limit` containers and nodes with a time to live, those whose life is over; `None` behind the
    /// last one.
    pub fn expired(
        &self,
        now: Now,
        settings: ExpirySettings,
        search: &mut ExpirySearch,
        limit: usize,
    ) -> Option<Vec<Expired>> {
        let by_clock = |_: &str, node: &Node| now.wall_time.ms_since(node.mtime());
        let by_age = |path: &str, _: &Node| {
            i64::try_from(self.node_ages.age_ms(path, now.elapsed)).unwrap_or(i64::MAX)
        };
        let over = match self.version() {
            ..VERSION_2 => self.tree.expired(settings, by_clock, search, limit)?,
            VERSION_2.. => self.tree.expired(settings, by_age, search, limit)?,
        };
        let over = over.into_iter().map(|(path, node)| {
            let stat = node.stat();
            Expired { path, czxid: stat.czxid, mzxid: stat.mzxid }
        });
        Some(over.collect())
    }

    /// Takes note of an entry, before its commands.
    pub fn begin_entry(&mut self, stamp: &Stamp) {
        self.last_wall_time = stamp.wall_time;
        self.elapsed = self.elapsed.max(stamp.elapsed);
    }

    /// Judges a section, and counts it as applied where it is granted: then all of its commands are to be applied,
    /// and otherwise none. One without a number is always granted; `Applier` refuses
    /// commands that must not be applied twice ([`EntryError::Unnumbered`]).
    pub fn claim_section(&mut self, sender: Sender) -> SectionClaim {
        if sender.incarnation == 0 { SectionClaim::Granted } else { self.processes.claim(sender) }
    }

    /// The name of the ensemble, once it has one.
    pub fn ensemble(&self) -> Option<u128> {
        self.ensemble
    }

    /// Who belongs to the ensemble.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Applies one command.
    ///
    /// # Errors
    /// [`EntryError`] where the command does not decode: nothing was applied, and the server must
    /// stop.
    pub fn apply(
        &mut self,
        stamp: &Stamp,
        command: &Command<'_>,
        events: &mut impl EventSink,
    ) -> Result<Applied, EntryError> {
        let origin = command.origin;
        Ok(match &command.op {
            Op::CreateSession { .. } | Op::AttachSession { .. } if self.owns(&origin) => {
                Outcome::Repeated.into()
            }
            Op::CreateSession { timeout_ms } => {
                self.advance(stamp);
                if self.sessions.create(origin.session, *timeout_ms, origin.conn) {
                    Outcome::SessionOpened { timeout_ms: *timeout_ms }.into()
                } else {
                    Outcome::SessionRefused.into()
                }
            }
            Op::AttachSession { timeout_ms } => self.attach(&origin, *timeout_ms),
            Op::CloseSession => {
                let claim = self.sessions.claim(origin.session, origin.conn, origin.seq);
                match refusal(claim) {
                    None => self.close_session(stamp, origin.session, events),
                    Some(outcome) => outcome.into(),
                }
            }
            Op::ExpireSessionIn { term, .. }
            | Op::DeleteContainerIn { term, .. }
            | Op::FinishReconfigIn { term, .. }
                if *term != stamp.term =>
            {
                Outcome::Repeated.into()
            }
            Op::ExpireSession { owner } | Op::ExpireSessionIn { owner, .. } => {
                self.expire_session(stamp, origin.session, *owner, events)
            }
            Op::DeleteContainer { path } => {
                let op = WriteOp::DeleteContainer { path, age_ms: None };
                let zxid = self.advance(stamp);
                let result = self.write(stamp, zxid, origin.session, &[], &op, events);
                Outcome::Request(result).into()
            }
            Op::NameEnsemble { name } => {
                self.ensemble.get_or_insert(*name);
                Outcome::Repeated.into()
            }
            Op::SetMembers { text } => {
                self.set_members(stamp, text, events)?;
                Outcome::Repeated.into()
            }
            Op::FinishReconfig { zxid, done } | Op::FinishReconfigIn { zxid, done, .. } => {
                self.finish_reconfig(stamp, Zxid(*zxid), *done, events)
            }
            Op::RaiseVersion { version } => {
                self.raise_version(*version);
                Outcome::Repeated.into()
            }
            Op::RegisterServer { server, process } => {
                if self.members.has(*server) {
                    self.processes.register(*server, *process, stamp.index);
                }
                Outcome::Repeated.into()
            }
            Op::DeleteContainerIn { path, czxid, mzxid, .. } => {
                self.delete_container(stamp, path, (Zxid(*czxid), Zxid(*mzxid)), events)
            }
            Op::Request { op_code, body } => {
                self.request(stamp, command, (*op_code, body), events)?.into()
            }
            Op::Numbered { number, answered, op_code, body } => {
                let write = WriteNumber { number: *number, answered: *answered };
                self.numbered(stamp, command, write, (*op_code, body), events)?.into()
            }
        })
    }

    /// Whether the connection has the session already: it asked before, and what it sent since may
    /// have been applied.
    fn owns(&self, origin: &Origin) -> bool {
        self.sessions.get(origin.session).is_some_and(|record| record.owner == origin.conn)
    }

    fn attach(&mut self, origin: &Origin, timeout_ms: u32) -> Applied {
        match self.sessions.attach(origin.session, timeout_ms, origin.conn) {
            Attach::Given(before) => {
                let outcome = Outcome::SessionOpened { timeout_ms };
                Applied { displaced: Some(before), ..outcome.into() }
            }
            Attach::Late => Outcome::NotOwner.into(),
            Attach::Unknown => Outcome::SessionRefused.into(),
        }
    }

    /// Removes a container or TTL node, unless it is another one than the leader saw.
    fn delete_container(
        &mut self,
        stamp: &Stamp,
        path: &str,
        (czxid, mzxid): (Zxid, Zxid),
        events: &mut impl EventSink,
    ) -> Applied {
        let is_it = |node: &Node| {
            let stat = node.stat();
            (stat.czxid, stat.mzxid) == (czxid, mzxid)
        };
        if !self.tree.get(path).is_some_and(is_it) {
            return Outcome::Repeated.into();
        }
        let zxid = self.advance(stamp);
        let age_ms = i64::try_from(self.node_ages.age_ms(path, self.elapsed)).unwrap_or(i64::MAX);
        let op = WriteOp::DeleteContainer { path, age_ms: Some(age_ms) };
        Outcome::Request(self.write(stamp, zxid, SessionId(0), &[], &op, events)).into()
    }

    /// What is new in a version begins here.
    fn raise_version(&mut self, version: u16) {
        if version <= self.version() {
            return;
        }
        if self.version() < VERSION_2 {
            let (tree, elapsed) = (&self.tree, self.elapsed);
            tree.expiring().for_each(|path| self.node_ages.set(path, elapsed));
        }
        self.version = version;
    }

    fn request(
        &mut self,
        stamp: &Stamp,
        command: &Command<'_>,
        (op_code, body): (i32, &[u8]),
        events: &mut impl EventSink,
    ) -> Result<Outcome, EntryError> {
        let origin = command.origin;
        let (_, request) = decode_request(op_code, body)?;
        let identities = self.identities(command.identities)?;
        let claim = self.sessions.claim(origin.session, origin.conn, origin.seq);
        if let Some(outcome) = refusal(claim) {
            return Ok(outcome);
        }
        let zxid = self.advance(stamp);
        match logged(&request).ok_or_else(|| no_write(op_code))? {
            Logged::Reconfig(request) => {
                Ok(self.begin_reconfig(stamp.policy, (zxid, origin), &identities, request))
            }
            Logged::Write(op) => {
                let result = self.write(stamp, zxid, origin.session, &identities, &op, events);
                Ok(Outcome::Request(result))
            }
        }
    }

    /// A write that may have been applied before, on another connection of its session. Its place on
    /// this connection is judged first, as that of every command, then its number in the session.
    fn numbered(
        &mut self,
        stamp: &Stamp,
        command: &Command<'_>,
        write: WriteNumber,
        (op_code, body): (i32, &[u8]),
        events: &mut impl EventSink,
    ) -> Result<Outcome, EntryError> {
        let origin = command.origin;
        let (code, request) = decode_request(op_code, body)?;
        let Some(Logged::Write(op)) = logged(&request) else { return Err(no_write(op_code)) };
        let identities = self.identities(command.identities)?;
        let claim = self.sessions.claim(origin.session, origin.conn, origin.seq);
        if let Some(outcome) = refusal(claim) {
            return Ok(outcome);
        }
        let weight = once::weight(code, body.len());
        let is_bounded = self.version() >= VERSION_2;
        if is_bounded && !self.sessions.has_room_for_reply(origin.session, write, weight) {
            return Ok(Outcome::Numbered(self.never_applied()));
        }
        match self.sessions.check_duplicate(origin.session, write, weight) {
            Dedup::New => {}
            Dedup::Duplicate(reply) => return Ok(Outcome::Numbered(reply)),
            Dedup::Skipped => return Ok(Outcome::Numbered(self.never_applied())),
            Dedup::BadNumber => return Ok(Outcome::BadWriteNumber),
        }
        let zxid = self.advance(stamp);
        let result = self.write(stamp, zxid, origin.session, &identities, &op, events);
        let reply = answer::reply(&mut self.scratch, zxid, &result);
        self.sessions.keep_reply(origin.session, write.number, weight, reply.clone());
        Ok(Outcome::Numbered(reply))
    }

    /// The reply to a write that was refused before and must not come behind those that followed it.
    fn never_applied(&self) -> CachedReply {
        let code = ErrorCode::ThrottledOp;
        CachedReply { zxid: self.last_zxid, code, body: Arc::default() }
    }

    pub(super) fn write(
        &mut self,
        stamp: &Stamp,
        zxid: Zxid,
        session: SessionId,
        identities: &[Id],
        op: &WriteOp<'_>,
        events: &mut impl EventSink,
    ) -> Result<TxnResult, OpError> {
        let Stamp { wall_time, policy, .. } = *stamp;
        let context = OpContext { zxid, wall_time, session, identities, policy };
        let mut changes = core::mem::take(&mut self.changes);
        let result = self.tree.apply(&context, op, &mut changes);
        self.tell(zxid, &mut changes, events);
        self.changes = changes;
        result
    }

    pub(super) fn tell(
        &mut self,
        zxid: Zxid,
        changes: &mut Vec<Change>,
        events: &mut impl EventSink,
    ) {
        for change in changes.drain(..) {
            self.note_age(&change);
            self.trigger(zxid, &change, events);
        }
    }

    /// Keeps the ages of nodes that may expire.
    fn note_age(&mut self, change: &Change) {
        if self.version() < VERSION_2 || (!self.tree.has_expiring() && self.node_ages.is_empty()) {
            return;
        }
        match change.kind {
            ChangeKind::Deleted => self.node_ages.remove(&change.path),
            ChangeKind::Created | ChangeKind::DataChanged => {
                let kind = self.tree.get(&change.path).map(Node::kind);
                if let Some(NodeKind::Container | NodeKind::Ttl(_)) = kind {
                    self.node_ages.set(&change.path, self.elapsed);
                }
            }
        }
    }

    fn trigger(&self, zxid: Zxid, change: &Change, events: &mut impl EventSink) {
        let path: &str = &change.path;
        let fire = |firing: crate::watch::Firing<'_>| {
            let own = firing.path.len() == path.len();
            let acl = if own { &change.acl } else { &change.parent_acl };
            let crate::watch::Firing { watcher, event_type, path } = firing;
            events.event(Event { zxid, watcher, event_type, path, acl });
        };
        match change.kind {
            ChangeKind::Created => self.watches.node_created(path, fire),
            ChangeKind::Deleted => self.watches.node_deleted(path, fire),
            ChangeKind::DataChanged => self.watches.node_data_changed(path, fire),
        }
    }

    pub(super) fn advance(&mut self, stamp: &Stamp) -> Zxid {
        self.last_zxid = self.next_zxid(stamp);
        self.last_zxid
    }

    /// The zxid of the next operation: counts up within an epoch and starts anew in the next.
    pub(super) fn next_zxid(&self, stamp: &Stamp) -> Zxid {
        // ZooKeeper's epoch has 32 bits; terms grow by elections and never get near.
        let epoch = u32::try_from(stamp.term).unwrap_or(u32::MAX);
        let first_of_epoch = Zxid::new(epoch, 1);
        Zxid(self.last_zxid.0 + 1).max(first_of_epoch)
    }

    fn identities(&mut self, encoded: &[u8]) -> Result<Arc<[Id]>, EntryError> {
        if *self.identities.0 != *encoded {
            self.identities = (encoded.into(), decode_identities(encoded)?.into());
        }
        Ok(Arc::clone(&self.identities.1))
    }
}

fn no_write(op_code: i32) -> EntryError {
    EntryError::Request { op_code, reason: "it is no write".to_owned() }
}

/// What the sender of a command that is not to be applied is told.
fn refusal(claim: Claim) -> Option<Outcome> {
    match claim {
        Claim::Granted => None,
        Claim::Repeated => Some(Outcome::Repeated),
        Claim::Gap => Some(Outcome::OutOfOrder),
        Claim::Moved | Claim::Unknown => Some(Outcome::NotOwner),
    }
}

/// A request that belongs into the log.
#[derive(Debug)]
pub(crate) enum Logged<'a> {
    /// One step: a write of the tree.
    Write(WriteOp<'a>),
    /// Two steps: what it asks for is noted, and finished by a command of the leader's.
    Reconfig(&'a ReconfigRequest<'a>),
}

/// What a request asks the log for; `None` for requests that do not belong there.
pub(crate) fn logged<'a>(request: &'a Request<'_>) -> Option<Logged<'a>> {
    Some(Logged::Write(match request {
        Request::Create(create) => WriteOp::Create(Create::new(CreateOp::Create, create)),
        Request::Create2(create) => WriteOp::Create(Create::new(CreateOp::Create2, create)),
        Request::CreateContainer(create) => {
            WriteOp::Create(Create::new(CreateOp::Container, create))
        }
        Request::CreateTtl(create) => WriteOp::Create(Create::with_ttl(create)),
        Request::Delete(delete) => WriteOp::Delete { path: &delete.path, version: delete.version },
        Request::SetData(set) => {
            WriteOp::SetData { path: &set.path, data: set.data, version: set.version }
        }
        Request::SetAcl(set) => {
            WriteOp::SetAcl { path: &set.path, acl: set.acl.as_deref(), version: set.version }
        }
        Request::Multi(multi) => WriteOp::multi(multi),
        Request::Reconfig(reconfig) => return Some(Logged::Reconfig(reconfig)),
        Request::Exists(_)
        | Request::GetData(_)
        | Request::GetAcl(_)
        | Request::GetChildren(_)
        | Request::GetChildren2(_)
        | Request::Sync(_)
        | Request::Ping
        | Request::Check(_)
        | Request::CheckWatches(_)
        | Request::RemoveWatches(_)
        | Request::DeleteContainer(_)
        | Request::MultiRead(_)
        | Request::Auth(_)
        | Request::SetWatches(_)
        | Request::Sasl(_)
        | Request::GetEphemerals(_)
        | Request::GetAllChildrenNumber(_)
        | Request::SetWatches2(_)
        | Request::AddWatch(_)
        | Request::WhoAmI
        | Request::ListPage(_)
        | Request::GetSubtree(_)
        | Request::CloseSession => return None,
    }))
}
