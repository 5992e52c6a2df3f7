//! Lines for the user.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard output. A reader that went away is no reason to fail.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes the one line of a failure to standard error.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "grovekeeper: {line}");
}
