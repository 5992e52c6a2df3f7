//! Connecting to peers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::complaints::Complaints;
use super::hello::{Hello, Own, Purpose, Versions, greet};
use super::stream::{PeerStream, Transport};

/// How long connecting and greeting may take, unless said otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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
    versions: Versions,
    complaints: Arc<Mutex<Complaints<u64>>>,
}

impl Dialer {
    /// Connects as `own`, to the addresses of the book where it has them.
    pub(in crate::consensus) fn new(own: impl Into<Own>, book: AddressBook) -> Self {
        let complaints = Arc::default();
        Self { own: own.into(), book, limit: CONNECT_TIMEOUT, versions: Versions::OWN, complaints }
    }

    /// Connects to a server and greets it. `address` is host and port where the address book has
    /// none; a host name is looked up anew each time.
    ///
    /// # Errors
    ///
    /// What the system says; `TimedOut` after the connect timeout; `PermissionDenied` with the
    /// reason when the other server refuses this one, which is also said in the log.
    pub(in crate::consensus) async fn dial(
        &self,
        target: u64,
        address: &str,
        purpose: Purpose,
    ) -> io::Result<PeerStream> {
        let known = self.book.get(target);
        let address = known.as_deref().unwrap_or(address);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it cannot be connected in time");
        let connected = timeout(self.limit, self.connect(target, address, purpose))
            .await
            .unwrap_or_else(|_| Err(late()));
        match &connected {
            Ok(_) => self.complaints.lock().forget(&target),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if self.complaints.lock().is_new(target, &error.to_string()) {
                    tracing::warn!("server {target} at {address} refuses this one: {error}");
                }
            }
            Err(_) => {}
        }
        connected
    }

    async fn connect(
        &self,
        target: u64,
        address: &str,
        purpose: Purpose,
    ) -> io::Result<PeerStream> {
        let stream = TcpStream::connect(address).await?;
        // Latency matters more than the number of packets.
        stream.set_nodelay(true)?;
        let mut transport = Transport::Plain(stream);
        let hello = Hello::new(self.versions, purpose, self.own.membership(), target);
        let agreed = greet(&mut transport, &hello).await?;
        Ok(PeerStream::new(transport, agreed.version))
    }
}
