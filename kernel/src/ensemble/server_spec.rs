//! The lines `server.N`: the members of an ensemble and their addresses.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why a line `server.N` is none; says what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub String);

/// One server of the ensemble, as a line `server.N` describes it.
///
/// The form is `host:quorumPort:electionPort[:participant|observer]`, several of these joined by
/// `|` when a server has several addresses, then optionally `;[host:]clientPort` and
/// `;[host:]secureClientPort`. A literal IPv6 address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// The N of `server.N`.
    pub id: u64,
    /// Addresses for other servers, at least one.
    pub peers: Vec<PeerAddr>,
    /// Whether it votes.
    pub role: ServerRole,
    /// Where its clients connect, if the line says so.
    pub client: Option<HostPort>,
    /// Where its TLS clients connect, if the line says so.
    pub secure_client: Option<HostPort>,
}

/// A host with the two ports that servers use among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddr {
    /// Name or literal address, without brackets.
    pub host: String,
    /// Port that followers connect to.
    pub quorum_port: u16,
    /// Port for elections.
    pub election_port: u16,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or literal address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Whether a server votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerRole {
    /// Votes and may lead.
    #[default]
    Participant,
    /// Follows without a vote.
    Observer,
}

impl ServerSpec {
    /// Reads the value of `server.<id>`.
    ///
    /// # Errors
    /// [`SpecError`] where ZooKeeper would not start with such a line.
    pub fn parse(id: u64, text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split(';');
        let addresses = parts.next().unwrap_or_default();
        let client = optional_host_port(parts.next())?;
        let secure_client = optional_host_port(parts.next())?;
        if parts.next().is_some() {
            return Err(malformed("more than two `;`"));
        }
        let mut peers = Vec::new();
        let mut roles = Vec::new();
        for address in addresses.split('|') {
            let (peer, role) = parse_peer(address.trim())?;
            peers.push(peer);
            roles.extend(role);
        }
        if roles.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(SpecError("all addresses of a server must have the same role".to_owned()));
        }
        let role = roles.first().copied().unwrap_or_default();
        Ok(Self { id, peers, role, client, secure_client })
    }

    /// Host and port where other servers connect: the first one, if there are several.
    pub fn peer_address(&self) -> String {
        let first = self.peers.first();
        first.map_or_else(String::new, |peer| format!("{}:{}", Host(&peer.host), peer.quorum_port))
    }

    /// Whether each of its hosts is one that is read back as it is written, wherever servers are listed:
    /// without blanks, control characters and what separates the parts of such a list.
    pub fn has_plain_hosts(&self) -> bool {
        let peers = self.peers.iter().map(|peer| &peer.host);
        let clients = self.client.iter().chain(&self.secure_client).map(|client| &client.host);
        peers.chain(clients).all(|host| host.chars().all(is_plain))
    }

    /// Whether it votes.
    pub fn votes(&self) -> bool {
        self.role == ServerRole::Participant
    }
}

fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, ';' | '|' | ',' | '=' | '[' | ']')
}

fn malformed(why: &str) -> SpecError {
    SpecError(format!(
        "{why}; the form is host:quorumPort:electionPort[:participant|observer]\
         [;[host:]clientPort][;[host:]secureClientPort]"
    ))
}

fn parse_peer(text: &str) -> Result<(PeerAddr, Option<ServerRole>), SpecError> {
    let (host, rest) = split_host(text)?;
    let rest = rest.ok_or_else(|| malformed("the ports are missing"))?;
    let mut parts = rest.split(':');
    let mut peer_port = || port(parts.next().ok_or_else(|| malformed("a port is missing"))?, 1);
    let (quorum_port, election_port) = (peer_port()?, peer_port()?);
    if quorum_port == election_port {
        return Err(SpecError("the quorum port and the election port must differ".to_owned()));
    }
    let role = match parts.next().map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("participant") => Some(ServerRole::Participant),
        Some("observer") => Some(ServerRole::Observer),
        Some(other) => {
            return Err(SpecError(format!("\"{other}\" is neither participant nor observer")));
        }
    };
    if parts.next().is_some() {
        return Err(malformed("too many `:`"));
    }
    Ok((PeerAddr { host, quorum_port, election_port }, role))
}

