//! zoo.cfg as the server reads it, and what it says at its start.

use std::process::{Command, Output};

use integration::eventually::Stopwatch;
use integration::{Kind, RawClient, Server, ServerOptions, free_port};

fn options() -> ServerOptions {
    ServerOptions::new(Kind::Grovekeeper)
}

#[test]
fn the_first_line_says_where_and_what_next() {
    // Within a second, one line: the address, the data directory, and what to try.
    let clock = Stopwatch::start();
    let server = options().start();
    let took = clock.elapsed();
    let said = server.log();
    let line = said.lines().next().unwrap_or_default();
    assert!(line.contains(&server.connect_string()), "{said}");
    assert!(line.contains(server.data_dir().to_str().expect("a plain path")), "{said}");
    assert!(line.contains("try"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    // The message names the file, the line and the key, and suggests what may be meant.
    let mut server = options().set("syncLimitt", "5").prepare();
    let said = server.start_refused();
    let line = 3;
    let place = format!("{}:{line}", server.config_path().display());
    for word in [place.as_str(), "syncLimitt", "`syncLimit`"] {
        assert!(said.contains(word), "{word:?} is missing in:\n{said}");
    }
}

#[test]
fn an_impossible_value_is_refused() {
    // A value that is no number is named with its place.
    let mut server = options().set("maxClientCnxns", "many").prepare();
    let said = server.start_refused();
    for word in ["zoo.cfg:3", "maxClientCnxns", "many"] {
        assert!(said.contains(word), "{word:?} is missing in:\n{said}");
    }
}

#[test]
fn keys_without_a_meaning_here_are_accepted_with_a_line_each() {
    // A file made for Apache ZooKeeper works; the log says which keys do nothing, and why.
    let server = options().set("preAllocSize", "65536").set("snapCount", "100000").start();
    let said = server.log();
    assert!(said.contains("preAllocSize"), "{said}");
    RawClient::connect(server.addr()).create("/served", b"", 0).expect("created");
}

#[test]
fn the_command_line_overrides_the_file() {
    // --client-addr and --data-dir win over what the file says.
    let mut server = options().prepare();
    let other = format!("127.0.0.1:{}", free_port());
    let folder = server.folder().join("elsewhere");
    let mut command = server.command();
    command.args(["--client-addr", &other, "--data-dir"]).arg(&folder);
    let log = server.folder().join("other.log");
    let process = integration::Process::start(&mut command, &log);
    integration::eventually("it serves where it was told", || {
        integration::four_letter::ask(other.parse().expect("an address"), "srvr")
            .filter(|answer| answer.contains("Mode"))
    });
    assert!(folder.join("identity").exists(), "{}", process.log());
    drop(process);
    server.start_again();
}

#[test]
fn an_address_in_use_is_named() {
    // Two servers on one port: the second says which address is taken.
    let first = Server::options().start();
    let output = serve(&["--client-addr", &first.connect_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&first.connect_string()), "{said}");
}

/// Runs `grovekeeper serve` with a data directory of its own until it ends by itself.
fn serve(arguments: &[&str]) -> Output {
    let server = options().prepare();
    let program = server.command().get_program().to_owned();
    let folder = server.folder().join("own");
    let mut command = Command::new(program);
    command.arg("serve").arg("--data-dir").arg(folder).args(arguments);
    command.output().expect("the server is started")
}

#[test]
fn a_stop_is_clean() {
    // SIGTERM ends the server with success, and its clients' connections with it.
    let mut server = options().start();
    let mut client = RawClient::connect(server.addr());
    client.create("/kept", b"", 0).expect("created");
    let status = server.stop();
    assert!(status.success(), "{status}: {}", server.log());
    assert!(client.closed());
    server.start_again();
    let mut client = RawClient::connect(server.addr());
    assert!(client.exists("/kept", false).expect("asked").is_some());
}
