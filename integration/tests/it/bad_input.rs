//! Bytes that no client should send: the offender is closed, the others notice nothing, and memory
//! stays bounded.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use integration::eventually::pause_for;
use integration::raw::{self, Error, Noise, create_request};
use integration::{Kind, RawClient, Server, eventually};
use jute_proto::{ErrorCode, GetDataRequest, OpCode, Xid};

use crate::chance::Chance;

/// How much the server's memory may grow by any misuse shown here, in KiB.
const GROWTH_MAX_KIB: u64 = 192 * 1024;

/// A server that lets one address connect often and soon closes those that never shake hands.
fn server() -> Server {
    Server::options().set("maxClientCnxns", "0").set("nio.sessionlessCnxnTimeout", "2000").start()
}

/// A client that works before and after the misuse, and the memory in between.
struct Bystander {
    client: RawClient,
    resident_kib: u64,
}

impl Bystander {
    fn of(server: &mut Server) -> Self {
        let mut client = RawClient::connect(server.addr());
        client.create("/bystander", b"", 0).expect("created");
        Self { client, resident_kib: server.process().resident_kib() }
    }

    fn still_served(&mut self) {
        self.client.set("/bystander", b"x", -1).expect("others are served");
    }

    fn finally(mut self, server: &mut Server) {
        self.still_served();
        RawClient::connect(server.addr()).exists("/bystander", false).expect("new ones too");
        // A JVM takes what heap it is given.
        if server.kind() == Kind::Grovekeeper {
            let now = server.process().resident_kib();
            let growth = now.saturating_sub(self.resident_kib);
            assert!(growth < GROWTH_MAX_KIB, "{} KiB grew to {now} KiB", self.resident_kib);
        }
    }
}

/// The log says whose connection was closed, and why.
fn named_in_log(server: &Server, offender: &TcpStream) {
    if server.kind() == Kind::Grovekeeper {
        let address = offender.local_addr().expect("the address of a socket").to_string();
        eventually("a line about the offender", || {
            server.log().lines().any(|line| line.contains(&address)).then_some(())
        });
    }
}

#[test]
fn random_bytes_close_their_connection_only() {
    // Whatever bytes come instead of a handshake, that connection ends and nothing else does.
    let mut server = server();
    let mut bystander = Bystander::of(&mut server);
    let mut chance = Chance::new();
    for _ in 0..200 {
        let mut stream = raw::open(server.addr()).expect("accepted");
        let count = chance.within(1..2_000);
        let noise = chance.bytes(count);
        // The server may close before all is written.
        let _ = stream.write_all(&noise);
        let _ = stream.shutdown(Shutdown::Write);
        assert!(raw::closed(&mut stream), "closed after {noise:02x?}");
        bystander.still_served();
    }
    bystander.finally(&mut server);
}

#[test]
fn impossible_lengths_close_the_connection() {
    // A negative length or one over the limit is closed at once, before and after the handshake.
    let mut server = server();
    let bystander = Bystander::of(&mut server);
    for length in [-1, i32::MIN, i32::MAX, 1_048_576, 64 << 20] {
        let mut stream = raw::open(server.addr()).expect("accepted");
        stream.write_all(&length.to_be_bytes()).expect("written");
        assert!(raw::closed(&mut stream), "closed for a length of {length}");
        named_in_log(&server, &stream);
        let mut client = RawClient::connect(server.addr());
        client.socket().write_all(&length.to_be_bytes()).expect("written");
        assert!(client.closed(), "closed for a length of {length} in a session");
        named_in_log(&server, client.socket());
    }
    bystander.finally(&mut server);
}

#[test]
fn half_a_handshake_is_not_waited_for_for_ever() {
    // A connection that never completes its handshake is closed after the set time.
    let mut server = server();
    let bystander = Bystander::of(&mut server);
    let mut silent = raw::open(server.addr()).expect("accepted");
    let mut half = raw::open(server.addr()).expect("accepted");
    half.write_all(&[0, 0, 0, 45, 0, 0]).expect("written");
    assert!(raw::closed(&mut half), "half a handshake");
    assert!(raw::closed(&mut silent), "no handshake at all");
    named_in_log(&server, &half);
    bystander.finally(&mut server);
}

