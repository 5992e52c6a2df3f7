//! A server process of a test's own: started, killed, started again, gone when dropped.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually::within;
use crate::{Process, four_letter, free_port, grovekeeper, zookeeper};

/// How long a server may take until it serves.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to answer the question whether it serves, before it is asked again.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// Which server to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server of this repository.
    Grovekeeper,
    /// Apache ZooKeeper, as installed by Debian's package.
    ZooKeeper,
}

impl Kind {
    /// The server that `GROVEKEEPER_TEST_SERVER` names, else Grovekeeper.
    ///
    /// # Panics
    ///
    /// When the variable names neither.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var("GROVEKEEPER_TEST_SERVER").as_deref() {
            Err(_) | Ok("grovekeeper") => Self::Grovekeeper,
            Ok("zookeeper") => Self::ZooKeeper,
            Ok(other) => panic!("GROVEKEEPER_TEST_SERVER is grovekeeper or zookeeper, not {other}"),
        }
    }

    /// Whether the server can be started on this machine.
    #[must_use]
    pub fn installed(self) -> bool {
        match self {
            Self::Grovekeeper => true,
            Self::ZooKeeper => zookeeper::installed(),
        }
    }
}

/// What to start and how; every setting is a key of zoo.cfg, whichever server it is.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    kind: Kind,
    settings: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
    arguments: Vec<String>,
    open_files: Option<u32>,
}

impl ServerOptions {
    /// A standalone server with a tick of 500 ms: sessions may last from 1 s to 10 s.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let mut options = Self {
            kind,
            settings: Vec::new(),
            data_dir: None,
            arguments: Vec::new(),
            open_files: None,
        };
        for (key, value) in [("tickTime", "500"), ("admin.enableServer", "false")] {
            options = options.set(key, value);
        }
        options
    }

    /// Sets a key of zoo.cfg; the last value given counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Opens a port for TLS beside the plain one, and returns it. The server's key is `server.pem` in
    /// `folder`, and it trusts the authorities in `trust.pem`.
    #[must_use]
    pub fn secure_port(self, folder: &Path) -> (Self, u16) {
        let port = free_port();
        let file = |name: &str| folder.join(name).display().to_string();
        let options = self
            .set("secureClientPort", &port.to_string())
            .set("secureClientPortAddress", "127.0.0.1")
            .set("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory")
            .set("ssl.keyStore.location", &file("server.pem"))
            .set("ssl.trustStore.location", &file("trust.pem"));
        (options, port)
    }

    /// Keeps the data in `folder`, which is not removed with the server.
    #[must_use]
    pub fn data_dir(mut self, folder: &Path) -> Self {
        self.data_dir = Some(folder.to_owned());
        self
    }

    /// Adds a command line argument (Grovekeeper only).
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Lets the process have no more than so many open files.
    #[must_use]
    pub fn open_files(mut self, open_files: u32) -> Self {
        self.open_files = Some(open_files);
        self
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it does not; the message holds its log.
    #[must_use]
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start_again();
        server
    }

    /// Writes the configuration, but starts nothing yet.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    #[must_use]
    pub fn prepare(self) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data_dir = self.data_dir.clone().unwrap_or_else(|| folder.path().join("data"));
        std::fs::create_dir_all(&data_dir).expect("the data folder");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Server { options: self, folder, data_dir, addr, process: None };
        server.write_config();
        server
    }
}

/// A server process and its folder.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    folder: TempDir,
    data_dir: PathBuf,
    addr: SocketAddr,
    process: Option<Process>,
}

impl Server {
    /// Starts the server that the environment names, with the options of [`ServerOptions::new`].
    #[must_use]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// The options of [`start`](Self::start), to add to.
    #[must_use]
    pub fn options() -> ServerOptions {
        ServerOptions::new(Kind::from_env())
    }

    /// Which server this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.options.kind
    }

    /// Where it listens for clients; the same after a restart.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as clients are given it.
    #[must_use]
    pub fn connect_string(&self) -> String {
        self.addr.to_string()
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A folder for a test's own files, removed with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The running process.
    ///
    /// # Panics
    ///
    /// When it was killed or stopped.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server runs")
    }

    /// Kills the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.process().kill();
        self.process = None;
    }

    /// Asks the process to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        let status = self.process().terminate();
        self.process = None;
        status
    }

    /// Starts the server on its data and its address, and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it runs already or does not come up; the message holds its log.
    pub fn start_again(&mut self) {
        self.spawn();
        let addr = self.addr;
        let process = self.process.as_mut().expect("just started");
        within(START_PATIENCE, "the server serves", || {
            if let Some(status) = process.exited() {
                panic!("the server ended at its start ({status}):\n{}", process.log());
            }
            // Apache ZooKeeper takes connections while it starts that it never answers.
            four_letter::ask_within(addr, "srvr", ASK_PATIENCE)
                .filter(|answer| answer.contains("Mode: "))
        });
    }

    /// Starts the process without waiting for anything.
    ///
    /// # Panics
    ///
    /// When it runs already.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let mut command = self.command();
        self.process = Some(Process::start(&mut command, &self.log_path()));
    }

    /// Starts the server and expects that it refuses: it ends by itself with a failure.
    ///
    /// Returns all that it said.
    ///
    /// # Panics
    ///
    /// When it starts, or ends as if all were well.
    pub fn start_refused(&mut self) -> String {
        self.spawn();
        let status = self.process().wait();
        let log = self.log();
        self.process = None;
        assert!(!status.success(), "the server ended without a failure:\n{log}");
        log
    }

    /// The command line that starts this server.
    #[must_use]
    pub fn command(&self) -> Command {
        let config = self.config_path();
        let mut command = match self.options.kind {
            Kind::Grovekeeper => {
                let binary = grovekeeper::binary();
                grovekeeper::serve_command(&binary, &config, &self.options.arguments)
            }
            Kind::ZooKeeper => {
                let settings = self.options.settings.iter();
                let properties = settings.filter(|(key, _)| zookeeper::is_system_property(key));
                zookeeper::serve_command(&config, &properties.cloned().collect::<Vec<_>>())
            }
        };
        if let Some(open_files) = self.options.open_files {
            let mut limited = Command::new("sh");
            limited.arg("-c").arg(format!("ulimit -n {open_files} && exec \"$@\"")).arg("sh");
            limited.arg(command.get_program()).args(command.get_args());
            command = limited;
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Everything that the server logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The answer to a four-letter word, or `None` when the server cannot be reached.
    #[must_use]
    pub fn four_letter_word(&self, word: &str) -> Option<String> {
        four_letter::ask(self.addr, word)
    }

    /// The configuration file that the server is started with.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("zoo.cfg")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn write_config(&self) {
        let mut text = String::new();
        for (key, value) in &self.options.settings {
            let elsewhere =
                self.options.kind == Kind::ZooKeeper && zookeeper::is_system_property(key);
            if !elsewhere {
                let _ = writeln!(text, "{key}={value}");
            }
        }
        let _ = writeln!(text, "dataDir={}", self.data_dir.display());
        let _ = writeln!(text, "clientPortAddress={}", self.addr.ip());
        let _ = writeln!(text, "clientPort={}", self.addr.port());
        std::fs::write(self.config_path(), text).expect("the configuration file");
    }
}

impl Drop for Server {
    /// Shows the end of the server's log when a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            report(&format!("--- last lines of the server's log ---\n{tail}\n---"));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test's output is for the person who reads it")]
fn report(text: &str) {
    eprintln!("{text}");
}
