//! The administration server and the Prometheus endpoint.

use std::net::{Ipv4Addr, SocketAddr};

use integration::{Kind, RawClient, Server, ServerOptions, eventually, free_port, http, raw};
use serde_json::Value;

const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

fn with_admin(options: ServerOptions) -> (ServerOptions, SocketAddr) {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let options = options
        .set("admin.enableServer", "true")
        .set("admin.serverAddress", &addr.ip().to_string())
        .set("admin.serverPort", &addr.port().to_string())
        .set("4lw.commands.whitelist", "*");
    (options, addr)
}

/// A server with its administration server.
fn start() -> (Server, SocketAddr) {
    let (options, addr) = with_admin(Server::options());
    let server = options.start();
    eventually("the administration server answers", || http::get(addr, "/commands/ruok"));
    (server, addr)
}

fn start_grovekeeper() -> (Server, SocketAddr) {
    let (options, addr) = with_admin(ServerOptions::new(Kind::Grovekeeper));
    (options.start(), addr)
}

fn command(addr: SocketAddr, name: &str) -> Value {
    let answer = http::get(addr, &format!("/commands/{name}")).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

#[test]
fn every_command_answers_under_all_of_its_names() {
    // An answer carries the command's first name and a null error, whichever name asked.
    let (_server, addr) = start();
    let commands = [
        "configuration conf config",
        "connections cons",
        "connection_stat_reset crst",
        "dirs",
        "dump",
        "environment env envi",
        "get_trace_mask gtmk",
        "hash",
        "initial_configuration icfg",
        "is_read_only isro",
        "last_snapshot lsnp",
        "monitor mntr",
        "observer_connection_stat_reset orst",
        "observers obsr",
        "ruok",
        "server_stats srvr",
        "stat_reset srst",
        "stats stat",
        "voting_view",
        "watches wchc",
        "watches_by_path wchp",
        "watch_summary wchs",
        "zabstate",
    ];
    for names in commands {
        let first = names.split(' ').next();
        for name in names.split(' ') {
            let answer = command(addr, name);
            assert_eq!(answer["command"].as_str(), first, "{name}");
            assert_eq!(answer["error"], Value::Null, "{name}");
        }
    }
    let list = http::get(addr, "/commands").expect("an answer").body;
    assert!(list.contains("<a href=\"/commands/server_stats\">server_stats</a>"), "{list}");
}

#[test]
fn answers_tell_what_happened() {
    // The keys are ZooKeeper's, the values those of this very server.
    let (server, addr) = start();
    let mut client = RawClient::connect(server.addr());
    client.create("/a", b"12345", 1).expect("created");
    client.exists("/a", true).expect("watched");
    let session = client.session().id.0;
    let stats = command(addr, "server_stats");
    assert_eq!(stats["node_count"], 6);
    assert_eq!(stats["server_stats"]["server_state"], "standalone");
    assert_eq!(stats["server_stats"]["num_alive_client_connections"], 1);
    assert!(stats["server_stats"]["packets_received"].as_i64() >= Some(3), "{stats}");
    let conns = command(addr, "connections");
    assert_eq!(conns["connections"][0]["session_id"], session);
    assert_eq!(conns["connections"][0]["last_operation"], "EXIS");
    assert_eq!(conns["connections"][0]["session_timeout"], 10_000);
    assert_eq!(conns["secure_connections"], serde_json::json!([]));
    let dump = command(addr, "dump");
    assert_eq!(dump["session_id_to_ephemeral_paths"][session.to_string()][0], "/a");
    assert_eq!(
        command(addr, "watches")["session_id_to_watched_paths"][session.to_string()][0],
        "/a"
    );
    assert_eq!(command(addr, "watches_by_path")["path_to_session_ids"]["/a"][0], session);
    assert_eq!(command(addr, "watch_summary")["num_total_watches"], 1);
    let monitor = command(addr, "monitor");
    assert_eq!((&monitor["znode_count"], &monitor["ephemerals_count"]), (&6.into(), &1.into()));
    let configuration = command(addr, "configuration");
    assert_eq!(configuration["client_port"], server.addr().port());
    assert_eq!(configuration["tick_time"], 500);
    assert_eq!(configuration["max_session_timeout"], 10_000);
    let initial = command(addr, "initial_configuration");
    assert!(
        initial["initial_configuration"].as_str().is_some_and(|text| text.contains("tickTime=500"))
    );
}

#[test]
fn mistakes_are_answered_with_an_error_text() {
    // An unknown command and a missing argument are no HTTP errors; TRACE is refused.
    let (_server, addr) = start();
    assert_eq!(command(addr, "nosuch")["error"], "Unknown command: nosuch");
    assert_eq!(command(addr, "leader")["error"], "server is not initialized");
    let missing = "setTraceMask requires long traceMask argument";
    assert_eq!(command(addr, "set_trace_mask")["error"], missing);
    assert_eq!(command(addr, "set_trace_mask?traceMask=5")["tracemask"], 5);
    assert_eq!(command(addr, "gtmk")["tracemask"], 5);
    let trace = http::request(addr, "TRACE /commands/ruok HTTP/1.1", &[], "").expect("answered");
    assert_eq!(trace.status, 403);
}

#[test]
fn privileged_commands_want_credentials() {
    // Without any, with some of no known scheme, and with some that are not enough.
    let (server, addr) = start();
    let ask = |headers: &[(&str, &str)]| {
        http::request(addr, "GET /commands/snapshot HTTP/1.1", headers, "").expect("answered")
    };
    let missing = ask(&[]);
    assert_eq!(missing.status, 401);
    assert!(missing.body.contains("Auth info is missing for the command"), "{missing:?}");
    assert_eq!(ask(&[("Authorization", "bogus")]).status, 401);
    let mut client = RawClient::connect(server.addr());
    let request = jute_proto::SetAclRequest {
        path: "/".into(),
        acl: Some(vec![jute_proto::Acl::world(jute_proto::Perms::READ)]),
        version: -1,
    };
    client.call(jute_proto::OpCode::SetAcl, &request).expect("answered").ok().expect("set");
    let denied = ask(&[("Authorization", "digest ann:pw")]);
    assert_eq!(denied.status, 403);
    assert!(denied.body.contains("Not authorized"), "{denied:?}");
}

#[test]
fn what_is_not_there_yet_says_so() {
    // snapshot and restore answer 503 to who may ask for them.
    let (_server, addr) = start_grovekeeper();
    let credentials = [("Authorization", "digest ann:pw")];
    for line in ["GET /commands/snapshot HTTP/1.1", "POST /commands/restore HTTP/1.1"] {
        let answer = http::request(addr, line, &credentials, "").expect("answered");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("not available in this version"), "{answer:?}");
    }
    let post = http::request(addr, "POST /commands/ruok HTTP/1.1", &[], "").expect("answered");
    assert_eq!(post.status, 405);
}

