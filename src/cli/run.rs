//! From the arguments to the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use super::args::{Cli, Command};
use super::error::CliError;
use super::output::{complain, say};
use super::{bench, dev_cluster, log, serve};
use crate::env::{task, thread};

/// Threads that serve, at least.
const WORKER_THREADS_MIN: usize = 4;

/// Runs the command that `args` (the program's name first) ask for and returns the exit code:
/// 0 for success, 1 for a failure, 2 for input that cannot be used.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too; clap knows which stream they belong to.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    log::init(cli.log.as_deref())?;
    match &cli.command {
        Command::Serve(args) => runtime()?.block_on(serve::serve(args)),
        Command::DevCluster(args) => runtime()?.block_on(dev_cluster::dev_cluster(args)),
        Command::Bench(args) => bench::bench(args),
        Command::Version => {
            say(format_args!("grovekeeper {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    }
}

/// More threads than cores: while some apply a long batch or hand a burst to the kernel, others still
/// send and hear the heartbeats on which the lead depends.
fn runtime() -> Result<task::Runtime, CliError> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = (2 * cores).max(WORKER_THREADS_MIN);
    let mut builder = task::Builder::new_multi_thread();
    Ok(builder.worker_threads(threads).enable_all().build()?)
}
