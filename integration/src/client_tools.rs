//! Third-party clients: where they are, how they are compiled, how their suites are run.
//!
//! A suite is a program under `integration/clients/` that is given the server's address and prints
//! one line for each scenario: `ok NAME`, or `FAIL NAME: why`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::eventually::within;
use crate::{Ensemble, Process, Server, grovekeeper, zookeeper};

/// How long a whole suite may take.
const SUITE_PATIENCE: Duration = Duration::from_secs(300);

/// The jars that the Java suites are compiled and run with, beside what these name themselves.
const JAVA_JARS: [&str; 14] = [
    "curator-client",
    "curator-framework",
    "curator-recipes",
    "curator-x-discovery",
    "zookeeper",
    "zookeeper-jute",
    "guava",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "netty-codec",
    "netty-resolver",
    "slf4j-api",
    "slf4j-simple",
];

/// A third-party client that a suite is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Python's kazoo.
    Kazoo,
    /// Curator and the plain Java client.
    Java,
    /// The multi-threaded C library.
    C,
    /// Node's `node-zookeeper-client`.
    Node,
}

/// What a suite said.
#[derive(Debug)]
pub struct Report {
    /// The scenarios that passed, by name.
    pub passed: Vec<String>,
    /// All that the suite printed.
    pub output: String,
}

impl Tool {
    /// Runs the suite `name` against `server`.
    ///
    /// # Panics
    ///
    /// When the client is not installed, a scenario fails, or the suite does not end well.
    pub fn run(self, name: &str, server: &Server) -> Report {
        let process = self.start(name, server);
        finish(process, name)
    }

    /// Runs the suite `name`, and `fault` when the suite says `ready`; it is told the end of the
    /// fault by a file `over` in its current folder.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_through(
        self,
        name: &str,
        server: &mut Server,
        fault: impl FnOnce(&mut Server),
    ) -> Report {
        let mut process = self.start(name, server);
        wait_until_ready(&mut process, name);
        fault(server);
        std::fs::write(server.folder().join("over"), "").expect("the end is told");
        finish(process, name)
    }

    /// As [`run_through`](Self::run_through), against several servers.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_through_faults(
        self,
        name: &str,
        ensemble: &mut Ensemble,
        faults: impl FnOnce(&mut Ensemble),
    ) -> Report {
        let folder = ensemble.root().to_owned();
        let mut process = self.start_in(&folder, name, &ensemble.connect_string());
        wait_until_ready(&mut process, name);
        faults(ensemble);
        std::fs::write(folder.join("over"), "").expect("the end is told");
        finish(process, name)
    }

    /// Runs the suite `name` in `folder`, with another address than the server's first.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_at(self, name: &str, folder: &Path, connect_string: &str) -> Report {
        finish(self.start_in(folder, name, connect_string), name)
    }

    fn start(self, name: &str, server: &Server) -> Process {
        self.start_in(server.folder(), name, &server.connect_string())
    }

    fn start_in(self, folder: &Path, name: &str, connect_string: &str) -> Process {
        let log = folder.join(format!("{name}.log"));
        let mut command = self.command(name);
        command.arg(connect_string).current_dir(folder);
        Process::start(&mut command, &log)
    }

    fn command(self, name: &str) -> Command {
        match self {
            Self::Kazoo => {
                let mut command = Command::new(cache().join("kazoo/bin/python"));
                command.arg("-u").arg(clients().join("kazoo").join(format!("{name}.py")));
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command
                    .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
                    .arg(format!("{}:{}", java_classes().display(), java_class_path()))
                    .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
                    .arg(name);
                command
            }
            Self::C => Command::new(c_program(name)),
            Self::Node => {
                let mut command = Command::new("node");
                command
                    .env("NODE_PATH", cache().join("node/node_modules"))
                    .arg(clients().join("node").join(format!("{name}.js")));
                command
            }
        }
    }
}

fn wait_until_ready(process: &mut Process, name: &str) {
    within(SUITE_PATIENCE, "the suite is ready", || {
        let log = process.log();
        assert!(process.exited().is_none(), "{name} ended before it was ready:\n{log}");
        log.lines().any(|line| line == "ready").then_some(())
    });
}

fn finish(mut process: Process, name: &str) -> Report {
    let ended_well = within_suite(&mut process, name);
    let output = process.log();
    let failed: Vec<&str> = output.lines().filter(|line| line.starts_with("FAIL ")).collect();
    let passed: Vec<String> =
        output.lines().filter_map(|line| line.strip_prefix("ok ")).map(ToOwned::to_owned).collect();
    assert!(
        ended_well && failed.is_empty() && !passed.is_empty(),
        "{name}: {} passed, {} failed: {failed:#?}\n{output}",
        passed.len(),
        failed.len(),
    );
    Report { passed, output }
}

/// Runs `zkCli.sh` on `server` with one command a line from `script`, and returns what it printed.
///
/// # Panics
///
/// When it is not installed or does not end in time.
#[must_use]
pub fn zk_cli(server: &Server, script: &str) -> String {
    let input = server.folder().join("zkcli.in");
    std::fs::write(&input, script).expect("the commands of zkCli.sh");
    let log = server.folder().join("zkcli.log");
    // The log of an earlier run would be read as this one's.
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec /usr/share/zookeeper/bin/zkCli.sh -server \"$0\" < \"$1\"")
        .arg(server.connect_string())
        .arg(&input)
        .env(
            "CLIENT_JVMFLAGS",
            "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dzookeeper.root.logger=ERROR,CONSOLE",
        )
        .current_dir(server.folder());
    let mut process = Process::start(&mut command, &log);
    within_suite(&mut process, "zkCli.sh");
    process.log()
}

fn within_suite(process: &mut Process, name: &str) -> bool {
    let status = within(SUITE_PATIENCE, "the suite ends", || process.exited());
    if !status.success() && process.log().is_empty() {
        panic!("{name} ended with {status} and said nothing");
    }
    status.success()
}

/// Compiles all of `clients/java` once, and returns the folder of the classes.
fn java_classes() -> &'static Path {
    static CLASSES: OnceLock<PathBuf> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let classes = cache().join("java-classes");
        let mut command = Command::new("javac");
        command.args(["-Xlint:-options", "-proc:none", "-cp", &java_class_path(), "-d"]);
        command.arg(&classes).args(sources("java", "java"));
        compile(&mut command);
        classes
    })
}

fn java_class_path() -> String {
    for name in JAVA_JARS {
        let jar = zookeeper::jar(name);
        assert!(jar.exists(), "{} is missing: run integration/run", jar.display());
    }
    zookeeper::class_path(&JAVA_JARS)
}

/// Compiles `clients/c/NAME.c` and returns the program.
fn c_program(name: &str) -> PathBuf {
    let program = cache().join(format!("{name}-{}", std::process::id()));
    let mut command = Command::new("cc");
    command
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DTHREADED", "-o"])
        .arg(&program)
        .arg(clients().join("c").join(format!("{name}.c")))
        .args(["-lzookeeper_mt", "-lpthread"]);
    compile(&mut command);
    program
}

fn compile(command: &mut Command) {
    std::fs::create_dir_all(cache()).expect("the cache folder");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed (is its package installed?):\n{said}");
}

fn sources(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(clients().join(folder)).expect("the folder of a client");
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn clients() -> PathBuf {
    grovekeeper::workspace_root().join("integration/clients")
}

/// Where `integration/run` puts what it installs for the tests.
fn cache() -> PathBuf {
    grovekeeper::workspace_root().join("integration/.cache")
}
