//! The rules of the code base that neither the compiler nor clippy checks.
//!
//! Each test reads the sources and names every place that breaks its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jute_proto::OpCode;

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

/// `use a::{b, c::D};` as `a::b` and `a::c::D`; any other line as it is. rustfmt keeps a group on one line where it fits;
/// a longer one is joined by [`product_lines`].
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
    for file in all_rust_files().into_iter().filter(|file| !file.ends_with("tests/tidy.rs")) {
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
fn every_operation_is_in_the_compatibility_table() {
    // docs/compatibility.md says of each operation code how far it is the same.
    let table = read(&root().join("docs/compatibility.md"));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let mut broken = Vec::new();
    for op in OpCode::ALL {
        // Rows are `| name | number | ...`, with or without code marks.
        let number = i32::from(*op).to_string();
        let is_of_op = |row: &Vec<&str>| row.starts_with(&["", op.name(), &number]);
        if !rows.iter().any(is_of_op) {
            broken.push(format!("docs/compatibility.md: no row of operation {op} = {number}"));
        }
    }
    assert_none(&broken);
}

#[test]
fn links_in_documents_lead_somewhere() {
    // A relative link in a document names a file that exists.
    let mut broken = Vec::new();
    for file in files(&root(), "md") {
        let folder = file.parent().expect("a file lies in a folder").to_owned();
        for target in links(&read(&file)) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if !path.is_empty() && !elsewhere && !folder.join(path).exists() {
                broken.push(format!("{}: {target} does not exist", file.display()));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn tests_that_documents_name_exist() {
    // A document that calls a test its proof names one that is there. Decision records keep the names of their day.
    let sources: String = all_rust_files().iter().map(|file| read(file)).collect();
    let folders = ["conn", "replica", "session", "tree"];
    let scripts = folders.map(|folder| root().join("kernel/tests/scripts").join(folder));
    let is_script = |name: &str| scripts.iter().any(|folder| folder.join(name).exists());
    let records = root().join("docs/decisions");
    let mut broken = Vec::new();
    for file in files(&root().join("docs"), "md").iter().filter(|file| !file.starts_with(&records))
    {
        for name in test_names(&read(file)) {
            // A test, a script, or a key of the configuration.
            if !sources.contains(&name) && !is_script(&name) {
                broken.push(format!("{}: no test {name}", file.display()));
            }
        }
    }
    assert_none(&broken);
}

/// The words in code marks that are long enough to be names of tests: five words or more.
fn test_names(text: &str) -> Vec<String> {
    let is_name = |part: &&str| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        part.matches('_').count() >= 4 && !part.starts_with('_') && part.chars().all(is_word)
    };
    let code = text.split('`').skip(1).step_by(2);
    let parts = code.flat_map(|code| code.split(|c: char| c == '/' || c == ' ' || c == '…'));
    let names = parts.filter_map(|part| part.rsplit("::").next());
    names.filter(is_name).map(str::to_owned).collect()
}

/// The targets of `[text](target)`, those in code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code || line.starts_with("    ") {
            continue;
        }
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                targets.push(target.split(' ').next().unwrap_or_default().to_owned());
            }
        }
    }
    targets
}

#[test]
fn decisions_are_numbered_without_gaps() {
    // docs/decisions holds 0001-title.md, 0002-title.md and so on, each number once.
    let mut numbers: Vec<usize> = files(&root().join("docs/decisions"), "md")
        .iter()
        .filter_map(|file| file.file_name()?.to_str()?.get(..4)?.parse().ok())
        .filter(|number| *number != 0)
        .collect();
    numbers.sort_unstable();
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected, "docs/decisions");
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

/// Folders whose children are rooms: each child, a file or a folder, may use others, but none that uses it in turn.
const ROOMS: [&str; 5] = ["src", "src/config", "src/consensus", "src/node", "src/storage"];

#[test]
fn rooms_form_a_tree() {
    // Whoever changes a room need look only at those that use it: no two rooms use each other, not even through a third.
    let mut broken = Vec::new();
    for folder in ROOMS {
        let uses = uses_between_rooms(folder);
        for (from, to) in uses.keys() {
            if leads_to(&uses, to, from) {
                let places = &uses[&(from.clone(), to.clone())];
                let places = places.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                broken.push(format!("{folder}: {from} uses {to}, which leads back: {places}"));
            }
        }
    }
    assert_none(&broken);
}

/// For each pair of rooms of which the first names the second: where it does.
type Uses = BTreeMap<(String, String), BTreeSet<String>>;

/// Whether there is a way from one room to another.
fn leads_to(uses: &Uses, from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(room) = reached.get(next).copied() {
        next += 1;
        for (_, used) in uses.keys().filter(|(user, _)| user == room) {
            if !reached.contains(&used.as_str()) {
                reached.push(used);
            }
        }
    }
    reached.contains(&to)
}

