//! Torture of an ensemble: `torture --seed S --minutes M --servers N [--kind grovekeeper|zookeeper]`.
//! With `--faults late` connections between servers are held back, overtaken and outlive their senders.
//! A run has failed in which the servers counted fewer than `--sections` sections that came again, as
//! many that came too early, or as many of ended processes: it has not reached the situation.
//!
//! Ends with the verdict; exit code 1 when a promise was broken. Then the folder with histories,
//! logs and data stays, as it does when `--folder` names it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use integration::Kind;
use integration::torture::{Faults, Options, run};

const USAGE: &str = "usage: torture [--seed S] [--minutes M] [--servers N] \
[--kind grovekeeper|zookeeper] [--round SECONDS] [--rounds N] [--first ROUND] [--folder F] \
[--faults all|delays|late] [--sections N]";

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            say(&format!("{wrong}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    say(&format!(
        "{} {:?} servers, seed {}, {:?}, in {}",
        options.servers,
        options.kind,
        options.seed,
        options.length,
        options.folder.display()
    ));
    let verdict = run(&options, say);
    say(&format!("\n{}\n", verdict.figures));
    if verdict.kept() {
        if !options.keep {
            // What cannot be removed is only in the way.
            let _ = std::fs::remove_dir_all(&options.folder);
        }
        say(&format!("every promise was kept; seed {}", options.seed));
        return ExitCode::SUCCESS;
    }
    say(&format!("PROMISES WERE BROKEN; seed {}: {}", options.seed, options.folder.display()));
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the program's report")]
fn say(text: &str) {
    println!("{text}");
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let seed = u64::from(std::process::id());
    let mut options = Options {
        kind: Kind::Grovekeeper,
        servers: 3,
        seed,
        faults: Faults::All,
        sections_min: 0,
        length: Duration::from_secs(60),
        rounds: u64::MAX,
        first: 1,
        round: Duration::from_secs(20),
        folder: PathBuf::new(),
        keep: false,
    };
    while let Some(key) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{key} needs a value"))?;
        match key.as_str() {
            "--seed" => options.seed = number(&key, &value)?,
            "--minutes" => {
                let minutes: f64 = number(&key, &value)?;
                options.length = Duration::try_from_secs_f64(minutes * 60.0)
                    .map_err(|error| format!("--minutes {value}: {error}"))?;
            }
            "--rounds" => options.rounds = number(&key, &value)?,
            "--sections" => options.sections_min = number(&key, &value)?,
            "--first" => options.first = number(&key, &value)?,
            "--servers" => options.servers = number(&key, &value)?,
            "--round" => options.round = Duration::from_secs(number(&key, &value)?),
            "--folder" => (options.folder, options.keep) = (PathBuf::from(value), true),
            "--faults" => {
                options.faults = match value.as_str() {
                    "all" => Faults::All,
                    "delays" => Faults::Delays,
                    "late" => Faults::Late,
                    _ => return Err(format!("--faults is all, delays or late, not {value}")),
                }
            }
            "--kind" => {
                options.kind = match value.as_str() {
                    "grovekeeper" => Kind::Grovekeeper,
                    "zookeeper" => Kind::ZooKeeper,
                    _ => return Err(format!("--kind is grovekeeper or zookeeper, not {value}")),
                }
            }
            _ => return Err(format!("{key} is unknown")),
        }
    }
    if !(2..=9).contains(&options.servers) {
        return Err(format!("--servers is a number from 2 to 9, not {}", options.servers));
    }
    if options.folder.as_os_str().is_empty() {
        let name = format!("grovekeeper-torture-{}-{}", options.seed, std::process::id());
        options.folder = std::env::temp_dir().join(name);
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{key} is a number, not {value}"))
}
