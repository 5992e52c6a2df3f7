//! The world enters by one door, `src/env`.

use std::path::Path;

use super::{assert_none, code_lines, is_test_file, root, rust_files};

/// What only `src/env` names: each reaches a clock, a timer, a task, a thread, a file, a socket or chance.
const WORLD: [&str; 18] = [
    "tokio::time",
    "tokio::net",
    "tokio::fs",
    "tokio::spawn",
    "tokio::task",
    "tokio::runtime",
    "std::fs",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::ToSocketAddrs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "rustix::fs",
    "RandomState",
    "getrandom",
    "rand::",
];

#[test]
fn the_world_enters_by_one_door() {
    // A simulator replaces src/env, so nothing else in product code names clocks, files, tasks, sockets or chance.
    let door = root().join("src/env");
    let mut broken = Vec::new();
    for file in rust_files("src").into_iter().filter(|file| !file.starts_with(&door)) {
        broken.extend(around_the_door(&file.display().to_string(), &product_lines(&file)));
    }
    assert_none(&broken);
}

#[test]
fn a_way_around_the_door_is_found() {
    // In an expression, in a `use` line, in a group, and behind `std::time::{`.
    let planted = [
        "    tokio::time::sleep(PAUSE).await;",
        "use std::{fs, io};",
        "use std::time::{Duration, Instant};",
        "let bits = std::hash::RandomState::new();",
        "use tokio::{net::TcpStream, sync::watch};",
    ];
    for line in planted {
        let found = around_the_door("planted.rs", &[(1, line.to_owned())]);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
    }
    let clean =
        ["use std::time::Duration;", "use tokio::sync::{mpsc, watch};", "env::time::sleep(PAUSE)"];
    for line in clean {
        assert_none(&around_the_door("clean.rs", &[(1, line.to_owned())]));
    }
}

/// The places where one of [`WORLD`] is named. Groups of imports are read as the paths that they stand for.
fn around_the_door(file: &str, lines: &[(usize, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in lines {
        let paths = paths_of_group(line);
        let named = WORLD.iter().find(|word| paths.iter().any(|path| path.contains(**word)));
        if let Some(word) = named {
            found.push(format!("{file}:{number}: {word}, which only src/env names"));
        }
    }
    found
}

/// `use a::{b, c::D};` as `a::b` and `a::c::D`; any other line as it is. rustfmt keeps a group on one line where it
/// fits; a longer one is joined by [`product_lines`].
fn paths_of_group(line: &str) -> Vec<String> {
    let Some((head, group)) = line.trim_start().split_once("::{") else {
        return vec![line.to_owned()];
    };
    let Some(head) = head.strip_prefix("use ").or(head.strip_prefix("pub use ")) else {
        return vec![line.to_owned()];
    };
    let members = group.trim_end().trim_end_matches("};").split(',');
    members.map(|member| format!("{head}::{}", member.trim())).collect()
}

/// The numbered lines of a file without comments and without its unit tests; an import that takes several lines is one.
fn product_lines(file: &Path) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    if is_test_file(file) || file.ends_with("test_keys.rs") {
        return lines;
    }
    let mut in_import = false;
    for (number, line) in code_lines(file) {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        match lines.last_mut().filter(|_| in_import) {
            Some((_, import)) => import.push_str(line.trim()),
            None => lines.push((number, line.clone())),
        }
        let begins = line.trim_start().starts_with("use ") || line.starts_with("pub use ");
        in_import = (in_import || begins) && !line.contains(';');
    }
    lines
}
