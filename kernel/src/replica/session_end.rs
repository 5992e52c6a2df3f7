//! The end of a session, at once or in parts.

use alloc::vec::Vec;

use jute_proto::SessionId;

use super::entry::{Command, Op, Origin};
use super::outcome::{EventSink, Outcome};
use super::replica::{Applied, Replica, Stamp};
use crate::session::{Claim, ConnId};
use crate::tree::{OpContext, WriteOp};

impl Replica {
    /// Where a command ends a session that has more than `limit` ephemeral nodes, removes so many of them and
    /// returns true. The command is still to be applied, and nothing else before it.
    ///
    /// Who reads in between sees some of the nodes gone, and the zxid of before, as with ZooKeeper
    /// (`DataTree.killSession`, and `lastProcessedZxid` after it).
    pub fn end_session_partly(
        &mut self,
        stamp: &Stamp,
        command: &Command<'_>,
        limit: usize,
        events: &mut impl EventSink,
    ) -> bool {
        let session = command.origin.session;
        if self.tree().ephemerals_of(session) <= limit || !self.ends_session(stamp, command) {
            return false;
        }
        let zxid = self.next_zxid(stamp);
        let Stamp { wall_time, policy, .. } = *stamp;
        let context = OpContext { zxid, wall_time, session, identities: &[], policy };
        let mut changes = Vec::with_capacity(limit);
        self.tree_mut().close_session_partly(&context, limit, &mut changes);
        self.tell(zxid, &mut changes, events);
        true
    }

    /// Whether applying a command now would end its session.
    fn ends_session(&self, stamp: &Stamp, command: &Command<'_>) -> bool {
        let Origin { session, conn, seq } = command.origin;
        let is_of = |owner: &ConnId| {
            self.sessions().get(session).is_some_and(|record| record.owner == *owner)
        };
        match &command.op {
            Op::CloseSession => self.sessions().judge(session, conn, seq) == Claim::Granted,
            Op::ExpireSession { owner } => is_of(owner),
            Op::ExpireSessionIn { term, owner } => *term == stamp.term && is_of(owner),
            Op::Request { .. }
            | Op::Numbered { .. }
            | Op::CreateSession { .. }
            | Op::AttachSession { .. }
            | Op::DeleteContainer { .. }
            | Op::DeleteContainerIn { .. }
            | Op::NameEnsemble { .. }
            | Op::SetMembers { .. }
            | Op::FinishReconfig { .. }
            | Op::FinishReconfigIn { .. }
            | Op::RaiseVersion { .. }
            | Op::RegisterServer { .. } => false,
        }
    }

    pub(super) fn close_session(
        &mut self,
        stamp: &Stamp,
        session: SessionId,
        events: &mut impl EventSink,
    ) -> Applied {
        let owner = self.sessions_mut().remove(session).map(|record| record.owner);
        let zxid = self.advance(stamp);
        let closed = self.write(stamp, zxid, session, &[], &WriteOp::CloseSession, events);
        debug_assert!(closed.is_ok(), "ephemeral nodes of a session can always go");
        Applied { displaced: owner, ..Outcome::SessionClosed.into() }
    }

    pub(super) fn expire_session(
        &mut self,
        stamp: &Stamp,
        session: SessionId,
        owner: ConnId,
        events: &mut impl EventSink,
    ) -> Applied {
        match self.sessions().get(session).map(|record| record.owner) {
            Some(found) if found == owner => self.close_session(stamp, session, events),
            Some(_) | None => Outcome::Repeated.into(),
        }
    }
}
