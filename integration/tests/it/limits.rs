//! The limits that an administrator sets.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use integration::{Kind, RawClient, Server, ServerOptions, eventually, raw};

#[test]
fn packets_over_jute_maxbuffer_close_their_connection() {
    // A packet of exactly jute.maxbuffer is served, one byte more closes the connection; the log
    // says whose packet it was.
    let server = Server::options().set("jute.maxbuffer", "20000").start();
    let mut client = RawClient::connect(server.addr());
    // xid, type, path, data length, ACL and flags around the data.
    let around = 4 + 4 + (4 + 2) + 4 + (4 + 4 + (4 + 5) + (4 + 6)) + 4;
    client.create("/a", &vec![b'x'; 20_000 - around], 0).expect("as long as allowed");
    let session = client.session().id;
    let over = client.create("/b", &vec![b'x'; 20_001 - around], 0);
    assert!(matches!(over, Err(raw::Error::Lost(_))), "{over:?}");
    let mut other = RawClient::connect(server.addr());
    assert_eq!(other.exists("/b", false).expect("asked"), None);
    if server.kind() == Kind::Grovekeeper {
        let said = server.log();
        for word in ["20001", "jute.maxbuffer", &session.to_string()] {
            assert!(said.contains(word), "the log names {word}:\n{said}");
        }
    }
}

#[test]
fn one_address_has_at_most_max_client_cnxns() {
    // The connection over maxClientCnxns is closed at once; when another ends there is room again.
    let server = Server::options().set("maxClientCnxns", "3").start();
    let mut clients: Vec<RawClient> = (0..3).map(|_| connect(&server)).collect();
    let mut refused: TcpStream = raw::open(server.addr()).expect("accepted by the system");
    assert!(raw::closed(&mut refused), "the fourth connection is closed");
    for _ in 0..20 {
        assert!(raw::closed(&mut raw::open(server.addr()).expect("accepted by the system")));
    }
    let said = server.log().matches("too many connections from 127.0.0.1").count();
    assert_eq!(said, 1, "the log is not flooded");
    for client in &mut clients {
        client.ping().expect("the three others go on");
    }
    drop(clients.pop());
    connect(&server).ping().expect("there is room again");
}

/// Connects as soon as the server counts fewer connections than it allows.
fn connect(server: &Server) -> RawClient {
    eventually("a connection is allowed", || {
        RawClient::connect_for(server.addr(), Duration::from_secs(5)).ok()
    })
}

#[test]
fn session_timeouts_keep_to_the_set_bounds() {
    // minSessionTimeout and maxSessionTimeout replace 2 and 20 ticks.
    let server =
        Server::options().set("minSessionTimeout", "4000").set("maxSessionTimeout", "5000").start();
    for (asked, granted) in [(1_000, 4_000), (4_500, 4_500), (60_000, 5_000)] {
        let asked = Duration::from_millis(asked);
        let client = RawClient::connect_for(server.addr(), asked).expect("connected");
        assert_eq!(client.timeout().as_millis(), granted);
    }
}

#[test]
fn connections_leave_open_files_for_the_log() {
    // Idle connections as many as there can be do not keep the server from opening the next segments of its
    // log: new ones are refused before that, with one line in the log, and served again when others end.
    let mut server =
        ServerOptions::new(Kind::Grovekeeper).set("maxClientCnxns", "0").open_files(256).start();
    let mut client = RawClient::connect(server.addr());
    let idle: Vec<TcpStream> =
        (0..300).map(|_| raw::open(server.addr()).expect("accepted by the system")).collect();
    let refused = |mut socket: &TcpStream| {
        socket.set_nonblocking(true).expect("it is a socket");
        matches!(socket.read(&mut [0]), Ok(0))
    };
    eventually("the last one is refused", || refused(&idle[299]).then_some(()));
    assert!(!refused(&idle[100]), "there was room for it");
    for number in 0..60 {
        client.create(&format!("/n{number}"), &vec![b'z'; 900_000], 0).expect("written");
    }
    assert!(server.process().exited().is_none());
    let said = server.log().matches("limit of open files").count();
    assert_eq!(said, 1, "the log is not flooded:\n{}", server.log());
    drop(idle);
    connect(&server).ping().expect("there is room again");
}
