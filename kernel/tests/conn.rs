//! Connections under bytes that mean nothing.

use bytes::Bytes;
use jute_proto::{ConnectRequest, Extensions, OpCode, SessionId, Zxid};
use proptest::prelude::*;
use testkit::InMemoryServer;
use testkit::server::{frame, handshake};

/// What a connection may hold for frames of these sizes: nothing in a frame can ask for more.
const OUTPUT_MAX: usize = 64 << 10;

/// Frames that look like requests: an operation, known or not, and bytes of which some begin like a
/// record does.
fn request() -> impl Strategy<Value = Bytes> {
    let known: Vec<i32> = OpCode::ALL.iter().map(|op| (*op).into()).collect();
    let op = prop_oneof![9 => prop::sample::select(known), 1 => any::<i32>()];
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    // A path, and then a length or a count that may be anything.
    let almost =
        (any::<i32>(), prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(n, rest)| {
            let mut body = 2_i32.to_be_bytes().to_vec();
            body.extend_from_slice(b"/n");
            body.extend_from_slice(&n.to_be_bytes());
            body.extend_from_slice(&rest);
            body
        });
    (any::<i32>(), op, prop_oneof![noise, almost]).prop_map(|(xid, op, body)| frame(xid, op, &body))
}

fn opened() -> InMemoryServer {
    let mut server = InMemoryServer::default();
    server.connect("a", [127, 0, 0, 1]);
    server.receive("a", handshake(&hello()));
    while server.apply_next().is_some() {}
    server
}

fn hello() -> ConnectRequest<'static> {
    ConnectRequest {
        protocol_version: Extensions::PAGES.protocol_version(),
        last_zxid_seen: Zxid(0),
        timeout_ms: 10_000,
        session_id: SessionId(0),
        password: &[0; 16],
        read_only: Some(false),
    }
}

proptest! {
    #[test]
    fn noise_instead_of_a_handshake_ends_the_connection(
        bytes in prop::collection::vec(any::<u8>(), 0..100)
    ) {
        // Whatever the first frame is, the connection shakes hands or ends; it never panics.
        let mut server = InMemoryServer::default();
        server.connect("a", [127, 0, 0, 1]);
        server.receive("a", Bytes::from(bytes));
        while server.apply_next().is_some() {}
        let conn = &server.conns["a"];
        prop_assert!(conn.is_open() || conn.close_reason().is_some());
    }

    #[test]
    fn noise_for_requests_is_answered_or_ends_the_connection(
        frames in prop::collection::vec((request(), any::<bool>()), 1..40)
    ) {
        // Each request gets one answer, or the connection ends; nothing panics, and what is kept
        // for it stays small. Whatever went into the log can be applied.
        let mut server = opened();
        for (frame, apply) in frames {
            if server.conns["a"].close_reason().is_none() {
                server.receive("a", frame);
            }
            if apply {
                while server.apply_next().is_some() {}
            }
            prop_assert!(server.conns["a"].output().len() < OUTPUT_MAX);
        }
        while server.apply_next().is_some() {}
        server.resume("a");
        let conn = &server.conns["a"];
        prop_assert!(!conn.has_outstanding(), "a request without an answer");
        prop_assert_eq!(server.stats.outstanding(), 0);
        let tree = server.replica.tree();
        prop_assert_eq!(tree.digest(), tree.recomputed_digest());
    }

    #[test]
    fn describing_noise_is_harmless(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        // The beginning of a refused frame is looked at whatever it is.
        let (_, path) = kernel::conn::Conn::describe(&bytes);
        prop_assert!(path.is_none_or(|path| path.len() <= 3 * bytes.len()));
    }
}

#[test]
fn a_repeated_handshake_is_a_request_like_any_other() {
    // A second connect request is no request that exists: it is refused, and nothing else happens.
    let mut server = opened();
    server.receive("a", handshake(&hello()));
    while server.apply_next().is_some() {}
    assert_eq!(server.replica.sessions().len(), 1);
    assert!(server.conns["a"].close_reason().is_some());
    server.disconnect("a");
}

#[test]
fn requests_that_waited_too_long_may_be_noise_too() {
    // THROTTLEDOP needs a header only; without one the connection ends.
    let mut server = opened();
    server.receive_throttled("a", frame(1, 4, &[1, 2, 3]));
    assert!(server.conns["a"].close_reason().is_none());
    server.receive_throttled("a", Bytes::from_static(&[0, 0]));
    assert!(server.conns["a"].close_reason().is_some());
    let command = kernel::replica::Op::CloseSession;
    let conn = server.conns["a"].id();
    server.forge(kernel::replica::Origin { session: SessionId(1), conn, seq: 1 }, command);
    while server.apply_next().is_some() {}
    assert!(server.replica.sessions().is_empty());
}

#[test]
fn what_waits_for_a_read_barrier_keeps_its_place() {
    // `sync` is answered when its barrier has passed; what came behind it waits, and a write behind it
    // goes into the log only then, so that nothing in front of it can see it.
    let mut server = opened();
    server.log.barriers = Some(0);
    let before = server.conns["a"].output().len();
    let path: &[u8] = &[0, 0, 0, 1, b'/'];
    server.receive("a", frame(1, OpCode::Sync.into(), path));
    server.receive("a", frame(2, OpCode::Exists.into(), &[path, &[0]].concat()));
    let delete = [&[0, 0, 0, 2, b'/', b'x'][..], &(-1_i32).to_be_bytes()].concat();
    server.receive("a", frame(3, OpCode::Delete.into(), &delete));
    assert_eq!(server.conns["a"].output().len(), before, "nothing is answered early");
    assert!(server.log.queue.is_empty(), "the write waits");
    assert!(!server.conns["a"].wants_input(&server.settings), "and so does what follows it");
    assert!(!server.conns["a"].has_paused(), "waiting for a barrier is no reason to look again");
    server.pass_barrier("a", 1);
    assert!(server.conns["a"].output().len() > before, "sync and the read are answered");
    assert_eq!(server.log.queue.len(), 1, "the write goes its way");
    while server.apply_next().is_some() {}
    assert!(!server.conns["a"].has_outstanding());
    assert!(server.conns["a"].wants_input(&server.settings));
}

#[test]
fn a_session_may_ask_for_linearizable_reads() {
    // Granted in the handshake, each of its reads waits for a barrier; a client that asks for nothing
    // reads at once, and is told the version of plain ZooKeeper.
    for (version, waits) in [(0, false), (Extensions::LINEARIZABLE_READS.protocol_version(), true)]
    {
        let mut server = InMemoryServer::default();
        server.connect("a", [127, 0, 0, 1]);
        server.receive("a", handshake(&ConnectRequest { protocol_version: version, ..hello() }));
        while server.apply_next().is_some() {}
        let response = server.conns.get_mut("a").expect("connected").take_output();
        assert_eq!(response[4..8], version.to_be_bytes());
        server.log.barriers = Some(0);
        let path = [0, 0, 0, 1, b'/', 0];
        server.receive("a", frame(1, OpCode::Exists.into(), &path));
        assert_eq!(server.conns["a"].output().is_empty(), waits);
    }
}
