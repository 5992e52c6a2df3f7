//! Connecting to peers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;

use super::super::leadership::timings::Timings;
use super::address_book::AddressBook;
use super::handshake::hello::Hello;
use super::handshake::hello::LocalIdentity;
use super::handshake::hello::Purpose;
use super::handshake::hello::send_hello;
use super::handshake::secret::HandshakeParties;
use super::handshake::start_proof;
use super::security::Security;
use super::stream::PeerStream;
use super::stream::prepare;
use crate::env::net::{TcpStream, lookup_host};
use crate::env::time::timeout;
use crate::telemetry::RateLimitedLog;

/// Connects to peers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    own: LocalIdentity,
    book: AddressBook,
    timings: Timings,
    security: Security,
    rate_limited_log: Arc<Mutex<RateLimitedLog<u64>>>,
}

impl Dialer {
    /// Connects as `own`, to the addresses of the book where it has them.
    pub(crate) fn new(
        own: impl Into<LocalIdentity>,
        book: AddressBook,
        security: Security,
    ) -> Self {
        let (own, timings) = (own.into(), Timings::default());
        Self { own, book, timings, security, rate_limited_log: Arc::default() }
    }

    /// Waits as long for the others as these timings need.
    pub(crate) fn with_timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// How long what a peer answers keeps the lead.
    pub(super) fn lease(&self) -> Duration {
        self.timings.lease()
    }

    /// How long things may take.
    pub(super) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Where servers are known to be.
    pub(crate) fn book(&self) -> &AddressBook {
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
    pub(crate) async fn dial(
        &self,
        target: u64,
        address: &str,
        purpose: Purpose,
    ) -> io::Result<PeerStream> {
        let mut attempt = self.book.choose(MemberId::number_of(target), address);
        let address = attempt.address.clone();
        let address = address.as_str();
        let connect = async {
            let stream = self.reach(address).await?;
            prepare(&stream)?;
            let met = self.meet(stream, target, address, purpose).await;
            self.say(target, address, met.as_ref().err());
            attempt.worked = met.is_ok();
            met
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it cannot be connected in time");
        let limit = self.timings.connect_within();
        timeout(limit, connect).await.unwrap_or_else(|_| Err(late()))
    }

    /// The newest version that this server and all of `others` can read.
    pub(crate) fn common_version(&self, others: impl Iterator<Item = u64>) -> u16 {
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
        let (own, versions) = (self.own.identity(), &self.own.versions);
        let hello = Hello::new(versions.own(), purpose, own, target);
        let agreed = send_hello(&mut transport, &hello).await?;
        // A server that is asked about its ensemble may be of any life.
        let peer = (purpose != Purpose::Bootstrap).then_some(MemberId::from_raft_id(target));
        if peer.is_some() {
            versions.learn(target, agreed.newest);
        }
        let fits = self.own.starts.check_version(agreed.version);
        fits.map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))?;
        if agreed.version >= start_proof::SINCE {
            let (dialler, acceptor) = (self.own.member.raft_id(), MemberId::number_of(target));
            let parties = HandshakeParties { dialler, acceptor, purpose, dials: true };
            self.own.starts.exchange(&mut transport, peer, &parties).await?;
        }
        Ok(PeerStream::new(transport, agreed.version))
    }

    /// Connects to the first address of a host that answers.
    async fn reach(&self, address: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        let limit = self.timings.reach_within();
        for addr in lookup_host(address).await? {
            match timeout(limit, TcpStream::connect(addr)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Says in the log what is wrong with a server that is there.
    fn say(&self, target: u64, address: &str, error: Option<&io::Error>) {
        let mut rate_limited_log = self.rate_limited_log.lock();
        let Some(error) = error else { return rate_limited_log.forget(&target) };
        if rate_limited_log.should_log(target, &error.to_string()) {
            let refuses = error.kind() == io::ErrorKind::PermissionDenied;
            let what = if refuses { "refuses this one" } else { "cannot be talked to" };
            let server = MemberId::from_raft_id(target);
            tracing::warn!("server {server} at {address} {what}: {error}");
        }
    }
}
