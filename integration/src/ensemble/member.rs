//! One server of an ensemble: its folder, its ports, its process.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::options::EnsembleOptions;
use crate::{Kind, Process, grovekeeper, zookeeper};

/// The ports of one server, or those under which another server reaches it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerPorts {
    /// The first port of a `server.N` line.
    pub(super) first: u16,
    /// The second one: Apache ZooKeeper's elections.
    pub(super) second: u16,
}

/// A server as another one, or itself, is told of it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The number in `server.N`.
    pub(super) id: u64,
    pub(super) host: String,
    pub(super) ports: PeerPorts,
    pub(super) client: SocketAddr,
    pub(super) observer: bool,
}

impl Seen {
    /// The line `server.N`.
    pub(super) fn line(&self) -> String {
        let PeerPorts { first, second } = self.ports;
        let role = if self.observer { ":observer" } else { "" };
        format!("server.{}={}:{first}:{second}{role};{}", self.id, self.host, self.client)
    }
}

/// A server of an ensemble.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) client: SocketAddr,
    pub(super) ports: PeerPorts,
    pub(super) paused: bool,
    pub(super) process: Option<Process>,
    folder: PathBuf,
}

impl Member {
    pub(super) fn new(folder: PathBuf, addr: Ipv4Addr) -> Self {
        let client = SocketAddr::from((addr, crate::free_port()));
        let ports = PeerPorts { first: crate::free_port(), second: crate::free_port() };
        Self { client, ports, paused: false, process: None, folder }
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes `zoo.cfg` and `myid`. `servers` are all servers as this one is to see them.
    pub(super) fn write_files(&self, options: &EnsembleOptions, id: u64, servers: &[Seen]) {
        let mut text = String::new();
        for (key, value) in &options.settings {
            if !is_property(options.kind, key) {
                let _ = writeln!(text, "{key}={value}");
            }
        }
        let _ = writeln!(text, "dataDir={}", self.data_dir().display());
        for server in servers {
            let _ = writeln!(text, "{}", server.line());
        }
        std::fs::create_dir_all(self.data_dir()).expect("the data folder");
        std::fs::write(self.config(), text).expect("the configuration file");
        std::fs::write(self.data_dir().join("myid"), format!("{id}\n")).expect("the id's file");
    }

    /// Starts the server, the one with this number.
    pub(super) fn start(&mut self, options: &EnsembleOptions, server: usize, arguments: &[&str]) {
        assert!(self.process.is_none(), "the server runs already");
        let mut command = self.command(options, server, arguments);
        self.paused = false;
        self.process = Some(Process::start(&mut command, &self.log_path()));
    }

    fn command(&self, options: &EnsembleOptions, server: usize, arguments: &[&str]) -> Command {
        let mut command = match options.kind {
            Kind::Grovekeeper => {
                let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                let binary = if options.failpoints.is_empty() {
                    grovekeeper::binary()
                } else {
                    grovekeeper::binary_with_failpoints().to_owned()
                };
                grovekeeper::serve_command(&binary, &self.config(), &arguments)
            }
            Kind::ZooKeeper => {
                let settings = options.settings.iter();
                let properties = settings.filter(|(key, _)| is_property(options.kind, key));
                zookeeper::serve_command(&self.config(), &properties.cloned().collect::<Vec<_>>())
            }
        };
        if let Some(namespaces) = &options.namespaces {
            command = namespaces.command(server, &command);
        }
        command.current_dir(&self.folder);
        let failpoints = options.failpoints.iter();
        command.envs(failpoints.map(|(failpoint, value)| (failpoint.variable(), value)));
        command
    }

    /// Everything that the server logged, over all its starts.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("zoo.cfg")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn is_property(kind: Kind, key: &str) -> bool {
    kind == Kind::ZooKeeper && zookeeper::is_system_property(key)
}
