//! Network namespaces: each server on a machine of its own, as far as the network can tell.
//!
//! The proxy breaks connections; here packets vanish. A server that is unplugged hears nothing and
//! is told nothing: no reset, no end of a connection, no unreachable host. What was sent is sent
//! again by TCP until somebody gives up.
//!
//! ```text
//! the test ── veth ── server 1 ── veth ── hub (a bridge)      clients always reach the servers,
//!          ── veth ── server 2 ── veth ──                     servers reach each other through
//!          ── veth ── server 3 ── veth ──                     the hub
//! ```

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What all names of the harness begin with; the number of the process follows.
const PREFIX: &str = "gkt";

/// Namespaces that a process may make, and addresses in each lot of them.
const LOTS: u32 = 16;

/// The second number of a server's address among its peers after it has moved, added to the first.
const MOVED: u8 = 100;

/// A lot of namespaces, one for each server and one for the hub; gone when dropped.
#[derive(Debug)]
pub struct Namespaces {
    /// What the names of this lot begin with.
    lot: String,
    /// The first of its addresses for clients.
    first: u32,
    servers: usize,
}

impl Namespaces {
    /// Makes them for so many servers; `None`, with a line that says so, for who may not.
    ///
    /// # Panics
    ///
    /// Where they cannot be made although `GROVEKEEPER_MUST_NAMESPACE` says that they must.
    #[must_use]
    pub fn make(servers: usize) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        sweep();
        let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed) % LOTS);
        // Addresses that are kept for measuring networks: nobody's machine has one.
        let first =
            u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (((process * LOTS + number) & 0x1fff) << 4);
        let made = Self { lot: format!("{PREFIX}{process}{}", letter(number)), first, servers };
        match made.build() {
            Ok(()) => Some(made),
            Err(why) => {
                let must = std::env::var_os("GROVEKEEPER_MUST_NAMESPACE").is_some();
                assert!(!must, "network namespaces must be made here, and cannot be: {why}");
                say(&format!("left out, as network namespaces cannot be made here: {why}"));
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.hub();
        run(&format!("ip netns add {hub}"))?;
        run(&format!("ip -n {hub} link add hub type bridge"))?;
        run(&format!("ip -n {hub} link set hub up"))?;
        (0..self.servers).try_for_each(|server| {
            let (name, wire) = (self.name(server), self.wire(server));
            let (port, [outside, inside]) = (port(server), self.client_net(server));
            let peers = self.peer_addr(server);
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip -n {name} link set lo up"))?;
            // To the other servers.
            run(&format!("ip -n {hub} link add {port} type veth peer name peers netns {name}"))?;
            run(&format!("ip -n {hub} link set {port} master hub up"))?;
            run(&format!("ip -n {name} addr add {peers}/24 dev peers"))?;
            run(&format!("ip -n {name} link set peers up"))?;
            // To the test.
            run(&format!("ip link add {wire} type veth peer name clients netns {name}"))?;
            run(&format!("ip addr add {outside}/30 dev {wire}"))?;
            run(&format!("ip link set {wire} up"))?;
            run(&format!("ip -n {name} addr add {inside}/30 dev clients"))?;
            run(&format!("ip -n {name} link set clients up"))
        })
    }

    /// Where clients reach a server.
    #[must_use]
    pub fn client_addr(&self, server: usize) -> Ipv4Addr {
        self.client_net(server)[1]
    }

    /// Where the other servers reach it at first.
    #[must_use]
    pub fn peer_addr(&self, server: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, u8::try_from(server + 1).unwrap_or(u8::MAX))
    }

    /// The command that runs a program where the server is.
    #[must_use]
    pub fn command(&self, server: usize, program: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(server)]);
        command.arg(program.get_program()).args(program.get_args());
        command
    }

    /// Takes a server off the hub: from now on nothing passes between it and the others, silently.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn unplug(&self, server: usize) {
        run(&format!("ip -n {} link set {} nomaster", self.hub(), port(server)))
            .expect("unplugged");
    }

    /// Connects a server to the others again.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn plug(&self, server: usize) {
        run(&format!("ip -n {} link set {} master hub", self.hub(), port(server)))
            .expect("plugged");
    }

    /// Gives a server another address among its peers, and returns it.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn move_away(&self, server: usize) -> Ipv4Addr {
        let (name, old) = (self.name(server), self.peer_addr(server));
        let [a, b, c, d] = old.octets();
        let new = Ipv4Addr::new(a, b, c, d + MOVED);
        run(&format!("ip -n {name} addr del {old}/24 dev peers")).expect("the old address goes");
        run(&format!("ip -n {name} addr add {new}/24 dev peers")).expect("the new address comes");
        new
    }

    /// Sets what host names mean to all servers, from their next look-up on.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn set_hosts(&self, hosts: &[(String, Ipv4Addr)]) {
        let mut text = String::from("127.0.0.1 localhost\n");
        for (name, addr) in hosts {
            text += &format!("{addr} {name}\n");
        }
        for server in 0..self.servers {
            let folder = etc(&self.name(server));
            std::fs::create_dir_all(&folder).expect("the folder of a namespace");
            // The file that is there stays the same one: it is mounted over the system's.
            std::fs::write(folder.join("hosts"), &text).expect("the names of hosts");
        }
    }

    fn hub(&self) -> String {
        format!("{}hub", self.lot)
    }

    fn name(&self, server: usize) -> String {
        format!("{}{}", self.lot, server + 1)
    }

    /// The test's end of the way to a server.
    fn wire(&self, server: usize) -> String {
        format!("{}w{}", self.lot, server + 1)
    }

    /// The test's address and the server's.
    fn client_net(&self, server: usize) -> [Ipv4Addr; 2] {
        let base = self.first + 4 * u32::try_from(server).unwrap_or(0);
        [1, 2].map(|host| Ipv4Addr::from(base + host))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // What was not made cannot be removed. A namespace lives on, without a name, for as long as
        // its last connections do: the wires are not to wait for that.
        for server in 0..self.servers {
            let _ = run(&format!("ip link del {}", self.wire(server)));
            remove(&self.name(server));
        }
        remove(&self.hub());
    }
}

