//! The members of the ensemble as the configuration lists them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::error::ServeError;
use crate::config::Config;
use crate::consensus::{AddressBook, ConsensusConfig, Timings};
use crate::ensemble::{HostPort, ServerSpec};

/// What the consensus is started with; `addresses` gains what the file says.
///
/// # Errors
/// [`ServeError::PeerAddress`]: this server's own address for its peers is none.
pub(super) fn consensus_config(
    config: &Config,
    addresses: &AddressBook,
) -> Result<ConsensusConfig, ServeError> {
    let server = config.ensemble.my_id.max(1);
    let base = ConsensusConfig {
        checkpoint_entries: config.data.checkpoint_after_entries,
        tls: config.ensemble.tls.clone(),
        ..ConsensusConfig::standalone(server)
    };
    if !config.ensemble.is_distributed() {
        return Ok(base);
    }
    let mut members = BTreeMap::new();
    let mut listen = None;
    for spec in &config.ensemble.servers {
        let address = spec.peer_address();
        addresses.set(spec.id, address.clone());
        if spec.id == server {
            listen = Some(listen_addr(config, spec)?);
        }
        if spec.votes() {
            members.insert(spec.id, address);
        }
    }
    let addresses = addresses.clone();
    let millis = Duration::from_millis;
    let timings = Timings {
        heartbeat: millis(config.ensemble.heartbeat_ms),
        election_min: millis(config.ensemble.election_min_ms),
        election_max: millis(config.ensemble.election_max_ms),
    };
    let entries_kept = ENTRIES_KEPT;
    Ok(ConsensusConfig { members, listen, addresses, timings, entries_kept, ..base })
}

/// Entries kept for servers that are a little behind.
const ENTRIES_KEPT: u64 = 10_000;

/// Where clients reach the servers that say so.
pub(super) fn client_addresses<'a>(
    servers: impl IntoIterator<Item = &'a ServerSpec>,
) -> BTreeMap<u64, String> {
    let known = |spec: &ServerSpec| Some((spec.id, client_address(spec)?));
    servers.into_iter().filter_map(known).collect()
}

/// An address that means every interface stands for the host at which its peers reach the server.
fn client_address(spec: &ServerSpec) -> Option<String> {
    let client = spec.client.as_ref()?;
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
