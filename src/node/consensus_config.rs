//! From the configuration to what the consensus is started with.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kernel::ensemble::ServerSpec;

use crate::config::Config;
use crate::consensus::{AddressBook, BootstrapPolicy, ConsensusConfig, INITIALIZE, Timings};
use crate::env::net::ToSocketAddrs as _;
use crate::failpoints;

/// This server's own address among its peers cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the address {address} of this server's own line `server.N`: {source}")]
pub struct PeerAddressError {
    /// Host and port.
    address: String,
    /// What the system said.
    source: io::Error,
}

/// What the consensus is started with; `addresses` gains what the file says.
///
/// # Errors
/// [`PeerAddressError`]: this server's own address for its peers is none.
pub(super) fn consensus_config(
    config: &Config,
    addresses: &AddressBook,
) -> Result<ConsensusConfig, PeerAddressError> {
    let server = config.ensemble.number();
    let base = ConsensusConfig {
        checkpoint_entries: config.data.checkpoint_after_entries,
        tls: config.ensemble.tls.clone(),
        secret_file: config.ensemble.secret_file.clone(),
        policy: bootstrap_policy(config),
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
        ..Timings::default()
    };
    let entries_kept = failpoints::entries_kept().unwrap_or(ENTRIES_KEPT);
    let file = ConsensusConfig { servers, voters, ..base };
    Ok(ConsensusConfig { listen, addresses, timings, entries_kept, ..file })
}

/// Whether this server may form an ensemble while it has no data (`db.autocreate`, `serve --join`).
fn bootstrap_policy(config: &Config) -> BootstrapPolicy {
    if config.ensemble.join {
        BootstrapPolicy::Never
    } else if config.data.dir.join(INITIALIZE).exists() {
        BootstrapPolicy::Initialize
    } else if config.data.autocreate {
        BootstrapPolicy::WithAll
    } else {
        BootstrapPolicy::Never
    }
}

/// Entries kept for servers that are a little behind.
const ENTRIES_KEPT: u64 = 10_000;

/// Where this server listens for its peers (`quorumListenOnAllIPs`).
fn listen_addr(config: &Config, own: &ServerSpec) -> Result<SocketAddr, PeerAddressError> {
    let port = own.peers.first().map_or(0, |peer| peer.quorum_port);
    if config.ensemble.listen_on_all_ips {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    let address = own.peer_address();
    let failed = |source| PeerAddressError { address: address.clone(), source };
    let mut found = address.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))
}
