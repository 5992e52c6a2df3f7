//! Connecting to peers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::super::start::Timings;
use super::hello::{Hello, Own, Purpose, greet};
use super::security::Security;
use super::stream::{PeerStream, prepare};
use crate::telemetry::Complaints;

/// How long connecting and greeting may take; longer where servers are far apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one address may take to answer at all: a server that comes back is soon tried again. Longer where
/// servers are far apart.
const REACH_TIMEOUT: Duration = Duration::from_millis(500);

/// Where servers are reached. Cheap to clone; all clones are one book.
///
/// Three sources may differ: this server's own file, what the members agreed on by `reconfig`, and
/// what the consensus notes of each server. The newest cannot be told from the texts, so their order
/// only says which is tried first: what was agreed on, if anything was, then the file, then the
/// note. An address that fails makes way for the next one. A wrong one does no harm, as the server that is
/// found there is asked who it is.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    pages: Arc<RwLock<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    agreed: BTreeMap<u64, String>,
    own: BTreeMap<u64, String>,
    /// How many addresses of a server failed so far, one after the other.
    failures: BTreeMap<u64, usize>,
    /// No other address is tried where the file has one.
    own_only: bool,
}

impl AddressBook {
    /// Host and port of a server, as far as this server or the members know.
    pub fn get(&self, server: u64) -> Option<String> {
        let pages = self.pages.read();
        pages.agreed.get(&server).or_else(|| pages.own.get(&server)).cloned()
    }

    /// Sets host and port of a server as this server's own file has them, for all connections made
    /// from now on.
    pub fn set(&self, server: u64, address: String) {
        self.pages.write().own.insert(server, address);
    }

    /// Tries no other address of a server than the one in this server's own file.
    pub fn own_only(&self) {
        self.pages.write().own_only = true;
    }

    /// Sets what the members agreed on, for all connections made from now on.
    pub fn agree(&self, addresses: BTreeMap<u64, String>) {
        self.pages.write().agreed = addresses;
    }

    /// The address to try next; `noted` is the one in the replicated configuration.
    fn choose(&self, server: u64, noted: &str) -> Attempt {
        let pages = self.pages.read();
        let (agreed, own) = (pages.agreed.get(&server), pages.own.get(&server));
        let (agreed, noted) = match own {
            Some(own) if pages.own_only => (None, own.as_str()),
            Some(_) | None => (agreed, noted),
        };
        let known = agreed.into_iter().chain(own).map(String::as_str).chain([noted]);
        let mut choices: Vec<&str> = Vec::new();
        for address in known.filter(|address| !address.is_empty()) {
            if !choices.contains(&address) {
                choices.push(address);
            }
        }
        let failures = pages.failures.get(&server).copied().unwrap_or(0);
        let chosen = choices.get(failures % choices.len().max(1));
        let address = chosen.copied().unwrap_or_default().to_owned();
        Attempt { book: self.clone(), server, address, failures, worked: false }
    }
}

/// An address that is being tried. Dropped without success, be it for want of patience, it makes way
/// for the next one.
struct Attempt {
    book: AddressBook,
    server: u64,
    address: String,
    failures: usize,
    worked: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.worked {
            return;
        }
        let mut pages = self.book.pages.write();
        let failures = pages.failures.entry(self.server).or_default();
        // Another attempt may have found the same before.
        if *failures == self.failures {
            *failures += 1;
        }
    }
}

/// Connects to peers. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct Dialer {
    own: Own,
    book: AddressBook,
    timings: Timings,
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
        let (own, timings) = (own.into(), Timings::default());
        Self { own, book, timings, security, complaints: Arc::default() }
    }

    /// Waits as long for the others as these timings need.
    pub(in crate::consensus) fn with_timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// How long what a peer answers keeps the lead.
    pub(super) fn lease(&self) -> Duration {
        self.timings.election_max
    }

    /// Time enough for so many packets there and back, and at least `usual`.
    pub(super) fn for_round_trips(&self, count: u32, usual: Duration) -> Duration {
        self.timings.for_round_trips(count, usual)
    }

    /// Connects to a server and greets it. `address` is host and port where the address book has
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
        let mut attempt = self.book.choose(target, address);
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
        // To connect, for the two of TLS, to greet.
        let limit = self.for_round_trips(4, CONNECT_TIMEOUT);
        timeout(limit, connect).await.unwrap_or_else(|_| Err(late()))
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
        Ok(PeerStream::new(transport))
    }

    /// Connects to the first address of a host that answers.
    async fn reach(&self, address: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        let limit = self.for_round_trips(1, REACH_TIMEOUT);
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
        let mut complaints = self.complaints.lock();
        let Some(error) = error else { return complaints.forget(&target) };
        if complaints.is_new(target, &error.to_string()) {
            let refuses = error.kind() == io::ErrorKind::PermissionDenied;
            let what = if refuses { "refuses this one" } else { "cannot be talked to" };
            tracing::warn!("server {target} at {address} {what}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::Membership;
    use super::*;
    use crate::storage::ClusterId;

    #[test]
    fn distant_servers_are_given_more_time() {
        // Who raises the timings for them need not raise anything else; the default timings change nothing.
        let member = Membership { cluster: ClusterId(7), server: 1 };
        let near = Dialer::new(member, AddressBook::default(), Security::default());
        let limits = |dialer: &Dialer| {
            [(1, REACH_TIMEOUT), (4, CONNECT_TIMEOUT)]
                .map(|(trips, usual)| dialer.for_round_trips(trips, usual))
        };
        assert_eq!(limits(&near), [REACH_TIMEOUT, CONNECT_TIMEOUT]);
        let election_max = Duration::from_secs(4);
        let far = near.with_timings(Timings { election_max, ..Timings::default() });
        assert_eq!(limits(&far), [election_max, election_max * 4]);
    }

    #[test]
    fn an_address_that_fails_makes_way_for_the_next() {
        // What the members agreed on goes first, this server's file second, the note last; and what
        // worked is stayed with.
        let book = AddressBook::default();
        let try_one = |works: bool| {
            let mut attempt = book.choose(3, "noted:1");
            attempt.worked = works;
            attempt.address.clone()
        };
        assert_eq!([try_one(true), try_one(false)], ["noted:1", "noted:1"]);
        book.set(3, "own:1".to_owned());
        book.agree(BTreeMap::from([(3, "agreed:1".to_owned())]));
        assert_eq!(book.get(3).as_deref(), Some("agreed:1"));
        let seen = [false, true, true, false, false].map(try_one);
        assert_eq!(seen, ["own:1", "noted:1", "noted:1", "noted:1", "agreed:1"]);
        let (one, two) = (book.choose(3, ""), book.choose(3, ""));
        assert_eq!(one.address, two.address);
        let failed = one.address.clone();
        drop((one, two));
        assert_ne!(try_one(true), failed, "two that fail at once count as one");
    }
}
