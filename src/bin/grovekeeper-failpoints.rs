//! The `grovekeeper` binary with failpoints, for the tests that need them.

use std::process::ExitCode;

/// As in the binary without failpoints.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    grovekeeper::cli::main(std::env::args_os())
}
