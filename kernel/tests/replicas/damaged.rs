//! What is read from disk is what was written, or an error that says what is wrong.

use bytes::BytesMut;
use jute_proto::{Encode, Id, OpCode, ReconfigRequest, SessionId, Zxid};
use kernel::ensemble::ServerId;
use kernel::replica::checkpoint::{META_KEY, Restore, RestoreError};
use kernel::replica::entry::encode_identities;
use kernel::replica::{Command, Op, Origin, Outcome, Replica, Stamp};
use kernel::session::ConnId;
use kernel::tree::Policy;

use crate::log::{Act, Fate, Pause, SERVER, Step, write_log};
use crate::server::{Nobody, Server, assert_same};
use testkit::checkpoint::{self, Rows, restore};

/// A server with nodes of several kinds and a session, and all of it on disk.
fn server_on_disk() -> Server {
    let step = |act| Step {
        act,
        session: 1,
        conn: 1,
        stranger: false,
        skew: 0,
        numbered: Some((0, 9)),
        ends: true,
        new_term: false,
        fate: Fate::InTurn,
        pauses: [Pause::None; 3],
    };
    let create =
        |path: &str, flags| step(Act::Create { path: path.to_owned(), flags, private: false });
    let steps = [
        step(Act::NewSession),
        create("/a", 0),
        create("/a/b", 1),
        step(Act::SetData { path: "/a".to_owned(), len: 40 }),
        step(Act::SetAcl { path: "/a/b".to_owned() }),
        create("/a/c", 4),
        step(Act::SetData { path: "/a".to_owned(), len: 41 }),
    ];
    let log = write_log(&steps, 4);
    let mut server = Server::default();
    for (at, entry) in log.iter().enumerate() {
        server.outcomes(at, entry);
    }
    assert!(server.replica.processes().get(SERVER).is_some());
    server.checkpoint(log.len());
    assert_same(&restore(&server.rows).expect("its own rows"), &server.replica);
    server
}

#[test]
fn rows_cut_anywhere_are_refused() {
    // A row that ends too early is an error that says which table it is of, never a panic.
    let server = server_on_disk();
    for ((table, key), value) in &server.rows {
        for len in 0..value.len() {
            let mut rows = server.rows.clone();
            rows.insert((*table, key.clone()), value[..len].to_vec());
            let error = restore(&rows).expect_err("a cut row");
            let of_table = match error {
                RestoreError::Tree(_) | RestoreError::Digest { .. } => 0,
                RestoreError::Session(_) => 1,
                RestoreError::Meta | RestoreError::Members(_) => 2,
                RestoreError::Format(_) => 3,
            };
            assert_eq!(of_table, *table, "{} bytes of {}", len, key.escape_ascii());
        }
    }
}

#[test]
fn changed_bytes_of_nodes_are_noticed() {
    // No byte of a node can change without the digest, or the row itself, showing it.
    let server = server_on_disk();
    let nodes = server.rows.iter().filter(|((table, _), _)| *table == 0);
    for ((table, key), value) in nodes {
        for at in 0..value.len() {
            let mut rows = server.rows.clone();
            let mut damaged = value.clone();
            damaged[at] ^= 0x41;
            rows.insert((*table, key.clone()), damaged);
            assert!(restore(&rows).is_err(), "byte {at} of {}", key.escape_ascii());
        }
    }
}

#[test]
fn a_server_starts_on_a_host_with_a_line_break() {
    // An earlier version took such a host from who may reconfigure, and then no server started on its
    // checkpoint. What the log holds is applied as it was then, and the rows are read.
    let mut replica = Replica::default();
    let policy = Policy { reconfig: true, ..Policy::default() };
    let stamp = Stamp { term: 1, policy, ..Stamp::default() };
    let conn = ConnId { server: ServerId(1), boot: 1, number: 1 };
    let superuser = encode_identities(&[Id::new("super", "")]);
    let apply = |replica: &mut Replica, seq: u64, op: Op<'_>| {
        let origin = Origin { session: SessionId(1), conn, seq };
        let command = Command { origin, identities: &superuser, op };
        replica.apply(&stamp, &command, &mut Nobody).expect("it decodes").outcome
    };
    let text = "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2;3\nversion=0";
    apply(&mut replica, 0, Op::SetMembers { text });
    apply(&mut replica, 0, Op::CreateSession { timeout_ms: 1000 });
    let mut body = BytesMut::new();
    let request = ReconfigRequest {
        joining_servers: Some("server.4=h\nx:24999:24998:observer;127.0.0.1:24997".into()),
        leaving_servers: None,
        new_members: None,
        current_config_id: Zxid(-1),
    };
    request.encode(&mut body);
    let op_code = OpCode::Reconfig.into();
    let outcome = apply(&mut replica, 1, Op::Request { op_code, body: &body });
    assert_eq!(outcome, Outcome::Deferred);
    let mut rows = Rows::new();
    for finished in [false, true] {
        if finished {
            let zxid = replica.last_zxid().0;
            apply(&mut replica, 0, Op::FinishReconfig { zxid, done: true });
        }
        checkpoint::store(&mut replica, &mut rows, 1000);
        let restarted = restore(&rows).expect("its own rows");
        assert_eq!(restarted.members(), replica.members());
        replica = restarted;
    }
    assert_eq!(replica.members().current.as_ref().map(|all| all.servers.len()), Some(4));
}

#[test]
fn missing_and_foreign_rows_are_refused() {
    // Without a node, without the row about the whole, or with rows of a newer server, nothing is
    // restored; the error says which it is.
    let server = server_on_disk();
    let without = |table: u8, key: &[u8]| {
        let mut rows = server.rows.clone();
        assert!(rows.remove(&(table, key.to_vec())).is_some());
        restore(&rows).map(drop)
    };
    let missing_leaf = without(0, b"/a/b");
    assert!(matches!(missing_leaf, Err(RestoreError::Digest { .. })), "{missing_leaf:?}");
    let missing_parent = without(0, b"/a");
    assert!(matches!(missing_parent, Err(RestoreError::Tree(_))), "{missing_parent:?}");
    assert_eq!(without(2, META_KEY), Err(RestoreError::Meta));
    for table in [1, 2] {
        let mut rows = server.rows.clone();
        for ((_, _), value) in rows.iter_mut().filter(|((of, _), _)| *of == table) {
            value[0] = 200;
        }
        assert_eq!(restore(&rows).map(drop), Err(RestoreError::Format(200)));
    }
    let mut restore = Restore::default();
    assert_eq!(restore.meta(b"other", &[1]), Err(RestoreError::Meta));
    assert_eq!(restore.session(b"short", &[1]), Err(RestoreError::Session(b"short".to_vec())));
}

#[test]
fn nothing_makes_a_fresh_replica() {
    // A new server has no rows: its state is the fresh one.
    assert_same(&restore(&Rows::new()).expect("no rows"), &Replica::default());
}
