//! Connecting to peers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::complaints::Complaints;
use super::hello::{Hello, Own, Purpose, greet};
use super::security::Security;
use super::stream::{PeerStream, prepare};

/// How long connecting and greeting may take, unless said otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one address may take to answer at all: a server that comes back is soon tried again.
const REACH_TIMEOUT: Duration = Duration::from_millis(500);

/// Where servers are reached. Cheap to clone; all clones are one book.
///
/// An address in it goes before the one in the replicated configuration: a peer that moved is
/// found before the ensemble is told.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    addresses: Arc<RwLock<BTreeMap<u64, String>>>,
}

impl AddressBook {
    /// Host and port of a server.
    pub fn get(&self, server: u64) -> Option<String> {
        self.addresses.read().get(&server).cloned()
    }

    /// Sets host and port of a server, for all connections made from now on.
    pub fn set(&self, server: u64, address: String) {
        self.addresses.write().insert(server, address);
    }
}

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

    /// Connects to a server and greets it. `address` is host and port where the address book has
    /// none; a host name is looked up anew each time.
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
        let known = self.book.get(target);
        let address = known.as_deref().unwrap_or(address);
        let connect = async {
            let stream = reach(address).await?;
            prepare(&stream)?;
            let met = self.meet(stream, target, address, purpose).await;
            self.say(target, address, met.as_ref().err());
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
        versions.learn(target, agreed.newest);
        Ok(PeerStream::new(transport, agreed.version))
    }

    /// Says in the log what is wrong with a server that is there.
    fn say(&self, target: u64, address: &str, error: Option<&io::Error>) {
        let mut complaints = self.complaints.lock();
        let Some(error) = error else { return complaints.forget(&target) };
        if complaints.is_new(target, &error.to_string()) {
            let refuses = error.kind() == io::ErrorKind::PermissionDenied;
            let what = if refuses { "refuses this one" } else { "cannot be talked to" };
            tracing::warn!("server {target} at {address} {what}: {error}");
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
