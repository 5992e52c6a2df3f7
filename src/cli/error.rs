//! Why a command failed.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;
use load::BenchError;

/// A failed command; its message is one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The text of `--log` or `RUST_LOG` is no filter.
    #[error("--log: {0}")]
    LogFilter(String),
    /// The system refused threads or signal handlers.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// The load generator found a fault, or had one.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The server could not start or had to stop.
    #[error("{}", chain(.0.as_ref()))]
    Serve(Box<dyn Error + Send + Sync>),
}

impl CliError {
    /// 2 where the user's input is at fault, else 1.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::LogFilter(_) => ExitCode::from(2),
            Self::Start(_) | Self::Bench(_) | Self::Serve(_) => ExitCode::FAILURE,
        }
    }
}

/// An error and its causes on one line, each cause once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the log")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        // The reader sees what failed and why without a second line.
        let error = CliError::Serve(Box::new(Outer(io::Error::other("disk\nfull"))));
        assert_eq!(error.to_string(), "cannot open the log: disk full");
    }
}
