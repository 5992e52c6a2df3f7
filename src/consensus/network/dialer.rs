//! Connecting to peers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address_book::AddressBook;
use super::hello::{Hello, Own, Purpose, greet};
use super::introduction;
use super::secret::Meeting;
use super::security::Security;
use super::stream::{PeerStream, prepare};
use crate::ensemble::MemberId;
use crate::telemetry::Complaints;

/// How long connecting and greeting may take, unless said otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one address may take to answer at all: a server that comes back is soon tried again.
const REACH_TIMEOUT: Duration = Duration::from_millis(500);

/// Connects to peers. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct Dialer {
    own: Own,
    book: AddressBook,
    limit: Duration,
    security: Security,
    complaints: Arc<Mutex<Complaints<u64>>>,
}

impl Dialer {
    /// Connects as `own`, to the addresses of the book where it has them.
    pub(in crate::consensus) fn new(
        own: impl Into<Own>,
        book: AddressBook,
        security: Security,
    ) -> Self {
        let (own, limit) = (own.into(), CONNECT_TIMEOUT);
        Self { own, book, limit, security, complaints: Arc::default() }
    }

    /// Where servers are known to be.
    pub(in crate::consensus) fn book(&self) -> &AddressBook {
        &self.book
    }

    /// Connects to a member and greets it. `address` is host and port where the address book has
    /// no better; a host name is looked up anew each time.
    ///
    /// # Errors
    ///
    /// What the system says; `TimedOut` after the connect timeout; `PermissionDenied` with the
    /// reason when the other server refuses this one. What goes wrong with a server that is there
    /// is also said in the log.
    pub(in crate::consensus) async fn dial(
        &self,
        target: u64,
        address: &str,
        purpose: Purpose,
    ) -> io::Result<PeerStream> {
        let mut attempt = self.book.choose(MemberId::number_of(target), address);
        let address = attempt.address.clone();
        let address = address.as_str();
        let connect = async {
            let stream = reach(address).await?;
            prepare(&stream)?;
            let met = self.meet(stream, target, address, purpose).await;
            self.say(target, address, met.as_ref().err());
            attempt.worked = met.is_ok();
            met
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it cannot be connected in time");
        timeout(self.limit, connect).await.unwrap_or_else(|_| Err(late()))
    }

    /// The newest version that this server and all of `others` can read.
    pub(in crate::consensus) fn common_version(&self, others: impl Iterator<Item = u64>) -> u16 {
        self.own.versions.common(others)
    }

    async fn meet(
        &self,
        stream: TcpStream,
        target: u64,
        address: &str,
        purpose: Purpose,
    ) -> io::Result<PeerStream> {
        let mut transport = self.security.open(stream, address).await?;
        let (own, versions) = (self.own.membership(), &self.own.versions);
        let hello = Hello::new(versions.own(), purpose, own, target);
        let agreed = greet(&mut transport, &hello).await?;
        // Whoever is asked about its ensemble may be of any life.
        let peer = (purpose != Purpose::Formation).then_some(MemberId::from_raft_id(target));
        if peer.is_some() {
            versions.learn(target, agreed.newest);
        }
        let fits = self.own.starts.check_version(agreed.version);
        fits.map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))?;
        if agreed.version >= introduction::SINCE {
            let (dialler, acceptor) = (self.own.member.raft_id(), MemberId::number_of(target));
            let meeting = Meeting { dialler, acceptor, purpose, dials: true };
            self.own.starts.exchange(&mut transport, peer, &meeting).await?;
        }
        Ok(PeerStream::new(transport, agreed.version))
    }

    /// Says in the log what is wrong with a server that is there.
    fn say(&self, target: u64, address: &str, error: Option<&io::Error>) {
        let mut complaints = self.complaints.lock();
        let Some(error) = error else { return complaints.forget(&target) };
        if complaints.is_new(target, &error.to_string()) {
            let refuses = error.kind() == io::ErrorKind::PermissionDenied;
            let what = if refuses { "refuses this one" } else { "cannot be talked to" };
            let server = MemberId::from_raft_id(target);
            tracing::warn!("server {server} at {address} {what}: {error}");
        }
    }
}

/// Connects to the first address of a host that answers.
async fn reach(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for addr in lookup_host(address).await? {
        match timeout(REACH_TIMEOUT, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
