//! The servers of an ensemble, started, broken and watched.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;

use super::member::{Member, PeerPorts, Seen};
use super::{EnsembleOptions, Mode};
use crate::{Kind, Namespaces, four_letter, free_port, within};
use proxy::Network;

/// How long an ensemble may take until it serves, on a machine with much else to do.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// The lines of each server's log that a failing test shows.
const LOG_LINES: usize = 30;

/// Servers that were configured to be one ensemble; dropping it kills them.
#[derive(Debug)]
pub struct Ensemble {
    // The processes go before what `options` has of the place where they run.
    members: Vec<Member>,
    options: EnsembleOptions,
    network: Option<Network>,
    root: PathBuf,
    /// Removes the folder with the ensemble.
    _temporary: Option<TempDir>,
}

impl Ensemble {
    pub(super) fn new(options: EnsembleOptions) -> Self {
        let temporary = match options.folder {
            Some(_) => None,
            None => Some(tempfile::tempdir().expect("a temporary folder")),
        };
        let given = options.folder.as_deref();
        let root = given.or(temporary.as_ref().map(TempDir::path)).expect("one of both").to_owned();
        let members = (0..options.servers)
            .map(|server| {
                let namespaces = options.namespaces.as_ref();
                let addr = namespaces.map(|namespaces| namespaces.client_addr(server));
                let folder = root.join(format!("server-{}", server + 1));
                Member::new(folder, addr.unwrap_or(Ipv4Addr::LOCALHOST))
            })
            .collect();
        let network = options.proxied.then(|| Network::new(options.servers));
        let ensemble = Self { options, members, network, root, _temporary: temporary };
        ensemble.write_files();
        if let Some(namespaces) = &ensemble.options.namespaces {
            let host = |server| (ensemble.host(server), namespaces.peer_addr(server));
            namespaces.set_hosts(&ensemble.servers().map(host).collect::<Vec<_>>());
        }
        ensemble
    }

    /// The host at which the others are told that a server is.
    #[must_use]
    pub fn host(&self, server: usize) -> String {
        match self.options.namespaces {
            Some(_) => format!("server-{}.test", server + 1),
            None => Ipv4Addr::LOCALHOST.to_string(),
        }
    }

    /// The namespaces of the servers.
    ///
    /// # Panics
    ///
    /// When the ensemble was started without them.
    #[must_use]
    pub fn namespaces(&self) -> &Namespaces {
        self.options.namespaces.as_ref().expect("an ensemble in namespaces")
    }

    fn write_files(&self) {
        let all: Vec<usize> = self.servers().collect();
        for server in self.servers() {
            self.list(server, &all, &[]);
        }
    }

