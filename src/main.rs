//! The `grovekeeper` binary.

use std::process::ExitCode;

/// That of the C library keeps half as much again when many threads make and drop what is large (decision 0026).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    grovekeeper::cli::main(std::env::args_os())
}
