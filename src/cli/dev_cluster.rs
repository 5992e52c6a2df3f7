//! `grovekeeper dev-cluster`: a whole ensemble on this machine, for trying it out.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::args::DevClusterArgs;
use super::error::CliError;
use super::output::say;
use super::signals::StopSignals;
use crate::env::fs::File;
use crate::env::net::{BlockingTcpListener, TcpStream};
use crate::env::{fs, time};

/// How far the ports of the servers among themselves are above those for clients.
const PEER_PORTS: u16 = 1000;

/// How long the ensemble may take to form.
const FORMED_WITHIN: Duration = Duration::from_secs(30);

/// How long to wait before the servers are asked again.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Runs one process for each server until SIGINT or SIGTERM.
pub(super) async fn dev_cluster(args: &DevClusterArgs) -> Result<(), CliError> {
    let mut signals = StopSignals::catch()?;
    let layout = Layout::new(args)?;
    let mut servers = Vec::new();
    for id in layout.ids() {
        servers.push(Server::start(&layout, id)?);
    }
    tokio::select! {
        formed = formed(&layout) => formed?,
        ended = any_ended(&mut servers) => {
            return Err(failure(format!("{ended}: see {}", layout.dir.display())));
        }
        signal = signals.next() => return stop(servers, signal).await,
    }
    introduce(&layout, &servers);
    loop {
        tokio::select! {
            signal = signals.next() => return stop(servers, signal).await,
            ended = any_ended(&mut servers) => {
                say(format_args!("{ended}; start it again: {}", layout.command_line(ended.id)));
                servers.retain(|server| server.id != ended.id);
                if servers.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

fn failure(text: String) -> CliError {
    CliError::Serve(text.into())
}

/// Who is where.
struct Layout {
    program: PathBuf,
    dir: PathBuf,
    servers: u16,
    first_port: u16,
}

impl Layout {
    fn new(args: &DevClusterArgs) -> Result<Self, CliError> {
        let program = std::env::current_exe()?;
        let dir = std::path::absolute(&args.data_dir)?;
        let layout =
            Self { program, dir, servers: u16::from(args.servers), first_port: args.client_port };
        if layout.first_port.checked_add(PEER_PORTS * 2 + layout.servers).is_none() {
            let limit = u16::MAX - PEER_PORTS * 2 - layout.servers;
            return Err(failure(format!("--client-port must be at most {limit}")));
        }
        for port in layout.ids().flat_map(|id| [layout.client_port(id), layout.peer_port(id)]) {
            // A port in use is said before anything is started.
            BlockingTcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                failure(format!("port {port}: {error}; choose others with --client-port"))
            })?;
        }
        Ok(layout)
    }

    fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.servers
    }

    fn client_port(&self, id: u16) -> u16 {
        self.first_port + id - 1
    }

    fn peer_port(&self, id: u16) -> u16 {
        self.client_port(id) + PEER_PORTS
    }

    fn folder(&self, id: u16) -> PathBuf {
        self.dir.join(format!("server-{id}"))
    }

    fn config_path(&self, id: u16) -> PathBuf {
        self.folder(id).join("zoo.cfg")
    }

    fn connect_string(&self) -> String {
        let addresses: Vec<String> =
            self.ids().map(|id| format!("127.0.0.1:{}", self.client_port(id))).collect();
        addresses.join(",")
    }

    fn command_line(&self, id: u16) -> String {
        let (program, config) = (self.program.display(), self.config_path(id));
        format!("{program} serve --config {}", config.display())
    }

    fn config(&self, id: u16) -> String {
        let mut text = format!(
            "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\n",
            self.folder(id).join("data").display()
        );
        for id in self.ids() {
            let (client, peer) = (self.client_port(id), self.peer_port(id));
            let unused = peer + PEER_PORTS;
            let _ = writeln!(text, "server.{id}=127.0.0.1:{peer}:{unused};127.0.0.1:{client}");
        }
        text
    }
}

/// One running server.
struct Server {
    id: u16,
    pid: u32,
    child: Child,
}

impl Server {
    /// Writes its configuration and starts it; it takes up data that it has from before.
    fn start(layout: &Layout, id: u16) -> Result<Self, CliError> {
        let folder = layout.folder(id);
        let named = |path: &Path, error: io::Error| failure(format!("{}: {error}", path.display()));
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| named(&data, error))?;
        for (path, text) in
            [(data.join("myid"), format!("{id}\n")), (layout.config_path(id), layout.config(id))]
        {
            fs::write(&path, text).map_err(|error| named(&path, error))?;
        }
        let log_path = folder.join("log");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.map_err(|error| named(&log_path, error))?;
        let mut command = Command::new(&layout.program);
        command.arg("serve").arg("--config").arg(layout.config_path(id));
        command.current_dir(&folder).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { id, pid, child })
    }
}

/// A server that ended by itself.
#[derive(Clone, Copy)]
struct Ended {
    id: u16,
    status: std::process::ExitStatus,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "server {} ended ({})", self.id, self.status)
    }
}

async fn any_ended(servers: &mut [Server]) -> Ended {
    let waits = servers.iter_mut().map(|server| {
        Box::pin(async move {
            let status = server.child.wait().await;
            (server.id, status)
        })
    });
    match futures_util::future::select_all(waits).await.0 {
        (id, Ok(status)) => Ended { id, status },
        // The system does not say how it ended.
        (id, Err(_)) => Ended { id, status: std::process::ExitStatus::default() },
    }
}

/// Waits until every server says which part it plays.
async fn formed(layout: &Layout) -> Result<(), CliError> {
    let all = async {
        for id in layout.ids() {
            while part(layout.client_port(id)).await.is_none() {
                time::sleep(ASK_EVERY).await;
            }
        }
    };
    time::timeout(FORMED_WITHIN, all).await.map_err(|_| {
        failure(format!("the servers did not become one: see {}", layout.dir.display()))
    })
}

/// `leader` or `follower`, once the server serves.
async fn part(port: u16) -> Option<String> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(addr).await.ok()?;
    stream.write_all(b"srvr").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
}

fn introduce(layout: &Layout, servers: &[Server]) {
    let connect = layout.connect_string();
    say(format_args!(
        "{} servers are one ensemble, data in {}",
        servers.len(),
        layout.dir.display()
    ));
    for server in servers {
        let port = layout.client_port(server.id);
        say(format_args!("  server {}  127.0.0.1:{port}  pid {}", server.id, server.pid));
    }
    say(format_args!("connect string: {connect}"));
    say(format_args!(
        "try: {} bench --server 127.0.0.1:{}, or end one with kill -9; Ctrl-C stops all",
        layout.program.display(),
        layout.first_port
    ));
}

async fn stop(servers: Vec<Server>, signal: &str) -> Result<(), CliError> {
    tracing::info!("{signal}: stopping");
    for server in &servers {
        let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile, or have got the signal of the terminal as well.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    for mut server in servers {
        let _ = server.child.wait().await;
    }
    Ok(())
}
