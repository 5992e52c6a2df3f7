//! Addresses that a file names by host and port.

use std::net::{IpAddr, SocketAddr};

use kernel::ensemble::ServerSpec;

use super::draft::Draft;
use super::error::Problem;
use super::located::Located;
use crate::env::net::ToSocketAddrs as _;

/// The line of this server among those of the ensemble.
pub(super) fn own_line(draft: &Draft) -> Option<&Located<ServerSpec>> {
    draft.servers.iter().find(|server| Some(server.value.id) == draft.config.ensemble.my_id)
}

/// The first address of a host; a name is looked up once, at start.
pub(super) fn resolve(host: &str, port: u16) -> Result<SocketAddr, Problem> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = (bare, port).to_socket_addrs().map_err(|error| {
        Problem::value(format!("cannot find the address of \"{host}\": {error}"))
    })?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .ok_or_else(|| Problem::value(format!("the name \"{host}\" has no address")))
}
