//! Golden scripts: commands and what comes of them, in files whose names say the promise.
//!
//! A script is a list of blocks: command lines, `---`, the output, an empty line. Lines that start
//! with `#` before the first command of a block are comments. `UPDATE_GOLDEN=1 cargo test --test
//! scripts` writes the output anew; review the difference like code.

#[path = "scripts/golden.rs"]
mod golden;
#[path = "scripts/tree_commands.rs"]
mod tree_commands;

use tree_commands::TreeRunner;

#[test]
fn the_tree_does_what_its_scripts_say() {
    // Each file in tests/scripts/tree is one promise about the data model.
    golden::run_folder("tests/scripts/tree", || {
        let mut runner = TreeRunner::default();
        move |line: &str| runner.run(line)
    });
}
