//! What can be written on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::bench::BenchArgs;
use crate::config::Overrides;
use crate::env::net::ToSocketAddrs as _;

/// A coordination service for clients of Apache ZooKeeper.
#[derive(Debug, Parser)]
#[command(name = "grovekeeper", version, propagate_version = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// What to log, as in `warn,grovekeeper=debug`; else the variable `RUST_LOG` says it
    #[arg(long, global = true, value_name = "FILTER")]
    pub(super) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a server
    ///
    /// Without a configuration file it listens on 127.0.0.1:2181 and keeps its data in
    /// ./grovekeeper-data.
    Serve(ServeArgs),
    /// Run a whole ensemble on this machine, for trying it out
    ///
    /// Each server is a process of its own, on 127.0.0.1. Ctrl-C stops all; what they hold is there
    /// again the next time.
    DevCluster(DevClusterArgs),
    /// Measure a ZooKeeper-compatible server
    ///
    /// Runs each workload in turn: first a warm-up, then the measurement. Every reply is checked.
    /// The nodes that it makes lie below `/grovekeeper-bench-RUN` and are removed at the end.
    Bench(BenchArgs),
    /// Print the version
    Version,
}

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// A ZooKeeper configuration file
    #[arg(short, long, value_name = "zoo.cfg")]
    pub(super) config: Option<PathBuf>,
    /// Where to keep the data, instead of what the file says
    #[arg(short, long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Where to listen for clients, instead of what the file says
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(super) client_addr: Option<SocketAddr>,
    /// Where to serve the administration commands, instead of what the file says
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(super) admin_addr: Option<SocketAddr>,
    /// Never form an ensemble: wait to be taken in by the one that the other servers belong to
    #[arg(long)]
    pub(super) join: bool,
}

#[derive(Args, Debug)]
pub(super) struct DevClusterArgs {
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(super) servers: u8,
    /// Where to keep the data, the configuration and the log of each server
    #[arg(short, long, value_name = "DIR", default_value = "grovekeeper-dev")]
    pub(super) data_dir: PathBuf,
    /// Where the first server listens for clients; the others follow
    #[arg(long, value_name = "PORT", default_value_t = 2181, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) client_port: u16,
}

impl ServeArgs {
    /// The settings that win over the file.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            data_dir: self.data_dir.clone(),
            client_addr: self.client_addr,
            admin_addr: self.admin_addr,
            join: self.join,
        }
    }
}

/// `host:port`, where the host may be a name.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let found = text.to_socket_addrs().map_err(|error| match text.contains(':') {
        true => error.to_string(),
        false => "expected host:port".to_owned(),
    })?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| "the name has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        // No two options clash; clap checks its own definition.
        <Cli as clap::CommandFactory>::command().debug_assert();
        let _: Cli = Parser::parse_from(["grovekeeper", "serve"]);
    }

    #[test]
    fn addresses_may_be_names_and_need_a_port() {
        // `localhost:2181` is understood, a bare host is not.
        assert_eq!(address("localhost:2181").unwrap().port(), 2181);
        assert_eq!(address("[::1]:2181").unwrap().to_string(), "[::1]:2181");
        assert_eq!(address("localhost").unwrap_err(), "expected host:port");
    }
}
