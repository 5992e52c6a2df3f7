//! One server's copy of the state, and how a command changes it.

use std::sync::Arc;

use bytes::BytesMut;
use jute_proto::{ErrorCode, Id, OpCode, Reader, Request, SessionId, WriteNumber, Zxid, once};

use super::answer;
use super::entry::{Command, EntryError, Op, Origin, decode_identities};
use super::outcome::{Event, EventSink, Outcome};
use super::reconfig::Members;
use crate::session::{Attach, Claim, ConnId, KeptReply, Place, SessionTable};
use crate::tree::{
    Change, ChangeKind, Create, CreateOp, OpContext, OpError, Policy, Tree, TxnResult, WriteOp,
};
use crate::watch::WatchTable;

/// What the commands of one entry share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The term of the entry.
    pub epoch: u32,
    /// The leader's wall time in milliseconds.
    pub time_ms: i64,
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
    last_time_ms: i64,
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
    pub fn restored(
        tree: Tree,
        sessions: SessionTable,
        last_zxid: Zxid,
        last_time_ms: i64,
        ensemble: Option<u128>,
        members: Members,
    ) -> Self {
        Self { tree, sessions, last_zxid, last_time_ms, ensemble, members, ..Self::default() }
    }

    /// The znodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The znodes, for what changes no node: taking a checkpoint, taking reports.
    pub(crate) fn tree_mut(&mut self) -> &mut Tree {
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
    pub(crate) fn keep_watches(&mut self, watches: Arc<WatchTable>) {
        self.watches = watches;
    }

    /// The zxid of the last operation.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The stamp of the last command, in milliseconds: no later one may be before it.
    pub fn last_time_ms(&self) -> i64 {
        self.last_time_ms
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
        self.last_time_ms = stamp.time_ms;
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
            Op::ExpireSession { owner } => {
                match self.sessions.get(origin.session).map(|record| record.owner) {
                    Some(found) if found == *owner => {
                        self.close_session(stamp, origin.session, events)
                    }
                    Some(_) | None => Outcome::Repeated.into(),
                }
            }
            Op::DeleteContainer { path } => {
                let op = WriteOp::DeleteContainer { path };
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
            Op::FinishReconfig { zxid, done } => {
                self.finish_reconfig(stamp, Zxid(*zxid), *done, events)
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
            Attach::Late => Outcome::Disowned.into(),
            Attach::Unknown => Outcome::SessionRefused.into(),
        }
    }

    fn close_session(
        &mut self,
        stamp: &Stamp,
        session: SessionId,
        events: &mut impl EventSink,
    ) -> Applied {
        let owner = self.sessions.remove(session).map(|record| record.owner);
        let zxid = self.advance(stamp);
        let closed = self.write(stamp, zxid, session, &[], &WriteOp::CloseSession, events);
        debug_assert!(closed.is_ok(), "ephemeral nodes of a session can always go");
        Applied { displaced: owner, ..Outcome::SessionClosed.into() }
    }

    fn request(
        &mut self,
        stamp: &Stamp,
        command: &Command<'_>,
        (op_code, body): (i32, &[u8]),
        events: &mut impl EventSink,
    ) -> Result<Outcome, EntryError> {
        let origin = command.origin;
        let (_, request) = decode(op_code, body)?;
        let identities = self.identities(command.identities)?;
        let claim = self.sessions.claim(origin.session, origin.conn, origin.seq);
        if let Some(outcome) = refusal(claim) {
            return Ok(outcome);
        }
        let zxid = self.advance(stamp);
        if let Request::Reconfig(request) = &request {
            return Ok(self.begin_reconfig(stamp.policy, (zxid, origin), &identities, request));
        }
        let op = write_op(&request).ok_or_else(|| no_write(op_code))?;
        let result = self.write(stamp, zxid, origin.session, &identities, &op, events);
        Ok(Outcome::Request(result))
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
        let (code, request) = decode(op_code, body)?;
        let op = write_op(&request).ok_or_else(|| no_write(op_code))?;
        let identities = self.identities(command.identities)?;
        let claim = self.sessions.claim(origin.session, origin.conn, origin.seq);
        if let Some(outcome) = refusal(claim) {
            return Ok(outcome);
        }
        let weight = once::weight(code, body.len());
        match self.sessions.place(origin.session, write, weight) {
            Place::Next => {}
            Place::Again(reply) => return Ok(Outcome::Numbered(reply)),
            Place::Skipped => return Ok(Outcome::Numbered(self.never_applied())),
            Place::Refused => return Ok(Outcome::Misnumbered),
        }
        let zxid = self.advance(stamp);
        let result = self.write(stamp, zxid, origin.session, &identities, &op, events);
        let reply = answer::reply(&mut self.scratch, zxid, &result);
        self.sessions.keep(origin.session, write.number, weight, reply.clone());
        Ok(Outcome::Numbered(reply))
    }

    /// The reply to a write that was refused before and must not come behind those that followed it.
    fn never_applied(&self) -> KeptReply {
        let code = ErrorCode::ThrottledOp;
        KeptReply { zxid: self.last_zxid, code, body: Arc::default() }
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
        let Stamp { time_ms, policy, .. } = *stamp;
        let context = OpContext { zxid, time_ms, session, identities, policy };
        let mut changes = std::mem::take(&mut self.changes);
        let result = self.tree.apply(&context, op, &mut changes);
        for change in changes.drain(..) {
            self.trigger(zxid, &change, events);
        }
        self.changes = changes;
        result
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

    /// The zxid of the next operation: counts up within an epoch and starts anew in the next.
    pub(super) fn advance(&mut self, stamp: &Stamp) -> Zxid {
        let first_of_epoch = Zxid::new(stamp.epoch, 1);
        self.last_zxid = Zxid(self.last_zxid.0 + 1).max(first_of_epoch);
        self.last_zxid
    }

    fn identities(&mut self, encoded: &[u8]) -> Result<Arc<[Id]>, EntryError> {
        if *self.identities.0 != *encoded {
            self.identities = (encoded.into(), decode_identities(encoded)?.into());
        }
        Ok(Arc::clone(&self.identities.1))
    }
}

fn decode(op_code: i32, body: &[u8]) -> Result<(OpCode, Request<'_>), EntryError> {
    let undecodable = |reason: String| EntryError::Request { op_code, reason };
    let code = OpCode::try_from(op_code).map_err(|error| undecodable(error.to_string()))?;
    let request = Request::decode(code, &mut Reader::new(body))
        .map_err(|error| undecodable(error.to_string()))?;
    Ok((code, request))
}

fn no_write(op_code: i32) -> EntryError {
    EntryError::Request { op_code, reason: "it is no write".to_owned() }
}

/// What the sender of a command that is not to be applied is told.
fn refusal(claim: Claim) -> Option<Outcome> {
    match claim {
        Claim::Granted => None,
        Claim::Repeated => Some(Outcome::Repeated),
        Claim::Gap => Some(Outcome::Early),
        Claim::Moved | Claim::Unknown => Some(Outcome::Disowned),
    }
}

/// The write that a request asks for, `None` for requests that do not belong into the log.
pub(crate) fn write_op<'a>(request: &'a Request<'_>) -> Option<WriteOp<'a>> {
    Some(match request {
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
        Request::Exists(_)
        | Request::GetData(_)
        | Request::GetAcl(_)
        | Request::GetChildren(_)
        | Request::GetChildren2(_)
        | Request::Sync(_)
        | Request::Ping
        | Request::Check(_)
        | Request::Reconfig(_)
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
    })
}