#[test]
fn shedding_closes_the_share_asked_for() {
    // Half of the connections are closed; their sessions live on and the metrics say why.
    let (server, addr) = start_grovekeeper();
    let mut clients: Vec<RawClient> = (0..4).map(|_| RawClient::connect(server.addr())).collect();
    let body = r#"{"percentage": 50}"#;
    let line = "POST /commands/shed_connections HTTP/1.1";
    let credentials = [("Authorization", "digest ann:pw")];
    let answer = http::request(addr, line, &credentials, body).expect("answered");
    assert!(answer.body.contains(r#""connections_shed": 2"#), "{answer:?}");
    eventually("two connections are left", || {
        let monitor = command(addr, "monitor");
        (monitor["num_alive_connections"] == 2).then_some(())
    });
    let closed = clients.iter_mut().filter_map(|client| client.ping().err()).count();
    assert_eq!(closed, 2);
    let monitor = command(addr, "monitor");
    assert_eq!(
        (&monitor["global_sessions"], &monitor["connection_closed_shed"]),
        (&4.into(), &2.into())
    );
}

#[test]
fn the_page_for_people_is_one_file() {
    // It is served at the root, loads nothing from elsewhere and asks the commands.
    let (_server, addr) = start_grovekeeper();
    let page = http::get(addr, "/").expect("answered");
    assert_eq!(page.status, 200);
    assert!(page.head.to_lowercase().contains("content-security-policy: default-src 'none'"));
    assert!(page.body.contains("const COMMANDS = \"/commands\";"), "{}", page.body);
    assert!(!page.body.contains("src=") && !page.body.contains("http:"), "no foreign assets");
}

#[test]
fn commands_lie_where_the_configuration_says() {
    // admin.commandURL moves the commands, and the page finds them there.
    let (options, addr) = with_admin(ServerOptions::new(Kind::Grovekeeper));
    let _server = options.set("admin.commandURL", "/ops/zk").start();
    let status = |path: &str| http::get(addr, path).expect("answered").status;
    assert_eq!(
        [status("/ops/zk/ruok"), status("/ops/zk"), status("/commands/ruok")],
        [200, 200, 404]
    );
    let page = http::get(addr, "/").expect("answered").body;
    assert!(page.contains("const COMMANDS = \"/ops/zk\";"), "{page}");
}

#[test]
fn idle_connections_are_closed() {
    // A browser that asks nothing for admin.idleTimeout loses its connection; a new one is served.
    let (options, addr) = with_admin(ServerOptions::new(Kind::Grovekeeper));
    let _server = options.set("admin.idleTimeout", "300").start();
    let mut idle = raw::open(addr).expect("connected");
    assert!(raw::closed(&mut idle));
    assert_eq!(command(addr, "ruok")["error"], Value::Null);
}

#[test]
fn a_taken_port_matters_only_if_it_was_asked_for() {
    // With the port of zoo.cfg taken the server goes on without; with --admin-addr it refuses.
    let (first, addr) = start_grovekeeper();
    let second = ServerOptions::new(Kind::Grovekeeper)
        .set("admin.enableServer", "true")
        .set("admin.serverAddress", "127.0.0.1")
        .set("admin.serverPort", &addr.port().to_string())
        .start();
    assert!(second.log().contains("no administration server"), "{}", second.log());
    let options = ServerOptions::new(Kind::Grovekeeper);
    let mut third = options.argument("--admin-addr").argument(&addr.to_string()).prepare();
    let said = third.start_refused();
    assert!(said.contains(&addr.to_string()), "{said}");
    drop(first);
}

#[test]
fn metrics_and_words_say_the_same() {
    // Prometheus, monitor and mntr show one catalogue: the same names with the same values.
    let (options, addr) = with_admin(ServerOptions::new(Kind::Grovekeeper));
    let metrics_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let server = options
        .set("metricsProvider.className", PROMETHEUS)
        .set("metricsProvider.httpHost", "127.0.0.1")
        .set("metricsProvider.httpPort", &metrics_addr.port().to_string())
        .start();
    let mut client = RawClient::connect(server.addr());
    client.create("/a", b"12345", 1).expect("created");
    let mntr = server.four_letter_word("mntr").expect("answered");
    let monitor = command(addr, "monitor");
    let metrics = http::get(metrics_addr, "/metrics").expect("answered");
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    let samples = well_formed(&metrics.body);
    for name in ["znode_count", "ephemerals_count", "approximate_data_size", "commit_count"] {
        let value = &monitor[name];
        assert!(mntr.contains(&format!("zk_{name}\t{value}\n")), "{name}: {value}\n{mntr}");
        assert!(samples.contains(&(name.to_owned(), value.to_string())), "{name}: {value}");
    }
    for line in mntr.lines().filter(|line| !line.starts_with("zk_version")) {
        let name = line.split('\t').next().and_then(|name| name.strip_prefix("zk_"));
        let name = name.unwrap_or_else(|| panic!("a key in {line}"));
        assert!(!monitor[name].is_null(), "{name} is in monitor");
    }
    assert!(samples.iter().any(|(name, _)| name == "fsynctime{quantile=\"0.99\"}"), "{samples:?}");
}

/// Checks the text line by line, and returns the samples.
fn well_formed(text: &str) -> Vec<(String, String)> {
    let mut samples = Vec::new();
    let mut described = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut described);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert_eq!(name, described, "help comes before the type");
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(name.starts_with(&described), "{line} belongs to {described}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            samples.push((name.to_owned(), value.to_owned()));
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn the_pages_end_with_the_server() {
    // After SIGTERM nothing answers any more, and the server ends in order although a connection is
    // open.
    let (mut server, addr) = start_grovekeeper();
    let idle = std::net::TcpStream::connect(addr).expect("connected");
    assert!(server.stop().success());
    assert_eq!(http::get(addr, "/commands/ruok"), None);
    drop(idle);
}
