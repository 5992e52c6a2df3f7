//! The `grovekeeper` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    grovekeeper::cli::main(std::env::args_os())
}
