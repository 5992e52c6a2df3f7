//! The rules of the code base that neither the compiler nor clippy checks.
//!
//! Each test reads the sources and names every place that breaks its rule.

mod documents;
mod door;
mod rooms;

use std::path::{Path, PathBuf};

/// Folders whose code is a function of its arguments: no IO, no clock, no chance, no tasks.
const PURE: [&str; 3] = ["jute-proto/src", "kernel/src", "client/src/session"];

/// Crates of which the compiler proves it: they have no standard library.
const NO_STD: [&str; 2] = ["jute-proto", "kernel"];

/// What a pure folder does not mention.
const IMPURE: [&str; 18] = [
    "tokio",
    "openraft",
    "redb",
    "raft_engine",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "rand::",
    "RandomState",
    "Instant",
    "SystemTime",
    "async ",
];

/// Characters of a line of comment.
const COMMENT_WIDTH_MAX: usize = 120;

/// Lines of a file, tests included, above which it must be divided.
const LINES_MAX: usize = 800;

/// Lines above which a file is named as one to divide soon.
const LINES_LONG: usize = 600;

#[test]
fn pure_folders_touch_nothing_outside() {
    // The kernel reads no clock, no socket and no disk: every behaviour of it is a unit test.
    let mut broken = Vec::new();
    for folder in PURE {
        for file in rust_files(folder) {
            for (number, line) in code_lines(&file) {
                for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                    broken.push(format!("{}:{number}: {word:?} in {folder}", file.display()));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn pure_crates_have_no_standard_library() {
    // The compiler refuses files, clocks and threads in them; only their unit tests may use std.
    let mut broken = Vec::new();
    for name in NO_STD {
        let file = root().join(name).join("src/lib.rs");
        let code: String = code_lines(&file).into_iter().map(|(_, line)| line + "\n").collect();
        if !code.contains("\n#![no_std]\n") {
            broken.push(format!("{}: not #![no_std]", file.display()));
        }
        if code.replace("#[cfg(test)]\nextern crate std;", "").contains("extern crate std") {
            broken.push(format!("{}: std outside of tests", file.display()));
        }
    }
    assert_none(&broken);
}

/// Libraries that one folder each wraps, with the folder.
const WRAPPED: [(&str, &str); 2] =
    [("openraft", "src/consensus/raft"), ("redb", "src/storage/state")];

#[test]
fn foreign_types_stop_at_their_folder() {
    // Only src/consensus/raft names openraft, only src/storage/state names redb; tests are no exception.
    let mut broken = Vec::new();
    for (word, home) in WRAPPED {
        let outside = |file: &PathBuf| !file.starts_with(root().join(home));
        for file in rust_files("src").into_iter().filter(outside) {
            for (number, line) in code_lines(&file) {
                if names(&line, word) {
                    broken.push(format!("{}:{number}: {word} outside of {home}", file.display()));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn a_reexport_is_no_wall() {
    // What src/consensus/raft shows has no type of openraft in it: the module with the aliases is private, and
    // neither it nor openraft is re-exported.
    let file = root().join("src/consensus/raft/mod.rs");
    let mut broken = Vec::new();
    for (number, line) in code_lines(&file) {
        let is_shown = line.trim_start().starts_with("pub");
        if is_shown && (names(&line, "types") || names(&line, "openraft")) {
            broken.push(format!("{}:{number}: {}", file.display(), line.trim()));
        }
    }
    assert_none(&broken);
}

/// Whether a line of code has this word, outside of texts.
fn names(line: &str, word: &str) -> bool {
    let is_in_word = |c: char| c.is_alphanumeric() || c == '_';
    let code = line.split('"').step_by(2);
    code.flat_map(|code| code.split(|c| !is_in_word(c))).any(|found| found == word)
}

#[test]
fn files_are_short() {
    // A reader takes in one file at a time: none is over 800 lines, and few are over 600.
    let mut broken = Vec::new();
    for file in all_rust_files() {
        let lines = read(&file).lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{}: {lines} lines", file.display()));
        } else if lines > LINES_LONG {
            println!("to divide soon: {} has {lines} lines", file.display());
        }
    }
    assert_none(&broken);
}

#[test]
fn comments_are_not_wide() {
    // A comment fits beside another file on a screen: 120 characters. Rows of tables are as wide as they must be.
    let mut broken = Vec::new();
    for file in all_rust_files() {
        for (number, line) in read(&file).lines().enumerate() {
            let text = line.trim_start().trim_start_matches(['/', '!']).trim_start();
            let is_comment = line.trim_start().starts_with("//") && !text.starts_with('|');
            if is_comment && line.chars().count() > COMMENT_WIDTH_MAX {
                broken.push(format!("{}:{}: a wide comment", file.display(), number + 1));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn each_module_says_what_it_is() {
    // A folder's mod.rs begins with its documentation and holds no functions.
    let mut broken = Vec::new();
    for file in all_rust_files() {
        let text = read(&file);
        if !text.starts_with("//!") {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "mod.rs" || name == "lib.rs" || name == "main.rs" {
                broken.push(format!("{}: does not begin with //!", file.display()));
            }
        }
        if file.ends_with("mod.rs") {
            let code = code_lines(&file);
            let body = code.iter().find(|(_, line)| is_function(line));
            if let Some((number, _)) = body {
                broken.push(format!("{}:{number}: a function in mod.rs", file.display()));
            }
        }
    }
    assert_none(&broken);
}

fn is_function(line: &str) -> bool {
    let line = line.trim_start();
    ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn "].iter().any(|head| line.starts_with(head))
}

#[test]
fn tests_wait_for_conditions_and_none_is_left_out() {
    // No test sleeps outside the harness's one place, and none is ignored.
    let mut broken = Vec::new();
    for file in
        all_rust_files().into_iter().filter(|file| !file.starts_with(root().join("tests/tidy")))
    {
        let tests = is_test_file(&file);
        let may_sleep = file.ends_with("integration/src/eventually.rs");
        let mut in_tests = tests;
        for (number, line) in code_lines(&file) {
            in_tests |= line.contains("#[cfg(test)]");
            if in_tests && !may_sleep && line.contains("sleep(") {
                broken.push(format!("{}:{number}: a test sleeps", file.display()));
            }
            if line.contains("#[ignore") || line.contains("#[should_panic") {
                broken.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert_none(&broken);
}

fn is_test_file(file: &Path) -> bool {
    let path = file.to_string_lossy();
    path.contains("/tests/") || path.contains("/integration/") || path.ends_with("_test.rs")
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    // Each Cargo.toml of the workspace opts in to the shared lints.
    let mut broken = Vec::new();
    for manifest in files(&root(), "toml").iter().filter(|file| file.ends_with("Cargo.toml")) {
        // A fuzz crate and the load on etcd are workspaces of their own.
        let text = read(manifest);
        let alone = ["/fuzz/", "/bench/etcd-load/"];
        let member = !alone.iter().any(|part| manifest.to_string_lossy().contains(part));
        if member && !text.contains("[lints]\nworkspace = true") {
            broken.push(format!("{}: no [lints] workspace = true", manifest.display()));
        }
    }
    assert_none(&broken);
}

#[test]
fn the_client_meets_the_world_in_three_places() {
    // Sockets, tasks and timers, and randomness each have one place in the client: there they are replaced to
    // simulate it.
    let places = [
        ("tokio::net", "client/src/transport"),
        ("tokio::task", "client/src/runtime.rs"),
        ("tokio::spawn", "client/src/runtime.rs"),
        ("tokio::time", "client/src/runtime.rs"),
        ("tokio::runtime", "client/src/runtime.rs"),
        ("Instant::now", "client/src/runtime.rs"),
        ("SystemTime", "client/src/runtime.rs"),
        ("RandomState", "client/src/random.rs"),
        ("std::net::Tcp", "nowhere"),
        ("std::fs", "nowhere"),
        ("std::thread", "nowhere"),
        ("std::env", "nowhere"),
    ];
    let mut broken = Vec::new();
    for file in rust_files("client/src") {
        for (number, line) in code_lines(&file) {
            for (word, place) in places {
                if line.contains(word) && !file.starts_with(root().join(place)) {
                    broken.push(format!("{}:{number}: {word} outside of {place}", file.display()));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn no_crate_includes_the_sources_of_another() {
    // What the tests of several crates share is in testkit: an include by path is compiled once for each, and
    // shows in no Cargo.toml.
    let mut broken = Vec::new();
    for file in all_rust_files() {
        let Some(folder) = file.parent() else { continue };
        let included =
            |line: &str| Some(line.split_once("#[path = \"")?.1.split_once('"')?.0.to_owned());
        for (number, line) in code_lines(&file) {
            let Some(path) = included(&line) else { continue };
            let inside = folder.join(&path).canonicalize().is_ok_and(|target| {
                crate_of(&target) == crate_of(&file.canonicalize().unwrap_or_default())
            });
            if !inside {
                broken.push(format!("{}:{number}: {path} is not of its crate", file.display()));
            }
        }
    }
    assert_none(&broken);
}

/// The folder of the crate that a file belongs to.
fn crate_of(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").exists())
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "{} place(s):\n{}", broken.len(), broken.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    files(&root().join(folder), "rs")
}

fn all_rust_files() -> Vec<PathBuf> {
    ["src", "tests", "jute-proto", "kernel", "client", "bench", "integration", "testkit"]
        .into_iter()
        .flat_map(rust_files)
        .collect()
}

/// The files below `folder` whose names end in `.extension`, in order; what tools made is left out.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The numbered lines of a file, comments cut off.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = read(file);
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect()
}