fn letter(number: u32) -> char {
    char::from_digit(number + 10, 36).unwrap_or('z')
}

/// The hub's end of the way to a server.
fn port(server: usize) -> String {
    format!("port{}", server + 1)
}

fn etc(namespace: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(namespace)
}

fn remove(namespace: &str) {
    let _ = run(&format!("ip netns del {namespace}"));
    let _ = std::fs::remove_dir_all(etc(namespace));
}

/// Removes what test processes that were killed have left behind.
fn sweep() {
    for name in names(&["netns", "list"], 0).into_iter().filter(|name| is_left_behind(name)) {
        remove(&name);
    }
    for wire in names(&["-o", "link", "show", "type", "veth"], 1) {
        let wire = wire.split('@').next().unwrap_or_default();
        if is_left_behind(wire) {
            let _ = run(&format!("ip link del {wire}"));
        }
    }
}

/// The word at a place of each line that `ip` writes.
fn names(words: &[&str], at: usize) -> Vec<String> {
    let listed = Command::new("ip").args(words).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let listed = listed.unwrap_or_default();
    listed.lines().filter_map(|line| Some(line.split_whitespace().nth(at)?.to_owned())).collect()
}

/// Whether a name is one of the harness, of a process that has ended.
fn is_left_behind(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let process = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    process.parse::<u32>().is_ok() && !PathBuf::from("/proc").join(process).exists()
}

/// Runs a command of words; what it said, when it failed.
fn run(words: &str) -> Result<(), String> {
    let mut parts = words.split(' ');
    let program = parts.next().unwrap_or_default();
    let output = Command::new(program).args(parts).output();
    let output = output.map_err(|error| format!("{words}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[expect(clippy::print_stderr, reason = "who reads the output is to know what was not tested")]
fn say(text: &str) {
    eprintln!("{text}");
}
