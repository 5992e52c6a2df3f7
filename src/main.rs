//! The `grovekeeper` binary.
fn main() {}