#[test]
fn half_a_request_ends_with_its_session() {
    // A frame that never completes counts as silence: the session expires, the connection closes.
    let mut server = server();
    let bystander = Bystander::of(&mut server);
    let mut client =
        RawClient::connect_for(server.addr(), Duration::from_millis(1_000)).expect("connected");
    client.create("/half", b"", 1).expect("created");
    client.socket().write_all(&[0, 0, 4, 0, 0, 0, 0, 9]).expect("written");
    assert!(client.closed(), "closed when the session expired");
    let mut other = RawClient::connect(server.addr());
    eventually("the ephemeral is gone", || {
        other.exists("/half", false).expect("asked").is_none().then_some(())
    });
    bystander.finally(&mut server);
}

#[test]
fn huge_counts_in_small_frames_allocate_nothing() {
    // A count of two thousand million in a frame of a few bytes is refused without memory for it.
    let mut server = server();
    let mut bystander = Bystander::of(&mut server);
    for (op, body) in huge_counts() {
        for _ in 0..20 {
            let mut client = RawClient::connect(server.addr());
            refused(&mut client, op, &body);
        }
        bystander.still_served();
    }
    bystander.finally(&mut server);
}

/// A request that is answered with an error, or with the end of its connection.
fn refused(client: &mut RawClient, op: OpCode, body: &[u8]) {
    match client.call(op, &Noise(body)) {
        Ok(reply) => assert_ne!(reply.header.err, 0, "{op:?} with {body:02x?} was accepted"),
        Err(Error::Lost(_)) => {}
        Err(error) => panic!("{op:?}: {error:?}"),
    }
}

fn huge_counts() -> Vec<(OpCode, Vec<u8>)> {
    let mut create = BytesMut::new();
    put_str(&mut create, "/x");
    let mut string = BytesMut::new();
    string.put_i32(i32::MAX);
    let mut data = create.clone();
    data.put_i32(i32::MAX);
    let mut acl = create.clone();
    acl.put_i32(-1);
    acl.put_i32(i32::MAX);
    let mut watches = BytesMut::new();
    watches.put_i64(0);
    watches.put_i32(i32::MAX);
    let mut multi = BytesMut::new();
    multi.put_slice(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff]);
    multi.put_i32(i32::MAX);
    let mut set_acl = create.clone();
    set_acl.put_i32(i32::MAX);
    [
        (OpCode::Create, string),
        (OpCode::Create, data),
        (OpCode::Create2, acl),
        (OpCode::SetAcl, set_acl),
        (OpCode::SetWatches, watches.clone()),
        (OpCode::SetWatches2, watches),
        (OpCode::Multi, multi.clone()),
        (OpCode::MultiRead, multi),
    ]
    .map(|(op, body)| (op, body.to_vec()))
    .to_vec()
}

fn put_str(out: &mut BytesMut, text: &str) {
    out.put_i32(i32::try_from(text.len()).expect("a short text"));
    out.put_slice(text.as_bytes());
}

#[test]
fn noise_in_the_body_of_any_request_harms_nobody_else() {
    // Each operation code with random bytes for a body, cut anywhere: an answer or a close.
    let mut server = server();
    let mut bystander = Bystander::of(&mut server);
    let mut chance = Chance::new();
    for op in (-11..=107).chain([500, 600, i32::MIN, i32::MAX]) {
        let mut client = RawClient::connect(server.addr());
        for number in 1..20 {
            let count = chance.within(0..64);
            let body = chance.bytes(count);
            if client.send_as(Xid(number), op, &Noise(&body)).is_err() {
                break;
            }
        }
        let _ = client.socket().shutdown(Shutdown::Write);
        assert!(client.closed(), "operation {op}");
        bystander.still_served();
    }
    bystander.finally(&mut server);
}

