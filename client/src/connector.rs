//! Making clients: where the servers are and how to treat them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::error::{Error, Fate};
use crate::path::Chroot;
use crate::runtime::{spawn, within};
use crate::session::{Credential, SavedSession, Session, SessionState, Settings, Status};
#[cfg(feature = "tls")]
use crate::transport::Tls;
use crate::transport::{Host, Security, SessionHandle, run};

/// Says how a client is to connect; [`Client::builder`] makes one.
///
/// ```no_run
/// # async fn example() -> Result<(), grovekeeper_client::Error> {
/// use std::time::Duration;
/// use grovekeeper_client::Client;
///
/// let client = Client::builder()
///     .session_timeout(Duration::from_secs(6))
///     .digest_auth("ann", "secret")
///     .connect("zk1:2181,zk2:2181,zk3:2181/my-app")
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    settings: Settings,
    security: Security,
    connect_timeout: Option<Duration>,
    watch_buffer: usize,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            settings: Settings::new(0),
            security: Security::default(),
            connect_timeout: None,
            watch_buffer: 1024,
        }
    }
}

impl Connector {
    /// The session timeout to ask for, 10 s unless set: how long the session outlives its
    /// connection. Servers have limits of their own; [`Status::timeout`] shows what was granted.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long [`connect`](Self::connect) may take, the session timeout unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Authenticates each connection with a scheme of the server's.
    #[must_use]
    pub fn auth(mut self, scheme: &str, auth: impl Into<Bytes>) -> Self {
        let credential = Credential { scheme: scheme.to_owned(), auth: auth.into() };
        self.settings.credentials.push(credential);
        self
    }

    /// Authenticates each connection with a user and a password.
    #[must_use]
    pub fn digest_auth(self, user: &str, password: &str) -> Self {
        self.auth("digest", format!("{user}:{password}"))
    }

    /// Talks TLS with the servers, whose ports for that the connect string names then
    /// (`secureClientPort`). Needs the feature `tls` of this crate.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.security.tls = Some(tls);
        self
    }

    /// Whether a server that has lost its quorum and only answers reads will do; not unless set.
    /// While connected to one the client asks the others, ever more rarely, whether they take
    /// writes, and goes to the first that does.
    #[must_use]
    pub fn allow_read_only(mut self, allow: bool) -> Self {
        self.settings.read_only = allow;
        self
    }

    /// Asks for linearizable reads: each shows all that was acknowledged to anyone before it was
    /// called, whichever server answers. Grovekeeper grants it; with Apache ZooKeeper call
    /// [`Client::sync`] before reads that need it. [`Status::linearizable`] says what was granted.
    #[must_use]
    pub fn linearizable_reads(mut self) -> Self {
        self.settings.linearizable_reads = true;
        self
    }

    /// Looks for the leader, which answers writes soonest: other servers say where it is. Where the
    /// leader is not found within a third of the session timeout any server will do, and a
    /// connection that stands is kept when another server becomes the leader. With Apache ZooKeeper
    /// this has no effect. [`Status::at_leader`] says what came of it.
    #[must_use]
    pub fn prefer_leader(mut self) -> Self {
        self.settings.prefer_leader = true;
        self
    }

    /// Whether changes that a lost connection interrupts are sent again on the next one, where the
    /// servers see to it that each happens once; yes unless set. Grovekeeper's servers do;
    /// with others such changes fail with [`Fate::Unknown`]. [`Status::exactly_once`] says what was
    /// granted.
    #[must_use]
    pub fn exactly_once(mut self, wanted: bool) -> Self {
        self.settings.exactly_once = wanted;
        self
    }

    /// Whether to ask servers in the handshake for what Grovekeeper has beyond ZooKeeper's
    /// protocol; yes unless set. Apache ZooKeeper takes no notice of it. A server that refuses
    /// clients which ask for a version of the protocol that it does not know is to be asked for
    /// nothing.
    #[must_use]
    pub fn extensions(mut self, wanted: bool) -> Self {
        self.settings.extensions = wanted;
        self
    }

    /// Whether to try the servers in random order, so that clients spread; yes unless set.
    #[must_use]
    pub fn shuffle_hosts(mut self, shuffle: bool) -> Self {
        self.settings.shuffle = shuffle;
        self
    }

    /// The longest pause between two rounds of trying all servers, 2 s unless set. The first is
    /// 50 ms; it doubles with each round, less a random part.
    #[must_use]
    pub fn max_backoff(mut self, pause: Duration) -> Self {
        self.settings.backoff_max = pause;
        self
    }

    /// Keeps the session when the client is dropped or closed: it lives on for its timeout, and
    /// [`resume`](Self::resume) takes it up again.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.settings.detached = true;
        self
    }

    /// Takes up a session that an earlier client left behind, see [`Client::save_session`].
    #[must_use]
    pub fn resume(mut self, session: SavedSession) -> Self {
        self.settings.resume = Some(session);
        self
    }

    /// Ends the client when its session is lost. Unless this is set, a new session follows the lost
    /// one and [`Status::generation`] grows.
    #[must_use]
    pub fn single_session(mut self) -> Self {
        self.settings.renew = false;
        self
    }

    /// How many requests, and how many bytes of them, may wait for their answers: 16,384 and 64 MiB
    /// unless set. Calls beyond that fail with [`Error::Busy`] and are not sent.
    #[must_use]
    pub fn max_outstanding(mut self, requests: usize, bytes: usize) -> Self {
        self.settings.outstanding_max = requests;
        self.settings.outstanding_bytes_max = bytes;
        self
    }

    /// The longest request in bytes, 1,048,575 unless set: the servers' `jute.maxbuffer`. A server
    /// ends the connection when it gets a longer one, so the client does not send it.
    #[must_use]
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.settings.request_max = bytes;
        self
    }

    /// The longest answer in bytes that is taken, 128 MiB unless set.
    #[must_use]
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.settings.response_max = bytes;
        self
    }

    /// How many events a [`WatchStream`](crate::WatchStream) keeps for a reader that is behind,
    /// 1024 unless set. Beyond that it gives them up and reports a gap.
    #[must_use]
    pub fn watch_buffer(mut self, events: usize) -> Self {
        self.watch_buffer = events.max(1);
        self
    }

    /// Connects to one of `servers`: `host:port` separated by commas, where the port may be left
    /// out (2181), and a path behind the last that becomes the client's root.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConnectString`]; [`Error::Unreachable`] where no server was reached in time;
    /// [`Error::SessionLost`] where the session to resume is over; [`Error::AuthFailed`].
    pub async fn connect(mut self, servers: &str) -> Result<Client, Error> {
        let (hosts, chroot) = parse(servers)?;
        let seed = crate::random::draw();
        self.settings.hosts = hosts.len();
        self.settings.seed = seed;
        let patience = self.connect_timeout.unwrap_or(self.settings.timeout);
        let session = Session::new(self.settings);
        let handle = Arc::new(SessionHandle::new(session, self.watch_buffer));
        let driver = spawn(run(Arc::clone(&handle), hosts, self.security, seed));
        let client = Client::new(handle, driver, chroot);
        let mut status = client.status();
        let settled = status.wait_for(|status| outcome(status).is_some());
        match within(patience, settled).await {
            Some(Ok(status)) => outcome(&status).unwrap_or(Ok(())),
            Some(Err(_)) => Err(Error::Closed { fate: Fate::NotApplied }),
            None => Err(Error::Unreachable),
        }?;
        Ok(client)
    }
}

