//! `grovekeeper dev-cluster`: a whole ensemble in one command.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use integration::{Process, RawClient, binary, eventually, free_port};

/// Starts it on ports that are free, and returns it with the first of them.
fn start(folder: &std::path::Path) -> (Process, u16) {
    // Three ports in a row, and those a thousand above: whoever finds one taken says so and ends.
    eventually("three ports in a row are free", || {
        let port = free_port();
        let log = folder.join(format!("log-{port}"));
        let mut command = Command::new(binary());
        command.arg("dev-cluster").arg("--data-dir").arg(folder.join("data"));
        command.arg("--client-port").arg(port.to_string()).stdin(Stdio::null());
        let mut process = Process::start(&mut command, &log);
        let started = eventually("it is there or has ended", || {
            if process.exited().is_some() {
                return Some(false);
            }
            process.log().contains("Ctrl-C stops all").then_some(true)
        });
        started.then_some((process, port))
    })
}

#[test]
fn one_command_is_a_whole_ensemble() {
    // What it prints is true: three servers are one, what one takes another shows, SIGTERM ends all,
    // and the data are there the next time.
    let folder = tempfile::tempdir().expect("a folder");
    let (mut process, port) = start(folder.path());
    let addr = |at: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port + at));
    let said = process.log();
    assert!(said.contains("3 servers are one ensemble"), "{said}");
    let connect = format!("connect string: {},{},{}\n", addr(0), addr(1), addr(2));
    assert!(said.contains(&connect), "{said}");
    let mut first = RawClient::connect(addr(0));
    first.create("/shared", b"by all", 0).expect("created");
    let mut third = RawClient::connect(addr(2));
    let seen = eventually("the node arrives", || third.get("/shared", false).ok());
    assert_eq!(seen.0, b"by all");
    drop((first, third));
    assert!(process.terminate().success(), "{}", process.log());
    let (mut again, port) = start(folder.path());
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut client = RawClient::connect(addr);
    assert_eq!(client.get("/shared", false).expect("kept").0, b"by all");
    assert!(again.terminate().success());
}