#[test]
fn an_unknown_operation_is_refused_and_closed() {
    // An operation code that does not exist is answered UNIMPLEMENTED, then the connection ends.
    let server = server();
    let mut client = RawClient::connect(server.addr());
    client.send_as(Xid(1), 4_711, &Noise(&[])).expect("sent");
    let reply = client.receive(Xid(1)).expect("an answer").ok();
    assert!(matches!(reply, Err(Error::Code(ErrorCode::Unimplemented))), "{reply:?}");
    assert!(client.closed());
}

#[test]
fn a_body_that_ends_too_early_is_a_marshalling_error() {
    // A request that cannot be decoded is answered MARSHALLINGERROR; its connection goes on.
    let server = server();
    let mut client = RawClient::connect(server.addr());
    let reply = client.call(OpCode::GetData, &Noise(&[0, 0])).expect("an answer").ok();
    assert!(matches!(reply, Err(Error::Code(ErrorCode::MarshallingError))), "{reply:?}");
    client.create("/goes-on", b"", 0).expect("created");
}

#[test]
fn a_thousand_idle_connections_cost_little() {
    // A thousand clients that only hold their sessions leave room and speed for the others.
    raise_open_files();
    let mut server = server();
    let mut bystander = Bystander::of(&mut server);
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(RawClient::connect(server.addr()));
        let _silent: &TcpStream = idle.last_mut().expect("just connected").socket();
    }
    let silent: Vec<TcpStream> =
        (0..500).map(|_| raw::open(server.addr()).expect("accepted")).collect();
    for _ in 0..100 {
        bystander.still_served();
    }
    drop(silent);
    for client in &mut idle {
        client.ping().expect("an idle client is still connected");
    }
    bystander.finally(&mut server);
}

/// Lets this process, and the servers it starts, open as many files as the system allows.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit of open files is raised");
}

#[test]
fn a_client_that_never_reads_is_held_back() {
    // Replies that nobody takes are not heaped up in memory: the server stops reading that
    // connection, or closes it, and serves the others.
    let mut server = server();
    let mut bystander = Bystander::of(&mut server);
    let mut greedy = RawClient::connect(server.addr());
    greedy.create("/large", &vec![b'x'; 900_000], 0).expect("created");
    let socket = greedy.socket();
    socket.set_write_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    // 4000 replies of 900 kB would be 3.6 GB.
    let request = GetDataRequest { path: "/large".into(), watch: false };
    for _ in 0..4_000 {
        if greedy.send(OpCode::GetData, &request).is_err() {
            break;
        }
    }
    pause_for(Duration::from_secs(1));
    for _ in 0..50 {
        bystander.still_served();
    }
    bystander.finally(&mut server);
}

#[test]
fn watch_events_that_nobody_reads_are_bounded() {
    // A watcher that stops reading does not make the server keep its events without end, also where
    // its session does not end before that.
    let mut server = Server::options().set("maxSessionTimeout", "120000").start();
    let mut bystander = Bystander::of(&mut server);
    let folder = format!("/{}", "x".repeat(100_000));
    bystander.client.create(&folder, b"", 0).expect("created");
    let mut deaf = RawClient::connect(server.addr());
    let mut body = BytesMut::new();
    put_str(&mut body, &folder);
    body.put_i32(0);
    deaf.call(OpCode::AddWatch, &Noise(&body)).expect("asked").ok().expect("watching");
    // 2500 events of 100 kB would be 250 MB.
    for _ in 0..2_500 {
        bystander.client.set(&folder, b"", -1).expect("set");
    }
    bystander.finally(&mut server);
    drop(deaf);
}

#[test]
fn a_flood_of_requests_without_reading_replies_keeps_order() {
    // Ten thousand writes sent before the first reply is read are all answered, in their order.
    let server = server();
    let mut client = RawClient::connect(server.addr());
    let names: Vec<String> = (0..10_000).map(|n| format!("/flood-{n}")).collect();
    let addr = server.addr();
    let mut xids = Vec::new();
    for name in &names {
        xids.push(client.send(OpCode::Create2, &create_request(name, b"", 0)).expect("sent"));
    }
    for xid in xids {
        client.receive(xid).expect("answered").ok().expect("created");
    }
    assert_eq!(RawClient::connect(addr).children("/", false).expect("listed").len(), 10_001);
}
