//! Configuration keys whose effect no other test shows.

use integration::raw::Result;
use integration::{Kind, RawClient, Server, eventually};
use jute_proto::{AuthRequest, CreateMode, CreateRequest, Encode, ExistsRequest, OpCode, Xid};

/// A request for the Stat of the root.
fn root_exists() -> impl Encode {
    ExistsRequest { path: "/".into(), watch: false }
}

/// Sends `count` requests at once and takes their replies, which must come in order.
fn pipeline(client: &mut RawClient, count: usize) -> Result<()> {
    let sent: Result<Vec<Xid>> =
        (0..count).map(|_| client.send(OpCode::Exists, &root_exists())).collect();
    sent?.into_iter().try_for_each(|xid| client.receive(xid)?.ok())
}

#[test]
fn the_server_has_at_most_max_cnxns_connections() {
    // maxCnxns counts all addresses together; the connection over it is closed at once.
    let server = Server::options().set("maxCnxns", "2").set("maxClientCnxns", "0").start();
    let connect = || {
        eventually("there is room", || {
            RawClient::connect_for(server.addr(), std::time::Duration::from_secs(5)).ok()
        })
    };
    let (_first, second) = (connect(), connect());
    let mut third = integration::raw::open(server.addr()).expect("accepted by the system");
    assert!(integration::raw::closed(&mut third));
    drop(second);
    connect().ping().expect("there is room again");
}

#[test]
fn large_requests_have_a_budget() {
    // A request over largeRequestThreshold that does not fit into largeRequestMaxBytes closes its
    // connection; smaller ones are served.
    let options = Server::options().set("largeRequestThreshold", "1000");
    let server = options.set("largeRequestMaxBytes", "5000").start();
    let mut client = RawClient::connect(server.addr());
    client.create("/small", &[b'x'; 500], 0).expect("not large");
    client.create("/large", &[b'x'; 4000], 0).expect("within the budget");
    client.create("/huge", &[b'x'; 6000], 0).expect_err("over the budget");
    assert!(client.closed());
    let mut other = RawClient::connect(server.addr());
    assert_eq!(other.exists("/huge", false).expect("asked"), None);
}

#[test]
fn limits_on_requests_in_flight_delay_and_lose_nothing() {
    // With the tightest globalOutstandingLimit and request throttle every request is answered, in
    // order.
    for key in ["globalOutstandingLimit", "request_throttle_max_requests"] {
        let options = Server::options().set(key, "1").set("request_throttle_stall_time", "1");
        let server = options.start();
        let mut clients: Vec<_> = (0..3).map(|_| RawClient::connect(server.addr())).collect();
        for client in &mut clients {
            pipeline(client, 50).expect("all are answered");
        }
    }
}

#[test]
fn an_ensemble_name_keeps_strangers_out() {
    // With the ensemble provider a client that names another ensemble is cut off, one that names
    // this one is served.
    let class = "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider";
    let options = Server::options().set("authProvider.1", class);
    let server = options.set("ensembleAuthName", "blue,green").start();
    let name = |client: &mut RawClient, name: &'static str| -> Result<()> {
        let auth =
            AuthRequest { auth_type: 0, scheme: "ensemble".into(), auth: Some(name.as_bytes()) };
        client.send_as(Xid::AUTH, OpCode::Auth.into(), &auth)?;
        client.receive_any()?.ok()
    };
    let mut friend = RawClient::connect(server.addr());
    name(&mut friend, "green").expect("welcome");
    friend.ping().expect("served");
    let mut stranger = RawClient::connect(server.addr());
    name(&mut stranger, "red").expect_err("no reply");
    assert!(stranger.closed());
}

#[test]
fn containers_that_were_never_used_go_after_their_time() {
    // znode.container.maxNeverUsedIntervalMs removes a container that never had a child, when the
    // next check comes.
    let options = Server::options().set("znode.container.checkIntervalMs", "50");
    let server = options.set("znode.container.maxNeverUsedIntervalMs", "50").start();
    let mut client = RawClient::connect(server.addr());
    let request = CreateRequest {
        path: "/box".into(),
        data: None,
        acl: Some(jute_proto::Acl::open()),
        flags: CreateMode::Container.into(),
    };
    client.call(OpCode::CreateContainer, &request).and_then(|reply| reply.ok()).expect("created");
    eventually("it is removed", || {
        client.exists("/box", false).expect("asked").is_none().then_some(())
    });
}

#[test]
fn members_may_stand_in_a_file_of_their_own() {
    // dynamicConfigFile with one server line is a server on its own, with that line's port.
    let folder = tempfile::tempdir().expect("a folder");
    let dynamic = folder.path().join("zoo.cfg.dynamic");
    let options = Server::options().set("dynamicConfigFile", &dynamic.display().to_string());
    let mut server = options.prepare();
    let line = format!("server.1=localhost:2888:3888;127.0.0.1:{}\n", server.addr().port());
    std::fs::write(&dynamic, line).expect("written");
    server.start_again();
    RawClient::connect(server.addr()).ping().expect("served");
}

#[test]
fn a_missing_directory_is_refused_where_none_may_be_made() {
    // datadir.autocreate=false: the server names the directory that is not there.
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let mut server = Server::options()
        .set("datadir.autocreate", "false")
        .set("dataLogDir", &missing.display().to_string())
        .prepare();
    if server.kind() == Kind::Grovekeeper {
        let said = server.start_refused();
        assert!(said.contains(&missing.display().to_string()), "{said}");
        assert!(!missing.exists());
    }
}