fn port(text: &str, least: u16) -> Result<u16, SpecError> {
    text.parse().ok().filter(|port| *port >= least).ok_or_else(|| {
        SpecError(format!("expected a whole number from {least} to 65535, found \"{text}\""))
    })
}

/// `[host:]port`; no host means every interface.
fn optional_host_port(text: Option<&str>) -> Result<Option<HostPort>, SpecError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let (host, number) = if text.contains(':') { split_host(text)? } else { (String::new(), None) };
    let port = port(number.unwrap_or(text), 0)?;
    let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host };
    Ok(Some(HostPort { host, port }))
}

/// The host, without brackets, and what follows the colon behind it.
fn split_host(text: &str) -> Result<(String, Option<&str>), SpecError> {
    if let Some(inside) = text.strip_prefix('[') {
        let Some((host, rest)) = inside.split_once(']') else {
            return Err(malformed("`[` without `]`"));
        };
        return Ok((host.to_owned(), rest.strip_prefix(':')));
    }
    match text.split_once(':') {
        Some((host, rest)) => Ok((host.to_owned(), Some(rest))),
        None => Ok((text.to_owned(), None)),
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Host(&self.host), self.port)
    }
}

/// The value of the line, in the form that `/zookeeper/config` shows.
impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role;
        for (index, peer) in self.peers.iter().enumerate() {
            let bar = if index == 0 { "" } else { "|" };
            let PeerAddr { host, quorum_port, election_port } = peer;
            write!(f, "{bar}{}:{quorum_port}:{election_port}:{role}", Host(host))?;
        }
        if self.client.is_some() || self.secure_client.is_some() {
            write!(f, ";")?;
        }
        if let Some(client) = &self.client {
            write!(f, "{client}")?;
        }
        if let Some(secure) = &self.secure_client {
            write!(f, ";{secure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// A host with brackets around a literal IPv6 address, and around what would be read as something else without them:
/// servers of earlier versions took such hosts. One with a `]` never had brackets.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let as_it_is = self.0.chars().all(is_plain) || self.0.contains(']');
        let in_brackets = self.0.contains(':') || !as_it_is;
        if in_brackets { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn server_lines_are_read_and_shown_in_zookeepers_form() {
        // Each legal form becomes the text that /zookeeper/config shows for it.
        let table = [
            ("h:2888:3888", "h:2888:3888:participant"),
            ("h:2888:3888:OBSERVER", "h:2888:3888:observer"),
            ("h:2888:3888;2181", "h:2888:3888:participant;0.0.0.0:2181"),
            ("h:1:2:participant;c:3;s:4", "h:1:2:participant;c:3;s:4"),
            ("h:1:2;;4", "h:1:2:participant;;0.0.0.0:4"),
            ("[::1]:1:2;[::]:3", "[::1]:1:2:participant;[::]:3"),
            ("a:1:2|b:3:4", "a:1:2:participant|b:3:4:participant"),
        ];
        for (text, shown) in table {
            let spec = ServerSpec::parse(1, text).unwrap();
            assert_eq!(spec.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn malformed_server_lines_are_refused() {
        // A line that ZooKeeper would not start with is refused here too.
        let bad = [
            "",
            "h",
            "h:1",
            "h:1:1",
            "h:1:x",
            "h:1:2:voter",
            "h:1:2:observer:3",
            "[::1:1:2",
            "h:1:2;3;4;5",
            "h:1:2;c:d",
            "h:0:2",
            "a:1:2:observer|b:3:4:participant",
        ];
        for text in bad {
            assert!(ServerSpec::parse(1, text).is_err(), "{text}");
        }
    }
}