    /// Writes the configuration of a server anew: it lists these servers, some of them as observers.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn list(&self, server: usize, listed: &[usize], observers: &[usize]) {
        let seen: Vec<Seen> =
            listed.iter().map(|to| self.seen(server, *to, observers.contains(to))).collect();
        self.members[server].write_files(&self.options, self.options.numbers[server], &seen);
    }

    /// The line `server.N` of a server.
    #[must_use]
    pub fn line(&self, server: usize, observer: bool) -> String {
        self.seen(server, server, observer).line()
    }

    fn seen(&self, from: usize, to: usize, observer: bool) -> Seen {
        let (ports, client) = (self.ports_between(from, to), self.members[to].client);
        Seen { id: self.options.numbers[to], host: self.host(to), ports, client, observer }
    }

    /// Gives a server that does not run other ports for the other servers; nobody is told.
    pub fn move_away(&mut self, server: usize) {
        self.members[server].ports = PeerPorts { first: free_port(), second: free_port() };
    }

    /// The ports under which server `from` reaches server `to`.
    fn ports_between(&self, from: usize, to: usize) -> PeerPorts {
        let real = self.members[to].ports;
        let Some(network) = self.network.as_ref().filter(|_| from != to) else { return real };
        let second = match self.options.kind {
            Kind::Grovekeeper => real.second,
            Kind::ZooKeeper => network.open(from, to, real.second),
        };
        PeerPorts { first: network.open(from, to, real.first), second }
    }

    /// Which servers these are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.options.kind
    }

    /// The numbers of the servers.
    #[must_use]
    pub fn servers(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    /// Where a server listens for clients.
    #[must_use]
    pub fn addr(&self, server: usize) -> SocketAddr {
        self.members[server].client
    }

    /// Where all servers listen for clients, in their order.
    #[must_use]
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.client).collect()
    }

    /// All addresses as clients are given them.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let addrs: Vec<String> = self.addrs().iter().map(SocketAddr::to_string).collect();
        addrs.join(",")
    }

    /// The network between the servers.
    ///
    /// # Panics
    ///
    /// When the ensemble was started without one.
    #[must_use]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("an ensemble that is proxied")
    }

    /// Where everything of the servers lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one server: configuration, log and data.
    #[must_use]
    pub fn folder(&self, server: usize) -> &Path {
        self.members[server].folder()
    }

    /// Starts a server without waiting for anything.
    ///
    /// # Panics
    ///
    /// When it runs already.
    pub fn start(&mut self, server: usize) {
        self.start_with(server, &[]);
    }

    /// Starts a server with these arguments behind those that name its configuration; for Grovekeeper.
    ///
    /// # Panics
    ///
    /// When it runs already.
    pub fn start_with(&mut self, server: usize, arguments: &[&str]) {
        self.members[server].start(&self.options, server, arguments);
    }

    /// Kills a server as `kill -9` does.
    pub fn kill(&mut self, server: usize) {
        if let Some(mut process) = self.members[server].process.take() {
            process.kill();
        }
        self.members[server].paused = false;
    }

    /// Asks a server to stop (SIGTERM) and waits for its end; `None` when it does not run.
    pub fn stop(&mut self, server: usize) -> Option<ExitStatus> {
        self.unpause(server);
        let mut process = self.members[server].process.take()?;
        Some(process.terminate())
    }

    /// Kills a server and takes everything away that it has stored, except its id.
    ///
    /// # Panics
    ///
    /// When the files cannot be removed.
    pub fn wipe(&mut self, server: usize) {
        self.kill(server);
        let folder = self.members[server].data_dir();
        let entries = std::fs::read_dir(&folder).expect("the data folder");
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                std::fs::remove_dir_all(&path).expect("a folder of the server is removed");
            } else if !path.ends_with("myid") {
                std::fs::remove_file(&path).expect("a file of the server is removed");
            }
        }
    }

    /// Lets a server hang (SIGSTOP).
    pub fn pause(&mut self, server: usize) {
        let member = &mut self.members[server];
        if let Some(process) = &member.process {
            process.pause();
            member.paused = true;
        }
    }

    /// Lets a hanging server go on (SIGCONT).
    pub fn unpause(&mut self, server: usize) {
        let member = &mut self.members[server];
        if let Some(process) = &member.process {
            process.unpause();
        }
        member.paused = false;
    }

    /// Whether the server's process was started, and neither killed nor stopped since.
    #[must_use]
    pub fn started(&self, server: usize) -> bool {
        self.members[server].process.is_some()
    }

    /// Whether the server hangs.
    #[must_use]
    pub fn paused(&self, server: usize) -> bool {
        self.members[server].paused
    }

    /// The most memory that a server's process has held so far, in KiB.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[must_use]
    pub fn peak_kib(&self, server: usize) -> u64 {
        self.members[server].process.as_ref().expect("a server that runs").peak_kib()
    }

    /// The servers whose processes ended by themselves, and how.
    pub fn ended(&mut self) -> Vec<(usize, ExitStatus)> {
        let members = self.members.iter_mut().enumerate();
        members.filter_map(|(at, member)| Some((at, member.process.as_mut()?.exited()?))).collect()
    }

    /// What a server says it is; `None` when it does not serve.
    #[must_use]
    pub fn mode(&self, server: usize) -> Option<Mode> {
        let member = &self.members[server];
        if member.process.is_none() || member.paused {
            return None;
        }
        Mode::ask(member.client)
    }

    /// The server that says it leads, if there is one; with a partition there may be two who do.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.servers().find(|server| self.mode(*server) == Some(Mode::Leader))
    }

    /// Waits until a server says that it leads.
    ///
    /// # Panics
    ///
    /// When none does in time.
    #[must_use]
    pub fn wait_for_leader(&self) -> usize {
        within(START_PATIENCE, "a server leads", || self.leader())
    }

    /// Waits until a server other than `old` says that it leads.
    ///
    /// # Panics
    ///
    /// When none does in time.
    #[must_use]
    pub fn wait_for_leader_but(&self, old: usize) -> usize {
        within(START_PATIENCE, "another server leads", || {
            self.servers().find(|server| *server != old && self.mode(*server) == Some(Mode::Leader))
        })
    }

    /// Waits until each server serves and one of them leads.
    ///
    /// # Panics
    ///
    /// When they do not in time, or one of them ends.
    pub fn wait_until_all_serve(&mut self) {
        within(START_PATIENCE, "all servers serve and one leads", || {
            if let Some((server, status)) = self.ended().first() {
                panic!("server {} ended by itself: {status}", server + 1);
            }
            self.all_serve().then_some(())
        });
    }

    /// Whether each server serves and exactly one leads.
    #[must_use]
    pub fn all_serve(&self) -> bool {
        let modes: Vec<Option<Mode>> = self.servers().map(|server| self.mode(server)).collect();
        let leaders = modes.iter().filter(|mode| **mode == Some(Mode::Leader)).count();
        let alone = modes.len() == 1 && modes[0] == Some(Mode::Standalone);
        modes.iter().all(Option::is_some) && (leaders == 1 || alone)
    }

    /// A value of a server's `mntr` answer.
    #[must_use]
    pub fn metric(&self, server: usize, name: &str) -> Option<String> {
        let answer = four_letter::ask_within(self.addr(server), "mntr", Duration::from_secs(5))?;
        answer.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    }

    /// Where a Grovekeeper server listens for the others.
    #[must_use]
    pub fn peer_addr(&self, server: usize) -> SocketAddr {
        SocketAddr::new(self.addr(server).ip(), self.members[server].ports.first)
    }

    /// Memory that a server's process holds, in MiB.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[must_use]
    pub fn memory_mib(&self, server: usize) -> u64 {
        let process = self.members[server].process.as_ref().expect("a server that runs");
        process.resident_kib() / 1024
    }

    /// Everything that a server logged, over all its starts.
    #[must_use]
    pub fn log(&self, server: usize) -> String {
        self.members[server].log()
    }

    /// The last lines of each server's log.
    #[must_use]
    pub fn last_logs(&self) -> String {
        let mut text = String::new();
        for (at, member) in self.members.iter().enumerate() {
            let log = member.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            text += &format!("--- last lines of server {}'s log ---\n{tail}\n", at + 1);
        }
        text + "---"
    }
}

impl Drop for Ensemble {
    /// Shows the end of each server's log when a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.last_logs());
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test's output is for the person who reads it")]
fn report(text: &str) {
    eprintln!("{text}");
}
