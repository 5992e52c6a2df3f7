//! Golden scripts: commands and what comes of them, in files whose names say the promise.
//!
//! A script is a list of blocks: command lines, `---`, the output, an empty line. Lines that start
//! with `#` before the first command of a block are comments. `UPDATE_GOLDEN=1 cargo test --test
//! scripts` writes the output anew; review the difference like code.

mod conn_commands;
mod golden;
mod requests;
mod shown;
mod tree_commands;

use conn_commands::ConnRunner;
use tree_commands::TreeRunner;

#[test]
fn the_tree_does_what_its_scripts_say() {
    // Each file in tests/scripts/tree is one promise about the data model.
    golden::run_folder("tests/scripts/tree", || {
        let mut runner = TreeRunner::default();
        move |line: &str| runner.run(line)
    });
}

#[test]
fn connections_do_what_their_scripts_say() {
    // Each file in tests/scripts/conn is one promise about requests, replies and events.
    golden::run_folder("tests/scripts/conn", conn_runner);
}

#[test]
fn sessions_do_what_their_scripts_say() {
    // Each file in tests/scripts/session is one promise about sessions, from handshake to end.
    golden::run_folder("tests/scripts/session", conn_runner);
}

#[test]
fn the_replica_does_what_its_scripts_say() {
    // Each file in tests/scripts/replica is one promise about commands that come from the log.
    golden::run_folder("tests/scripts/replica", conn_runner);
}

fn conn_runner() -> impl FnMut(&str) -> String {
    let mut runner = ConnRunner::default();
    move |line: &str| runner.run(line)
}