fn uses_between_rooms(folder: &str) -> Uses {
    let above = module_of(Path::new(folder));
    let rooms: BTreeSet<String> = std::fs::read_dir(root().join(folder))
        .expect("the folder of the rooms")
        .flatten()
        .filter_map(|entry| module_of(&Path::new(folder).join(entry.file_name())).pop())
        .collect();
    let room = |path: &[String]| {
        let inside = path.strip_prefix(&above[..])?;
        inside.first().filter(|room| rooms.contains(*room)).cloned()
    };
    let mut uses = Uses::new();
    for file in rust_files(folder) {
        let relative = file.strip_prefix(root()).expect("below the root").to_owned();
        let module = module_of(&relative);
        let Some(from) = room(&module) else { continue };
        for (number, path) in paths(&code_lines(&file), &module) {
            let Some(to) = room(&path).filter(|to| *to != from) else { continue };
            let place = format!("{}:{number}", relative.display());
            uses.entry((from.clone(), to)).or_default().insert(place);
        }
    }
    uses
}

/// The module of a file or folder below `src`; that of the crate's root is empty.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").expect("below src").with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect()
}

/// The paths of a file that begin with `crate::` or `super::`, from the root of the crate on, with their lines. Those in
/// braces are taken apart.
fn paths(lines: &[(usize, String)], module: &[String]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(lines);
    let mut module = module.to_owned();
    // The braces that are open, and whether each is that of a module.
    let mut open = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        let before = at.checked_sub(1).map(|at| tokens[at].1.as_str());
        match token.as_str() {
            "{" => {
                let names_module = at >= 2 && tokens[at - 2].1 == "mod";
                if names_module {
                    module.push(tokens[at - 1].1.clone());
                }
                open.push(names_module);
            }
            "}" if open.pop() == Some(true) => {
                module.pop();
            }
            "crate" if before != Some("::") => {
                at = take_path(&tokens, at + 1, Vec::new(), &mut found);
                continue;
            }
            "super" if before != Some("::") => {
                let above = module[..module.len().saturating_sub(1)].to_vec();
                at = take_path(&tokens, at + 1, above, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Adds the path that goes on at `at`, or those of its braces, to `found`; returns where it ends.
fn take_path(
    tokens: &[(usize, String)],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let token = |at: usize| tokens.get(at).map(|(_, token)| token.as_str());
    let line = tokens[at - 1].0;
    while token(at) == Some("::") {
        match token(at + 1) {
            Some("super") => drop(path.pop()),
            Some("{") => {
                at += 2;
                while token(at).is_some_and(|token| token != "}") {
                    // A name, which the path in braces begins with.
                    let inner = [&path[..], &[tokens[at].1.clone()]].concat();
                    at = take_path(tokens, at + 1, inner, found);
                    while token(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1;
                    }
                    at += usize::from(token(at) == Some(","));
                }
                return at + 1;
            }
            Some(name) => path.push(name.to_owned()),
            None => break,
        }
        at += 2;
    }
    found.push((line, path));
    at
}

/// The names, `::`, braces and commas of a file, with their lines. What is in quotes is left out.
fn tokens(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let mut quoted = false;
    for (number, line) in lines {
        // Braces and quotes as characters.
        let line = line.replace("'{'", "").replace("'}'", "").replace("'\"'", "");
        let line = line.replace("\\\\", "").replace("\\\"", "");
        let mut rest = line.as_str();
        while let Some(next) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let len = if rest.starts_with("::") { 2 } else { len.max(next.len_utf8()) };
            let token = &rest[..len];
            quoted ^= token == "\"";
            if !quoted && (is_name(next) || ["::", "{", "}", ","].contains(&token)) {
                tokens.push((*number, token.to_owned()));
            }
            rest = &rest[len..];
        }
    }
    tokens
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    // In use lines, groups and expressions, up from inner modules; not in texts and comments.
    let code = "use crate::a::{b::C, d::{self, E}};\n\
        fn f() { super::g::h(\"crate::no \\\" {\"); } // crate::no\n\
        mod tests { use super::super::i; }\n\
        fn j(k: &crate::l::M) {}";
    let lines: Vec<(usize, String)> = code
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect();
    let module = ["x".to_owned(), "y".to_owned()];
    let found = paths(&lines, &module).into_iter();
    let found: Vec<String> =
        found.map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    let expected = ["1 a::b::C", "1 a::d::self", "1 a::d::E", "2 x::g::h", "3 x::i", "4 l::M"];
    assert_eq!(found, expected);
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
