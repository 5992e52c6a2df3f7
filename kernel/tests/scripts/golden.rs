//! Reads, runs, compares and rewrites script files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Runs all scripts of a folder, each with a fresh runner, and fails for those whose output is
/// another.
pub(crate) fn run_folder<R: FnMut(&str) -> String>(folder: &str, mut runner: impl FnMut() -> R) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut scripts: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no script in {}", folder.display());
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for script in scripts {
        let expected = fs::read_to_string(&script).expect("a script is text");
        let actual = run(&expected, runner());
        if actual == expected {
            continue;
        }
        if update {
            fs::write(&script, actual).expect("scripts are writable");
        } else {
            different.push(format!(
                "{}\n{}",
                script.display(),
                first_difference(&expected, &actual)
            ));
        }
    }
    assert!(different.is_empty(), "\n{}\n", different.join("\n"));
}

/// The script as it is with the output that its commands have today.
fn run(script: &str, mut runner: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    for block in script.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let commands = block.lines().take_while(|line| *line != "---");
        let mut output = String::new();
        let mut has_command = false;
        for line in commands {
            out.push_str(line);
            out.push('\n');
            if !line.starts_with('#') && !line.trim().is_empty() {
                has_command = true;
                let shown = runner(line);
                assert!(!shown.lines().any(str::is_empty), "an empty line would end the block");
                output.push_str(&shown);
            }
        }
        if has_command {
            out.push_str("---\n");
            if !output.is_empty() {
                writeln!(out, "{}", output.trim_end()).expect("memory takes it");
            }
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn first_difference(expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).zip(1..);
    match lines.find(|((expected, actual), _)| expected != actual) {
        Some(((expected, actual), number)) => {
            format!("  line {number}\n  expected: {expected}\n  found:    {actual}")
        }
        None => "  one is longer than the other".to_owned(),
    }
}

/// Cuts a line into words. A word may hold quoted parts, with the escapes of Rust strings.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut started) = (false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (quoted, started) = (!quoted, true),
            '\\' if quoted => word.push(escape(&mut chars)),
            ' ' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

fn escape(chars: &mut impl Iterator<Item = char>) -> char {
    match chars.next().expect("an escape has a letter") {
        '0' => '\0',
        'n' => '\n',
        'u' => {
            let hex: String = chars.skip(1).take_while(|c| *c != '}').collect();
            let code = u32::from_str_radix(&hex, 16).expect("hexadecimal digits");
            char::from_u32(code).expect("a character")
        }
        c => c,
    }
}
