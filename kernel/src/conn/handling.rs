//! How this server handles each operation: the one place that says so.
//!
//! [`OpCode::facts`] holds what the protocol fixes, and clients need. These facts are the server's own: a client
//! neither sees nor needs a route, and another server of the same protocol may choose differently.

use jute_proto::OpCode;

/// The way of a request through the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
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

/// Whether a request is answered only behind a read barrier, see [`Propose::read_barrier`](super::Propose).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadBarrier {
    /// It shows nothing that other servers could know better.
    Never,
    /// It reads the tree: where the configuration or the client asks for linearizable reads.
    Linearizable,
    /// It is `sync`.
    Always,
}

/// What this server needs to know about an operation in order to handle it. There is no default: a new fact has to be
/// said of every kind of operation below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handling {
    /// Its way through the server.
    pub route: Route,
    /// Whether it waits for a read barrier.
    pub read_barrier: ReadBarrier,
    /// Whether a server without a quorum refuses it with `NOTREADONLY` (`ReadOnlyRequestProcessor`).
    pub needs_quorum: bool,
    /// Whether it may be answered `THROTTLEDOP` (`Request.isThrottlable`). What keeps the session, ends it or says who
    /// the client is may not.
    pub throttlable: bool,
    /// Whether it changes who belongs to the ensemble. Its outcome then comes with a second command, which others of
    /// the connection may overtake.
    pub changes_members: bool,
    /// Whether one with a long record takes long to apply, so that few of them may be on their way at once.
    pub long_takes_turns: bool,
    /// The letters that `cons` shows for the last operation (`FinalRequestProcessor`).
    pub short_name: &'static str,
    /// What follows `op_count_` in the name of its metric. Related operations share one, as in ZooKeeper; `None` for
    /// what is not counted.
    pub metric: Option<&'static str>,
}

impl Handling {
    /// How the operation is handled.
    #[must_use]
    pub fn of(op: OpCode) -> &'static Self {
        &HANDLINGS[op.index()]
    }
}

/// The handling of each operation, at its [index](OpCode::index): a request is looked up several times.
static HANDLINGS: [Handling; OpCode::COUNT] = {
    let mut handlings = [handling(OpCode::Error); OpCode::COUNT];
    let mut at = 0;
    while at < OpCode::COUNT {
        handlings[at] = handling(OpCode::ALL[at]);
        at += 1;
    }
    handlings
};

/// The table: each operation is of a kind, which has an answer to every question, or says where it differs from it.
const fn handling(op: OpCode) -> Handling {
    match op {
        OpCode::Create => write("CREA", "create"),
        OpCode::Create2 => write("CREA", "create"),
        OpCode::CreateContainer => write("CREA", "create"),
        OpCode::CreateTtl => write("CREA", "create"),
        OpCode::Delete => write("DELE", "delete"),
        OpCode::SetData => write("SETD", "set_data"),
        OpCode::SetAcl => write("SETA", "set_acl"),
        OpCode::Multi => Handling { long_takes_turns: true, ..write("MULT", "multi") },
        OpCode::Reconfig => Handling { changes_members: true, ..write("RECO", "reconfig") },
        OpCode::CloseSession => close_session("CLOS", "close_session"),

        OpCode::Exists => tree_read("EXIS", "exists"),
        OpCode::GetData => tree_read("GETD", "get_data"),
        OpCode::GetAcl => tree_read("GETA", "get_acl"),
        OpCode::GetChildren => tree_read("GETC", "get_children"),
        OpCode::GetChildren2 => tree_read("GETC", "get_children"),
        OpCode::GetAllChildrenNumber => tree_read("GETACN", "get_all_children_number"),
        OpCode::GetEphemerals => tree_read("GETE", "get_ephemerals"),
        OpCode::MultiRead => tree_read("MLTR", "multi_read"),
        OpCode::ListPage => tree_read("LSTP", "list_page"),
        OpCode::GetSubtree => tree_read("GETT", "get_subtree"),

        OpCode::CheckWatches => own_read("CHKW", "check_watches"),
        OpCode::RemoveWatches => own_read("REMW", "remove_watches"),
        OpCode::AddWatch => own_read("ADDW", "add_watch"),
        OpCode::SetWatches => own_read("SETW", "set_watches"),
        OpCode::SetWatches2 => own_read("STW2", "set_watches"),
        OpCode::WhoAmI => own_read("HOMI", "who_am_i"),
        OpCode::Ping => Handling { throttlable: false, ..own_read("PING", "ping") },
        OpCode::Sync => Handling {
            read_barrier: ReadBarrier::Always,
            needs_quorum: true,
            ..own_read("SYNC", "sync")
        },

        OpCode::Auth => credentials(Route::Auth),
        OpCode::Sasl => credentials(Route::Sasl),

        // It stands within a multi only.
        OpCode::Check => Handling { needs_quorum: true, ..refused("CHEC", Some("check")) },
        // Servers alone remove containers.
        OpCode::DeleteContainer => refused("DELE", None),
        // The handshake makes sessions, and counts them under this.
        OpCode::CreateSession => refused("SESS", Some("create_session")),
        OpCode::Notification | OpCode::Error => refused("NA", None),
    }
}

