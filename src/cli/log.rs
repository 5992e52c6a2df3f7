//! Where log lines go, and which.

use tracing_subscriber::EnvFilter;

use super::error::CliError;

/// What is logged unless the user says otherwise: our own events, and warnings of libraries, except
/// those of openraft: it warns of what elections bring with them, which is no operator's business.
const FILTER_DEFAULT: &str = "warn,grovekeeper=info,openraft=error";

/// Sends log lines to standard error. `filter` is the option `--log`; the variable `RUST_LOG` and
/// then a calm default stand in for it.
pub(super) fn init(filter: Option<&str>) -> Result<(), CliError> {
    let from_env = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let text = filter.or(from_env.as_deref()).unwrap_or(FILTER_DEFAULT);
    let filter =
        EnvFilter::try_new(text).map_err(|error| CliError::LogFilter(error.to_string()))?;
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal);
    // A second initialisation in one process (tests) keeps the first.
    let _ = subscriber.try_init();
    Ok(())
}
