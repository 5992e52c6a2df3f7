//! `grovekeeper bench` against a real server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use integration::{RawClient, Server, binary};

const WORKLOADS: [&str; 11] = [
    "create",
    "set",
    "get",
    "list",
    "exists",
    "delete",
    "mixed",
    "ephemeral",
    "multi",
    "connect",
    "watch",
];

fn bench(server: &str, options: &[&str]) -> Output {
    let command = ["bench", "--server", server, "--seconds", "0.2", "--warmup", "0.05"];
    Command::new(binary()).args(command).args(options).output().expect("bench runs")
}

#[test]
fn every_workload_runs_without_errors_and_leaves_nothing_behind() {
    // The load generator gets right replies to everything that it asks, says how many, writes the
    // same as JSON and removes its nodes.
    let server = Server::start();
    let json = server.folder().join("report.json");
    let json_path = json.display().to_string();
    let options = ["--connections", "3", "--depth", "4", "--keys", "50", "--json", &json_path];
    let done = bench(&server.connect_string(), &options);
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    let report = std::fs::read_to_string(json).expect("the report is written");
    for workload in WORKLOADS {
        let row = out.lines().find(|line| line.split(' ').next() == Some(workload));
        let row = row.unwrap_or_else(|| panic!("no row of {workload} in\n{out}"));
        let cells: Vec<f64> = row.split_whitespace().skip(1).flat_map(str::parse).collect();
        let [rate, p50, p90, p99, p999, max, errors] = cells[..] else { panic!("{row}") };
        assert!(rate > 0.0 && errors == 0.0, "{row}");
        assert!(p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max, "{row}");
        assert!(report.contains(&format!("\"workload\": \"{workload}\"")), "{report}");
    }
    let mut client = RawClient::connect(server.addr());
    assert_eq!(client.children("/", false).expect("listed"), ["zookeeper"]);
}

#[test]
fn requests_of_a_megabyte_wait_for_the_log_and_go_on() {
    // Where more bytes are on their way than may wait for the log, connections are read again as soon as
    // there is room: also those that stopped in the middle of a request.
    let server = Server::start();
    let load = ["--connections", "10", "--depth", "4", "--size", "1000000", "--keys", "20"];
    let options = [&load[..], &["--workload", "create,set"]].concat();
    let done = bench(&server.connect_string(), &options);
    assert!(done.status.success(), "{}\n{}", text(&done.stdout), text(&done.stderr));
}

#[test]
fn a_tree_may_be_filled_kept_and_loaded_beside_waiting_watches() {
    // `fill` makes exactly so many nodes, `--keep` leaves them, and the processor time of a named
    // process is in the report.
    let server = Server::start();
    let json = server.folder().join("report.json").display().to_string();
    let pid = std::process::id().to_string();
    let options = ["--connections", "3", "--workload", "fill,create,delete", "--fill", "100"];
    let beside = ["--siblings", "20", "--watches", "50", "--keep", "--pid", &pid, "--json", &json];
    let done = bench(&server.connect_string(), &[&options[..], &beside].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let report = std::fs::read_to_string(json).expect("the report is written");
    assert!(report.contains("\"ops\": 100,"), "{report}");
    assert!(!report.contains("\"server_cpu_seconds\": null"), "{report}");

    let mut client = RawClient::connect(server.addr());
    let mut children = |path: &str| client.children(path, false).expect("listed");
    let root = children("/").into_iter().find(|name| name.starts_with("grovekeeper-bench"));
    let root = format!("/{}", root.expect("the nodes are kept"));
    let filled = (0..3).map(|of| children(&format!("{root}/fill-{of}")).len()).sum::<usize>();
    assert_eq!(filled, 100);
    assert!(children(&format!("{root}/delete-0")).len() >= 20, "siblings are not deleted");
}

#[test]
fn the_server_without_state_serves_the_load_generator() {
    // `--null-server` says where it listens, gives right replies and leaves on SIGTERM.
    let mut server = Command::new(binary())
        .args(["bench", "--null-server", "127.0.0.1:0", "--size", "20"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let out = server.stdout.as_mut().expect("it has an output");
    BufReader::new(out).read_line(&mut line).expect("one line");
    let addr = line.trim_end().rsplit(' ').next().expect("the line ends in the address");
    let done = bench(addr, &["--workload", "create,set,get,list,connect", "--size", "20"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let killed = Command::new("kill").arg(server.id().to_string()).status().expect("kill runs");
    assert!(killed.success());
    assert!(server.wait().expect("it ends").success());
}

#[test]
fn a_server_that_is_not_there_is_one_clear_line() {
    // A wrong address is said in one line, with exit code 1.
    let done = bench("127.0.0.1:1", &["--workload", "get"]);
    assert_eq!(done.status.code(), Some(1));
    let expected = "grovekeeper: cannot connect to 127.0.0.1:1: ";
    assert!(text(&done.stderr).starts_with(expected), "{}", text(&done.stderr));
    assert_eq!(text(&done.stderr).lines().count(), 1);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