/// A write of the tree.
const fn write(short_name: &'static str, metric: &'static str) -> Handling {
    Handling {
        route: Route::Write,
        read_barrier: ReadBarrier::Never,
        needs_quorum: true,
        throttlable: true,
        changes_members: false,
        long_takes_turns: false,
        short_name,
        metric: Some(metric),
    }
}

/// A read of the tree, which other servers may have a newer state of.
const fn tree_read(short_name: &'static str, metric: &'static str) -> Handling {
    Handling {
        route: Route::Read,
        read_barrier: ReadBarrier::Linearizable,
        needs_quorum: false,
        throttlable: true,
        changes_members: false,
        long_takes_turns: false,
        short_name,
        metric: Some(metric),
    }
}

/// What this server alone knows about: the connection's own watches and identities.
const fn own_read(short_name: &'static str, metric: &'static str) -> Handling {
    Handling { read_barrier: ReadBarrier::Never, ..tree_read(short_name, metric) }
}

/// The end of the session.
const fn close_session(short_name: &'static str, metric: &'static str) -> Handling {
    Handling {
        route: Route::CloseSession,
        read_barrier: ReadBarrier::Never,
        needs_quorum: false,
        throttlable: false,
        changes_members: false,
        long_takes_turns: false,
        short_name,
        metric: Some(metric),
    }
}

/// Who the client is. `cons` shows no name for it.
const fn credentials(route: Route) -> Handling {
    Handling {
        route,
        read_barrier: ReadBarrier::Never,
        needs_quorum: false,
        throttlable: false,
        changes_members: false,
        long_takes_turns: false,
        short_name: "NA",
        metric: None,
    }
}

/// A number that is no request of a client.
const fn refused(short_name: &'static str, metric: Option<&'static str>) -> Handling {
    Handling {
        route: Route::Refused,
        read_barrier: ReadBarrier::Never,
        needs_quorum: false,
        throttlable: false,
        changes_members: false,
        long_takes_turns: false,
        short_name,
        metric,
    }
}

#[cfg(test)]
mod tests {
    use jute_proto::{Reader, Request};

    use super::*;

    #[test]
    fn pages_are_reads_like_others() {
        // They wait for a read barrier where reads are linearizable, are served without a quorum, and
        // may be throttled.
        for op in [OpCode::ListPage, OpCode::GetSubtree] {
            let (page, list) = (*Handling::of(op), *Handling::of(OpCode::GetChildren2));
            let names = Handling { short_name: page.short_name, metric: page.metric, ..list };
            assert_eq!(page, names);
        }
    }

    #[test]
    fn what_protocol_and_server_say_of_an_operation_agrees() {
        // A write of znodes is numbered, a repeatable request writes nothing, and what no client sends is refused.
        for &op in OpCode::ALL {
            let (facts, handling) = (op.facts(), Handling::of(op));
            let writes_znodes = handling.route == Route::Write && !handling.changes_members;
            assert_eq!(facts.exactly_once, writes_znodes, "{op}");
            assert!(!facts.repeatable || handling.route == Route::Read, "{op}");
            let is_request = Request::decode(op, &mut Reader::new(&[0; 64]));
            let is_request =
                !matches!(is_request, Err(jute_proto::DecodeError::NoSuchRecord { .. }));
            assert!(is_request || handling.route == Route::Refused, "{op}");
        }
    }

    #[test]
    fn every_operation_has_a_row_of_its_own() {
        // Looking an operation up gives the row of the table that names it.
        for &op in OpCode::ALL {
            assert_eq!(*Handling::of(op), handling(op), "{op}");
        }
    }
}