/// How an attempt to connect ended, if it has.
fn outcome(status: &Status) -> Option<Result<(), Error>> {
    let fate = Fate::NotApplied;
    if status.generation > 0 {
        return Some(Err(Error::SessionLost { fate }));
    }
    match status.state {
        SessionState::Connecting | SessionState::Suspended => None,
        SessionState::Connected | SessionState::ReadOnly => Some(Ok(())),
        SessionState::Overdue => Some(Err(Error::Unreachable)),
        SessionState::Lost => Some(Err(Error::SessionLost { fate })),
        SessionState::AuthFailed => Some(Err(Error::AuthFailed)),
        SessionState::Closed => Some(Err(Error::Closed { fate })),
    }
}

/// Takes a list of servers apart.
fn parse(text: &str) -> Result<(Vec<Host>, Chroot), Error> {
    let invalid = |why| Error::InvalidConnectString { text: text.to_owned(), why };
    let (servers, chroot) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, "/"),
    };
    let chroot =
        Chroot::default().join(chroot).map_err(|_| invalid("has a path that ends with a slash"))?;
    let mut hosts = Vec::new();
    for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        hosts.push(
            Host::parse(server).ok_or_else(|| invalid("has an entry that is not host:port"))?,
        );
    }
    if hosts.is_empty() {
        return Err(invalid("names no server"));
    }
    Ok((hosts, chroot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_servers_names_hosts_ports_and_a_root() {
        // The forms that ZooKeeper's own clients take.
        let hosts = |text: &str| {
            let (hosts, chroot) = parse(text).expect("valid");
            let hosts: Vec<String> =
                hosts.iter().map(|host| format!("{} {}", host.name, host.port)).collect();
            (hosts.join(", "), chroot.to_server("/x").expect("valid").into_owned())
        };
        assert_eq!(hosts("a"), ("a 2181".to_owned(), "/x".to_owned()));
        assert_eq!(hosts("a:1, b:2/app"), ("a 1, b 2".to_owned(), "/app/x".to_owned()));
        assert_eq!(hosts("[::1]:7,[::2]/"), ("::1 7, ::2 2181".to_owned(), "/x".to_owned()));
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        // The error names the list, so that it can be found in a configuration.
        for text in ["", "/app", "a:x", "a:70000", "[::1", "[::1]7", "a/app/", ":1"] {
            let refused = parse(text).map(drop);
            assert!(matches!(refused, Err(Error::InvalidConnectString { .. })), "{text}");
        }
    }
}
