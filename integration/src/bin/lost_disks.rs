//! Rounds that lose disks: `lost_disks --seed S --rounds N --minimum M [--folder F]`.
//!
//! Ends with the figures and the verdict; exit code 1 when a promise was broken, or a situation was reached
//! in fewer than M rounds. Then the folder with histories, logs and data stays.

use std::path::PathBuf;
use std::process::ExitCode;

use integration::torture::disks::{Options, run};

const USAGE: &str = "usage: lost_disks [--seed S] [--rounds N] [--minimum M] [--folder F]";

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            say(&format!("{wrong}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let (seed, folder) = (options.seed, options.folder.display());
    say(&format!("{} rounds, seed {seed}, in {folder}", options.rounds));
    let verdict = run(&options, say);
    say(&format!("\n{verdict}\n"));
    if verdict.passed() {
        // What cannot be removed is only in the way.
        let _ = std::fs::remove_dir_all(&options.folder);
        say(&format!("every promise was kept; seed {seed}"));
        return ExitCode::SUCCESS;
    }
    for missing in &verdict.missing {
        let reached = verdict.situations.reached(*missing);
        say(&format!("TOO SELDOM: {missing}: in {reached} rounds, not {}", options.minimum));
    }
    if !verdict.anomalies.is_empty() {
        say(&format!("PROMISES WERE BROKEN; seed {seed}: {folder}"));
    }
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the program's report")]
fn say(text: &str) {
    println!("{text}");
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let id = u64::from(std::process::id());
    let mut options = Options { seed: id, rounds: 200, minimum: 20, folder: PathBuf::new() };
    while let Some(key) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{key} needs a value"))?;
        match key.as_str() {
            "--seed" => options.seed = number(&key, &value)?,
            "--rounds" => options.rounds = number(&key, &value)?,
            "--minimum" => options.minimum = number(&key, &value)?,
            "--folder" => options.folder = PathBuf::from(value),
            _ => return Err(format!("{key} is unknown")),
        }
    }
    if options.folder.as_os_str().is_empty() {
        let name = format!("grovekeeper-lost-disks-{}-{id}", options.seed);
        options.folder = std::env::temp_dir().join(name);
    }
    Ok(options)
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{key} is a number, not {value}"))
}
