//! What a restart keeps: the tree with its Stats, sessions with their ephemerals, the clock of
//! transactions.

use std::time::Duration;

use integration::raw::{Error, RawClient, SessionKey};
use integration::{Server, eventually};
use jute_proto::{ErrorCode, GetAclRequest, GetAclResponse, OpCode, SetAclRequest, Stat};

const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;

/// A way to end the process and start it again.
type Restart = fn(&mut Server);

const RESTARTS: [(&str, Restart); 2] = [
    ("kill -9", |server| {
        server.kill();
        server.start_again();
    }),
    ("a stop", |server| {
        let status = server.stop();
        assert!(server.kind() == integration::Kind::ZooKeeper || status.success(), "{status}");
        server.start_again();
    }),
];

#[test]
fn a_restart_keeps_every_node_with_its_stat_and_acl() {
    // Data, every field of the Stat and the ACLs are the same after a kill and after a stop.
    for (how, restart) in RESTARTS {
        let mut server = Server::start();
        let mut client = RawClient::connect(server.addr());
        for (path, data) in [("/a", &b"1"[..]), ("/a/b", b""), ("/a/b/c", b"deep"), ("/gone", b"")]
        {
            client.create(path, data, 0).expect("created");
        }
        client.set("/a", b"changed", 0).expect("set");
        client.delete("/gone").expect("deleted");
        let acl = vec![jute_proto::Acl::world(jute_proto::Perms::READ)];
        let request = SetAclRequest { path: "/a/b/c".into(), acl: Some(acl.clone()), version: 0 };
        client.call(OpCode::SetAcl, &request).expect("asked").ok().expect("set");
        let before = ["/", "/a", "/a/b", "/a/b/c"].map(|path| node(&mut client, path));
        restart(&mut server);
        let mut client = RawClient::connect(server.addr());
        let after = ["/", "/a", "/a/b", "/a/b/c"].map(|path| node(&mut client, path));
        assert_eq!(after, before, "after {how}");
        assert_eq!(client.exists("/gone", false).expect("asked"), None);
        let reply = client.call(OpCode::GetAcl, &GetAclRequest { path: "/a/b/c".into() });
        let kept: GetAclResponse = reply.expect("asked").decode().expect("answered");
        assert_eq!(kept.acl, acl);
    }
}

fn node(client: &mut RawClient, path: &str) -> (Vec<u8>, Stat) {
    client.get(path, false).expect("read")
}

#[test]
fn a_restart_keeps_sessions_and_their_ephemerals() {
    // A client whose server was restarted resumes its session and finds its ephemerals.
    for (how, restart) in RESTARTS {
        let mut server = Server::start();
        let mut client = RawClient::connect(server.addr());
        client.create("/mine", b"x", EPHEMERAL).expect("created");
        let session = client.session().clone();
        restart(&mut server);
        let mut client = resume(&server, &session);
        let stat = client.exists("/mine", false).expect("asked");
        let stat = stat.unwrap_or_else(|| panic!("the ephemeral is there after {how}"));
        assert_eq!(stat.ephemeral_owner, session.id);
        client.close().expect("closed");
        let mut other = RawClient::connect(server.addr());
        assert_eq!(other.exists("/mine", false).expect("asked"), None);
    }
}

fn resume(server: &Server, session: &SessionKey) -> RawClient {
    RawClient::resume(server.addr(), session).expect("resumed")
}

#[test]
fn a_session_whose_client_stays_away_expires_after_a_restart() {
    // The restarted server gives each session its whole timeout and ends those that do not return.
    let mut server = Server::start();
    let mut client =
        RawClient::connect_for(server.addr(), Duration::from_millis(1_000)).expect("connected");
    client.create("/left", b"", EPHEMERAL).expect("created");
    let session = client.session().clone();
    server.kill();
    server.start_again();
    let mut other = RawClient::connect(server.addr());
    eventually("the ephemeral is deleted", || {
        other.exists("/left", false).expect("asked").is_none().then_some(())
    });
    let back = RawClient::resume(server.addr(), &session);
    assert!(matches!(back, Err(Error::Code(ErrorCode::SessionExpired))), "{back:?}");
}

#[test]
fn a_session_that_was_closed_stays_closed_after_a_restart() {
    // A kill right after an acknowledged closeSession does not bring the session back.
    let mut server = Server::start();
    let mut client = RawClient::connect(server.addr());
    client.create("/mine", b"", EPHEMERAL).expect("created");
    let session = client.session().clone();
    client.close().expect("closed");
    server.kill();
    server.start_again();
    let back = RawClient::resume(server.addr(), &session);
    assert!(matches!(back, Err(Error::Code(ErrorCode::SessionExpired))), "{back:?}");
    let mut other = RawClient::connect(server.addr());
    assert_eq!(other.exists("/mine", false).expect("asked"), None);
}

#[test]
fn transaction_ids_sequence_numbers_and_session_ids_go_on_after_a_restart() {
    // Nothing is handed out twice: zxids rise, sequential names continue, session ids are new.
    let mut server = Server::start();
    let mut client = RawClient::connect(server.addr());
    client.create("/q", b"", 0).expect("created");
    let mut last = client.create("/q/n-", b"", SEQUENTIAL).expect("created");
    let mut zxid = client.exists(&last, false).expect("asked").expect("there").czxid;
    let mut sessions = vec![client.session().id];
    for _ in 0..3 {
        server.kill();
        server.start_again();
        let mut client = RawClient::connect(server.addr());
        assert!(!sessions.contains(&client.session().id), "a session id is used twice");
        sessions.push(client.session().id);
        let path = client.create("/q/n-", b"", SEQUENTIAL).expect("created");
        let stat = client.exists(&path, false).expect("asked").expect("there");
        assert!(path > last, "{path} comes after {last}");
        assert!(stat.czxid > zxid, "{} comes after {zxid}", stat.czxid);
        (last, zxid) = (path, stat.czxid);
    }
}
