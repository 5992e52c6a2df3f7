//! The members of the ensemble as the configuration lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use kernel::ensemble::{HostPort, ServerSpec};

use super::error::ServeError;
use crate::config::Config;
use crate::consensus::{AddressBook, ConsensusConfig, Forms, INITIALIZE, Timings};
use crate::failpoints;

/// What the consensus is started with; `addresses` gains what the file says.
///
/// # Errors
/// [`ServeError::PeerAddress`]: this server's own address for its peers is none.
pub(super) fn consensus_config(
    config: &Config,
    addresses: &AddressBook,
) -> Result<ConsensusConfig, ServeError> {
    let server = config.ensemble.number();
    let base = ConsensusConfig {
        checkpoint_entries: config.data.checkpoint_after_entries,
        tls: config.ensemble.tls.clone(),
        secret_file: config.ensemble.secret_file.clone(),
        forms: forms(config),
        ..ConsensusConfig::standalone(server)
    };
    if !config.ensemble.is_distributed() {
        return Ok(base);
    }
    let (mut servers, mut voters) = (BTreeMap::new(), BTreeSet::new());
    let mut listen = None;
    for spec in &config.ensemble.servers {
        let address = spec.peer_address();
        addresses.set(spec.id, address.clone());
        if spec.id == server {
            listen = Some(listen_addr(config, spec)?);
        }
        if spec.votes() {
            voters.insert(spec.id);
        }
        servers.insert(spec.id, address);
    }
    let addresses = addresses.clone();
    let millis = Duration::from_millis;
    let timings = Timings {
        heartbeat: millis(config.ensemble.heartbeat_ms),
        election_min: millis(config.ensemble.election_min_ms),
        election_max: millis(config.ensemble.election_max_ms),
    };
    let entries_kept = failpoints::entries_kept().unwrap_or(ENTRIES_KEPT);
    let file = ConsensusConfig { servers, voters, ..base };
    Ok(ConsensusConfig { listen, addresses, timings, entries_kept, ..file })
}

/// Whether this server may form an ensemble while it has no data (`db.autocreate`, `serve --join`).
fn forms(config: &Config) -> Forms {
    if config.ensemble.join {
        Forms::Never
    } else if config.data.dir.join(INITIALIZE).exists() {
        Forms::Initialize
    } else if config.data.autocreate {
        Forms::WithAll
    } else {
        Forms::Never
    }
}

/// Entries kept for servers that are a little behind.
const ENTRIES_KEPT: u64 = 10_000;

/// Where clients reach the servers that say so: by the number of the server, and whether it is for
/// clients with TLS.
pub(super) type ClientAddresses = BTreeMap<(u64, bool), String>;

/// What the lines of the servers say of that.
pub(super) fn client_addresses<'a>(
    servers: impl IntoIterator<Item = &'a ServerSpec>,
) -> ClientAddresses {
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

/// Where this server listens for its peers (`quorumListenOnAllIPs`).
fn listen_addr(config: &Config, own: &ServerSpec) -> Result<SocketAddr, ServeError> {
    let port = own.peers.first().map_or(0, |peer| peer.quorum_port);
    if config.ensemble.listen_on_all_ips {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    let address = own.peer_address();
    let failed = |source| ServeError::PeerAddress { address: address.clone(), source };
    let mut found = address.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))
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
