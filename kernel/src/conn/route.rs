//! Which way a request goes.

use jute_proto::OpCode;

/// The way of a request through the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Through the log.
    Write,
    /// Answered from the local state, in the order of the connection.
    Read,
    /// Through the log, and the last request of the connection.
    CloseSession,
    /// Answered at once, outside of the order.
    Auth,
    /// Likewise.
    Sasl,
    /// Not for clients: answered with `UNIMPLEMENTED`, then the connection is closed.
    Refused,
}

/// The way of each operation; a new one must be given its way here.
pub(super) fn route(op: OpCode) -> Route {
    match op {
        OpCode::Create
        | OpCode::Create2
        | OpCode::CreateContainer
        | OpCode::CreateTtl
        | OpCode::Delete
        | OpCode::SetData
        | OpCode::SetAcl
        | OpCode::Reconfig
        | OpCode::Multi => Route::Write,
        OpCode::Exists
        | OpCode::GetData
        | OpCode::GetAcl
        | OpCode::GetChildren
        | OpCode::GetChildren2
        | OpCode::Sync
        | OpCode::Ping
        | OpCode::CheckWatches
        | OpCode::RemoveWatches
        | OpCode::MultiRead
        | OpCode::SetWatches
        | OpCode::SetWatches2
        | OpCode::AddWatch
        | OpCode::GetEphemerals
        | OpCode::GetAllChildrenNumber
        | OpCode::ListPage
        | OpCode::GetSubtree
        | OpCode::WhoAmI => Route::Read,
        OpCode::CloseSession => Route::CloseSession,
        OpCode::Auth => Route::Auth,
        OpCode::Sasl => Route::Sasl,
        // `check` stands within a multi only; containers are removed by servers alone.
        OpCode::Check
        | OpCode::DeleteContainer
        | OpCode::Notification
        | OpCode::CreateSession
        | OpCode::Error => Route::Refused,
    }
}

/// Whether a request is answered only behind a read barrier: `sync` always, reads of the state where
/// they are to be linearizable.
pub(super) fn wants_barrier(op: OpCode, linearizable_reads: bool) -> bool {
    let reads_state = matches!(
        op,
        OpCode::Exists
            | OpCode::GetData
            | OpCode::GetAcl
            | OpCode::GetChildren
            | OpCode::GetChildren2
            | OpCode::GetEphemerals
            | OpCode::GetAllChildrenNumber
            | OpCode::ListPage
            | OpCode::GetSubtree
            | OpCode::MultiRead
    );
    op == OpCode::Sync || (linearizable_reads && reads_state)
}

/// Whether a server without a majority refuses a request (`ReadOnlyRequestProcessor`).
pub(super) fn needs_majority(op: OpCode) -> bool {
    route(op) == Route::Write || matches!(op, OpCode::Sync | OpCode::Reconfig | OpCode::Check)
}

/// Whether a request may be answered `THROTTLEDOP` (`Request.isThrottlable`).
pub(super) fn is_throttlable(op: OpCode) -> bool {
    let way = route(op);
    op != OpCode::Ping && matches!(way, Route::Write | Route::Read)
}

/// The four letters that `cons` shows for the last operation (`FinalRequestProcessor`).
pub(super) fn short_name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => "CREA",
        OpCode::Delete | OpCode::DeleteContainer => "DELE",
        OpCode::SetData => "SETD",
        OpCode::SetAcl => "SETA",
        OpCode::Multi => "MULT",
        OpCode::MultiRead => "MLTR",
        OpCode::Exists => "EXIS",
        OpCode::GetData => "GETD",
        OpCode::GetAcl => "GETA",
        OpCode::GetChildren | OpCode::GetChildren2 => "GETC",
        OpCode::GetAllChildrenNumber => "GETACN",
        OpCode::GetEphemerals => "GETE",
        OpCode::ListPage => "LSTP",
        OpCode::GetSubtree => "GETT",
        OpCode::Sync => "SYNC",
        OpCode::Ping => "PING",
        OpCode::Reconfig => "RECO",
        OpCode::CheckWatches => "CHKW",
        OpCode::RemoveWatches => "REMW",
        OpCode::SetWatches => "SETW",
        OpCode::SetWatches2 => "STW2",
        OpCode::AddWatch => "ADDW",
        OpCode::WhoAmI => "HOMI",
        OpCode::Check => "CHEC",
        OpCode::CreateSession => "SESS",
        OpCode::CloseSession => "CLOS",
        OpCode::Auth | OpCode::Sasl | OpCode::Notification | OpCode::Error => "NA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_reads_like_others() {
        // They wait for a read barrier where reads are linearizable, are served without a majority, and
        // may be throttled.
        for op in [OpCode::ListPage, OpCode::GetSubtree] {
            let like = OpCode::GetChildren2;
            assert_eq!(route(op), route(like));
            for linearizable in [false, true] {
                assert_eq!(wants_barrier(op, linearizable), wants_barrier(like, linearizable));
            }
            assert_eq!(needs_majority(op), needs_majority(like));
            assert_eq!(is_throttlable(op), is_throttlable(like));
        }
    }
}
