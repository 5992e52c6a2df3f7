//! The members of the ensemble as the configuration lists them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::error::ServeError;
use crate::config::{Config, HostPort, PeerAddr, ServerRole, ServerSpec};
use crate::consensus::{AddressBook, ConsensusConfig, Timings};

/// What the consensus is started with.
///
/// # Errors
/// [`ServeError::PeerAddress`]: this server's own address for its peers is none.
pub(super) fn consensus_config(config: &Config) -> Result<ConsensusConfig, ServeError> {
    let server = config.ensemble.my_id.max(1);
    let base = ConsensusConfig {
        checkpoint_entries: config.data.checkpoint_after_entries,
        tls: config.ensemble.tls.clone(),
        ..ConsensusConfig::standalone(server)
    };
    let servers = &config.ensemble.servers;
    if servers.len() <= 1 {
        return Ok(base);
    }
    let addresses = AddressBook::default();
    let mut members = BTreeMap::new();
    let mut listen = None;
    for spec in servers {
        let Some(peer) = spec.peers.first() else { continue };
        let address = host_port(peer);
        addresses.set(spec.id, address.clone());
        if spec.id == server {
            listen = Some(listen_addr(config, peer)?);
        }
        if spec.role == ServerRole::Participant {
            members.insert(spec.id, address);
        }
    }
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

fn host_port(peer: &PeerAddr) -> String {
    let PeerAddr { host, quorum_port, .. } = peer;
    if host.contains(':') {
        format!("[{host}]:{quorum_port}")
    } else {
        format!("{host}:{quorum_port}")
    }
}

/// Where clients reach a server, as the lines `server.N` say: an address that means every interface
/// stands for the host at which its peers reach it.
pub(super) fn client_address(servers: &[ServerSpec], server: u64) -> Option<String> {
    let spec = servers.iter().find(|spec| spec.id == server)?;
    let client = spec.client.as_ref()?;
    let is_any = client.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let host = if is_any { spec.peers.first()?.host.clone() } else { client.host.clone() };
    Some(HostPort { host, port: client.port }.to_string())
}

/// Where this server listens for its peers (`quorumListenOnAllIPs`).
fn listen_addr(config: &Config, peer: &PeerAddr) -> Result<SocketAddr, ServeError> {
    if config.ensemble.listen_on_all_ips {
        return Ok(SocketAddr::from(([0, 0, 0, 0], peer.quorum_port)));
    }
    let address = host_port(peer);
    let failed = |source| ServeError::PeerAddress { address: address.clone(), source };
    let mut found = address.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))
}
