//! `grovekeeper serve`.

use std::net::SocketAddr;
use std::path::Path;

use super::args::ServeArgs;
use super::error::CliError;
use super::output::say;
use super::signals::StopSignals;
use crate::app::{ServeError, Server};
use crate::config::Config;

/// Runs a server until SIGINT or SIGTERM. A second signal does not wait for a clean end.
pub(super) async fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let config = load(args)?;
    let data_dir = config.data.dir.clone();
    let mut signals = StopSignals::catch()?;
    let server = tokio::select! {
        started = Server::start(config) => started.map_err(failure)?,
        signal = signals.next() => return given_up(signal),
    };
    let addrs = (server.client_addr(), server.secure_addr());
    say(start_line(&program(), addrs, &data_dir));
    let failed = tokio::select! {
        signal = signals.next() => {
            tracing::info!("{signal}: stopping");
            None
        }
        error = server.failed() => Some(error),
    };
    tokio::select! {
        () = server.stop() => failed.map_or(Ok(()), |error| Err(failure(error))),
        signal = signals.next() => given_up(signal),
    }
}

fn failure(error: ServeError) -> CliError {
    CliError::Serve(error.into())
}

/// The server was told to end before it was ready to; nothing acknowledged is lost by that.
fn given_up(signal: &str) -> Result<(), CliError> {
    Err(CliError::Serve(format!("{signal}: ended without waiting").into()))
}

/// Reads the configuration and logs the lines that change nothing.
fn load(args: &ServeArgs) -> Result<Config, CliError> {
    let overrides = args.overrides();
    let Some(file) = &args.config else { return Ok(Config::without_file(&overrides)) };
    let config = Config::load_with(file, &overrides)?;
    for notice in &config.notices {
        let (file, key, reason) = (file.display(), &notice.key, &notice.reason);
        tracing::info!("{file}:{}: {key} changes nothing: {reason}", notice.line);
    }
    for warning in &config.warnings {
        let (file, key, reason) = (file.display(), &warning.key, &warning.reason);
        tracing::warn!("{file}:{}: {key}: {reason}", warning.line);
    }
    Ok(config)
}

/// The one line that a started server prints: where it listens, for clients with TLS too, where its
/// data is, what to try.
fn start_line(
    program: &str,
    (client_addr, secure_addr): (SocketAddr, Option<SocketAddr>),
    data_dir: &Path,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let reachable = match client_addr.ip() {
        ip if ip.is_unspecified() => format!("localhost:{}", client_addr.port()),
        _ => client_addr.to_string(),
    };
    let data_dir = data_dir.display();
    if secure_addr == Some(client_addr) {
        return format!("Grovekeeper {version} listens on {client_addr} (TLS), data in {data_dir}");
    }
    let secure = secure_addr.map(|addr| format!(" and {addr} (TLS)")).unwrap_or_default();
    format!(
        "Grovekeeper {version} listens on {client_addr}{secure}, data in {data_dir}; \
         try: {program} bench --server {reachable}"
    )
}

/// How this program was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "grovekeeper".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_line_says_where_and_what_next() {
        // One line holds the address, the directory and a command that works as it stands.
        let addr = |addr: &str| addr.parse().unwrap();
        let line = start_line("gk", (addr("127.0.0.1:2181"), None), Path::new("/data"));
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "Grovekeeper {version} listens on 127.0.0.1:2181, data in /data; \
             try: gk bench --server 127.0.0.1:2181"
        );
        assert_eq!(line, expected);
        let line = start_line("gk", (addr("0.0.0.0:4000"), None), Path::new("/data"));
        assert!(line.ends_with("gk bench --server localhost:4000"), "{line}");
        let secure = Some(addr("0.0.0.0:5000"));
        let line = start_line("gk", (addr("0.0.0.0:4000"), secure), Path::new("/data"));
        assert!(line.contains("listens on 0.0.0.0:4000 and 0.0.0.0:5000 (TLS), data"), "{line}");
        let line = start_line("gk", (addr("0.0.0.0:5000"), secure), Path::new("/data"));
        assert!(line.ends_with("listens on 0.0.0.0:5000 (TLS), data in /data"), "{line}");
    }
}
