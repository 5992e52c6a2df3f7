//! The limits that an administrator sets.

use std::net::TcpStream;

use integration::{Kind, RawClient, Server, eventually, raw};

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
        RawClient::connect_for(server.addr(), std::time::Duration::from_secs(5)).ok()
    })
}

#[test]
fn session_timeouts_keep_to_the_set_bounds() {
    // minSessionTimeout and maxSessionTimeout replace 2 and 20 ticks.
    let server =
        Server::options().set("minSessionTimeout", "4000").set("maxSessionTimeout", "5000").start();
    for (asked, granted) in [(1_000, 4_000), (4_500, 4_500), (60_000, 5_000)] {
        let asked = std::time::Duration::from_millis(asked);
        let client = RawClient::connect_for(server.addr(), asked).expect("connected");
        assert_eq!(client.timeout().as_millis(), granted);
    }
}
