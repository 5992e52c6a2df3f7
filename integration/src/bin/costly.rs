//! What bystanders notice of the costliest requests: `costly [--seconds N] [--only NAME] [--tenth]`.
//!
//! Three servers, each request for so many seconds by one connection, then the end of a session with many
//! ephemeral znodes ten times, then a hundred connections together. Figures are milliseconds; the program
//! fails where a server ended, where there was an election, and where 512 MiB were not enough.

use std::process::ExitCode;
use std::time::Duration;

use integration::costly::{Costly, Noticed, Run, Size};
use integration::{EnsembleOptions, Kind};

/// What a server may take.
const MEMORY_KIB: u64 = 512 << 10;

/// Connections at once.
const TOGETHER: usize = 100;

#[derive(Debug)]
struct Options {
    time: Duration,
    only: Option<String>,
    size: Size,
}

fn options_of(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { time: Duration::from_secs(60), only: None, size: Size::FULL };
    while let Some(key) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{key}: a value is missing"));
        match key.as_str() {
            "--seconds" => {
                let seconds = value()?.parse().map_err(|_| "seconds are a number".to_owned())?;
                options.time = Duration::from_secs(seconds);
            }
            "--only" => options.only = Some(value()?),
            "--tenth" => options.size = Size::TENTH,
            _ => return Err(format!("{key} is not understood")),
        }
    }
    Ok(options)
}

#[expect(clippy::print_stdout, reason = "the output of the program")]
fn show(name: &str, noticed: &Noticed, peak_kib: u64) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let Noticed { requests, reads, writes } = noticed;
    println!(
        "{name:18} {:6} requests, longest {:7.1} | get p50 {:6.1} p99 {:6.1} max {:7.1} | \
         set p50 {:6.1} p99 {:7.1} max {:7.1} | peak {} MiB",
        requests.len(),
        ms(noticed.longest()),
        ms(reads.quantile(0.5)),
        ms(reads.quantile(0.99)),
        ms(reads.quantile(1.0)),
        ms(writes.quantile(0.5)),
        ms(writes.quantile(0.99)),
        ms(writes.quantile(1.0)),
        peak_kib >> 10,
    );
}

#[expect(clippy::print_stderr, reason = "the output of the program")]
fn complain(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let options = match options_of(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => return complain(&what),
    };
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("maxClientCnxns", "0")
        .set("tickTime", "2000")
        .set("reconfigEnabled", "true");
    let mut ensemble = ensemble.start();
    let mut run = Run::new(&mut ensemble, options.size);
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only));
    if wanted("quiet") {
        show("quiet", &run.quiet(options.time), run.peak_kib());
    }
    for costly in Costly::ALL {
        let name = format!("{costly:?}");
        if wanted(&name) {
            let noticed = run.alone(costly, options.time);
            show(&name, &noticed, run.peak_kib());
        }
    }
    if wanted("Close") {
        let noticed = run.closes(10);
        show("Close", &noticed, run.peak_kib());
    }
    if wanted("Together") {
        let all: Vec<Costly> = Costly::ALL.into_iter().cycle().take(TOGETHER).collect();
        // So that what is there before takes less memory than what they ask for.
        run.resize(Size { nodes: options.size.nodes / 10, ..options.size });
        let noticed = run.together(&all, options.time);
        show("Together", &noticed, run.peak_kib());
    }
    let peak_kib = run.peak_kib();
    let mut complaints = run.complaints();
    if peak_kib > MEMORY_KIB {
        complaints.push(format!("a server took {} MiB", peak_kib >> 10));
    }
    match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => complain(&complaints.join("\n")),
    }
}
