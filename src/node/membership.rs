//! Who belongs to the ensemble, as this server applied it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kernel::ensemble::{HostPort, MemberId, ServerSpec};
use kernel::replica::Members;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::EnsembleConfig;
use crate::consensus::AddressBook;

/// The servers of the ensemble: those of the configuration file until the replicated state names others.
///
/// Only applying changes it ([`Membership::learn`]), under the exclusive lock of the replica. Each field has a lock of
/// its own, none of which is held while another one is taken: who reads two of them may see two configurations, and
/// decides anew at the next change.
#[derive(Debug)]
pub struct Membership {
    /// The number of this server.
    server: u64,
    members: Mutex<Arc<Members>>,
    /// The numbers of the servers that are to vote.
    named_voters: Mutex<BTreeSet<u64>>,
    /// Where clients reach the servers.
    client_addresses: Mutex<ClientAddresses>,
    /// Where this server finds the others.
    addresses: AddressBook,
    is_member: AtomicBool,
    /// The members of the ensemble changed, or are to.
    changed: Notify,
}

/// Where clients reach the servers that say so: by the number of the server, and whether it is for
/// clients with TLS.
type ClientAddresses = BTreeMap<(u64, bool), String>;

impl Membership {
    pub(super) fn new(config: &EnsembleConfig, members: Members, addresses: AddressBook) -> Self {
        Self {
            server: config.number(),
            members: Mutex::new(Arc::new(members)),
            named_voters: Mutex::new(voters_of_file(config)),
            client_addresses: Mutex::new(client_addresses(&config.servers)),
            addresses,
            is_member: AtomicBool::new(true),
            changed: Notify::new(),
        }
    }

    /// The configuration in force, and the one that is to follow it.
    pub fn current(&self) -> Arc<Members> {
        Arc::clone(&self.members.lock())
    }

    /// Whether this server belongs to its ensemble, as far as it knows. One that does not serves
    /// nobody.
    pub(super) fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Acquire)
    }

    /// Takes who belongs to the ensemble from the replicated state. Returns whether this server was removed by it.
    pub(super) fn learn(&self, members: &Members) -> bool {
        *self.members.lock() = Arc::new(members.clone());
        self.changed.notify_one();
        let Some(current) = &members.current else { return false };
        *self.named_voters.lock() = current.voters();
        // What was formed has the addresses of the files, which may be newer.
        if current.was_agreed_on() {
            self.addresses.agree(current.addresses());
            *self.client_addresses.lock() = client_addresses(current.servers.values());
        }
        let is_member = current.servers.contains_key(&self.server);
        if self.is_member.swap(is_member, Ordering::AcqRel) == is_member {
            return false;
        }
        if is_member {
            tracing::info!("this server belongs to the ensemble now");
        } else {
            tracing::warn!("this server does not belong to the ensemble: it serves no clients");
        }
        !is_member
    }

    /// Waits until the members have changed since the last wait. To be awaited in one place only.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether a majority of the servers that are to vote is among these voters of the consensus.
    pub(super) fn has_majority_in(&self, voters: &BTreeSet<MemberId>) -> bool {
        let named = self.named_voters.lock();
        let voting = voters.iter().filter(|voter| named.contains(&voter.number)).count();
        voting > named.len() / 2
    }

    /// Where clients, with TLS or without, reach a server.
    pub(super) fn client_address(&self, server: u64, secure: bool) -> Option<String> {
        self.client_addresses.lock().get(&(server, secure)).cloned()
    }
}

/// The servers that vote as the file has them; a server on its own is the only one.
fn voters_of_file(config: &EnsembleConfig) -> BTreeSet<u64> {
    if !config.is_distributed() {
        return BTreeSet::from([config.number()]);
    }
    let servers = config.servers.iter();
    servers.filter(|server| server.votes()).map(|server| server.id).collect()
}

/// What the lines of the servers say of where clients reach them.
fn client_addresses<'a>(servers: impl IntoIterator<Item = &'a ServerSpec>) -> ClientAddresses {
    let both = |spec: &'a ServerSpec| [(spec, false), (spec, true)];
    let known = |(spec, secure): (&ServerSpec, bool)| {
        let address = if secure { &spec.secure_client } else { &spec.client };
        Some(((spec.id, secure), client_address(spec, address.as_ref()?)?))
    };
    servers.into_iter().flat_map(both).filter_map(known).collect()
}

/// An address that means every interface stands for the host at which its peers reach the server.
fn client_address(spec: &ServerSpec, client: &HostPort) -> Option<String> {
    let is_any = client.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let host = if is_any { spec.peers.first()?.host.clone() } else { client.host.clone() };
    Some(HostPort { host, port: client.port }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_sent_to_the_port_that_is_for_them() {
        // Each server has an address for clients without TLS, one for those with it, or one of the two;
        // one for every interface is at the host where its peers reach it.
        let specs = ["one:1:2;2181;2281", "two:1:2;10.0.0.2:2182", "three:1:2"];
        let specs: Vec<ServerSpec> =
            (1..).zip(specs).map(|(id, text)| ServerSpec::parse(id, text).unwrap()).collect();
        let found = client_addresses(&specs);
        let expected = [
            ((1, false), "one:2181".to_owned()),
            ((1, true), "one:2281".to_owned()),
            ((2, false), "10.0.0.2:2182".to_owned()),
        ];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
