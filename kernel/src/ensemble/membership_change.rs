//! What a `reconfig` asks for.
//!
//! The checks and their order are those of ZooKeeper's leader (`PrepRequestProcessor`,
//! `QuorumPeerConfig.parseDynamicConfig`).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::configuration::Configuration;
use super::member_id::NUMBER_MAX;
use super::server_spec::{HostPort, ServerRole, ServerSpec};

/// A change of the members, as a client asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange<'a> {
    /// Servers that join or change, `server.N=…` separated by commas.
    pub joining: Option<&'a str>,
    /// Numbers of servers that leave, separated by commas.
    pub leaving: Option<&'a str>,
    /// The complete new list, separated by commas or line ends; the other two do not count then.
    pub members: Option<&'a str>,
}

/// Why a change makes no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipChangeError {
    /// It does not make sense: `BADARGUMENTS`.
    BadArguments,
    /// It is not even what is looked for, where ZooKeeper does not expect it: `MARSHALLINGERROR`.
    Malformed,
}

impl MembershipChange<'_> {
    /// The servers that there are after the change of `current`. `alone_allowed`: whether an
    /// ensemble may consist of one server (`standaloneEnabled=false`).
    ///
    /// # Errors
    /// [`MembershipChangeError`]: the first of ZooKeeper's checks that fails.
    pub fn apply(
        &self,
        current: &Configuration,
        alone_allowed: bool,
    ) -> Result<BTreeMap<u64, ServerSpec>, MembershipChangeError> {
        let servers = match self.members {
            Some(members) => full(members, alone_allowed)?,
            None => self.incremental(current)?,
        };
        let voters = servers.values().filter(|server| server.votes()).count();
        let least = if alone_allowed { 1 } else { 2 };
        if voters < least { Err(MembershipChangeError::BadArguments) } else { Ok(servers) }
    }

    /// Whether every server that is asked for has [plain hosts](ServerSpec::has_plain_hosts). What is no
    /// server at all does not count: [`apply`](Self::apply) says what is wrong with it.
    pub fn names_plain_hosts(&self) -> bool {
        let joining = parts(self.joining, ',').filter_map(|part| part.split_once('='));
        let members = lines(self.members).map(key_and_value);
        joining.chain(members).all(|(_, value)| {
            ServerSpec::parse(0, value.trim()).map_or(true, |server| server.has_plain_hosts())
        })
    }

    fn incremental(
        &self,
        current: &Configuration,
    ) -> Result<BTreeMap<u64, ServerSpec>, MembershipChangeError> {
        let mut servers = current.servers.clone();
        for id in parts(self.leaving, ',') {
            let id: i64 = id.parse().map_err(|_| MembershipChangeError::Malformed)?;
            servers.remove(&u64::try_from(id).unwrap_or(u64::MAX));
        }
        let mut taken = ListenAddresses::of(servers.values());
        for joiner in parts(self.joining, ',') {
            let mut sides = parts(Some(joiner), '=');
            let (Some(name), Some(value), None) = (sides.next(), sides.next(), sides.next()) else {
                return Err(MembershipChangeError::BadArguments);
            };
            let server = server(name.rsplit('.').next().unwrap_or(name), value)?;
            if server.client.is_none() && server.secure_client.is_none() {
                return Err(MembershipChangeError::BadArguments);
            }
            if let Some(before) = servers.remove(&server.id) {
                taken.release(&before);
            }
            if !taken.claim_if_free(&server) {
                return Err(MembershipChangeError::BadArguments);
            }
            servers.insert(server.id, server);
        }
        Ok(servers)
    }
}

/// The parts between separators, trimmed, empty ones dropped.
fn parts(text: Option<&str>, separator: char) -> impl Iterator<Item = &str> {
    let parts = text.unwrap_or_default().split(separator);
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The lines of a complete list, without comments.
fn lines(text: Option<&str>) -> impl Iterator<Item = &str> {
    let lines = text.unwrap_or_default().split([',', '\n', '\r']).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
}

fn key_and_value(line: &str) -> (&str, &str) {
    let (key, value) = line.split_once(['=', ':', ' ']).unwrap_or((line, ""));
    (key.trim(), value.trim())
}

/// A complete list: the syntax of a properties file with commas for line ends.
fn full(
    text: &str,
    alone_allowed: bool,
) -> Result<BTreeMap<u64, ServerSpec>, MembershipChangeError> {
    let mut servers = BTreeMap::new();
    for (key, value) in lines(Some(text)).map(key_and_value) {
        if key == "version" {
            i64::from_str_radix(value, 16).map_err(|_| MembershipChangeError::Malformed)?;
            continue;
        }
        // Groups and weights are not known here.
        let id = key.strip_prefix("server.").ok_or(MembershipChangeError::BadArguments)?;
        let server = server(id, value)?;
        servers.insert(server.id, server);
    }
    let observers = servers.values().filter(|server| server.role == ServerRole::Observer).count();
    let voters = servers.len() - observers;
    let nobody = voters == 0 && (alone_allowed || observers > 0);
    if nobody || (voters == 1 && !alone_allowed && observers > 0) {
        return Err(MembershipChangeError::Malformed);
    }
    Ok(servers)
}

fn server(id: &str, value: &str) -> Result<ServerSpec, MembershipChangeError> {
    let id: i64 = id.trim().parse().map_err(|_| MembershipChangeError::Malformed)?;
    let id = u64::try_from(id).ok().filter(|id| *id <= NUMBER_MAX);
    let id = id.ok_or(MembershipChangeError::BadArguments)?;
    let server = ServerSpec::parse(id, value).map_err(|_| MembershipChangeError::BadArguments)?;
    // Several addresses need `multiAddress.enabled`, which there is not.
    if server.peers.len() > 1 { Err(MembershipChangeError::BadArguments) } else { Ok(server) }
}

/// Where servers listen, and how many do there. Wildcards and loopback addresses do not count, as for
/// ZooKeeper; names are compared as they are written, so that all replicas agree.
#[derive(Default)]
struct ListenAddresses(BTreeMap<(String, u16), usize>);

impl ListenAddresses {
    fn of<'a>(servers: impl Iterator<Item = &'a ServerSpec>) -> Self {
        let mut taken = Self::default();
        servers.for_each(|server| taken.claim(addresses(server)));
        taken
    }

    fn claim(&mut self, addresses: Vec<(String, u16)>) {
        for address in addresses {
            *self.0.entry(address).or_default() += 1;
        }
    }

    fn release(&mut self, server: &ServerSpec) {
        for address in addresses(server) {
            if let Some(count) = self.0.get_mut(&address) {
                *count -= 1;
            }
        }
    }

    /// Takes the addresses of a server, unless another one is there. Two of its own may be the same.
    fn claim_if_free(&mut self, server: &ServerSpec) -> bool {
        let addresses = addresses(server);
        let are_free =
            addresses.iter().all(|address| self.0.get(address).is_none_or(|count| *count == 0));
        if are_free {
            self.claim(addresses);
        }
        are_free
    }
}

fn addresses(server: &ServerSpec) -> Vec<(String, u16)> {
    let mut addresses = Vec::new();
    for peer in &server.peers {
        addresses.extend([(&peer.host, peer.quorum_port), (&peer.host, peer.election_port)]);
    }
    for HostPort { host, port } in server.client.iter().chain(&server.secure_client) {
        addresses.push((host, *port));
    }
    let counts = |(host, _): &(&String, u16)| {
        let special = ["localhost", "0.0.0.0", "::", "::1", "0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:0"];
        !special.iter().any(|other| host.eq_ignore_ascii_case(other)) && !host.starts_with("127.")
    };
    let addresses = addresses.into_iter().filter(counts);
    addresses.map(|(host, port)| (host.to_ascii_lowercase(), port)).collect()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn current() -> Configuration {
        let line = |id: u64| {
            let text = format!("10.0.0.{id}:2888:3888;2181");
            ServerSpec::parse(id, &text).unwrap()
        };
        Configuration::first(&[line(1), line(2), line(3)])
    }

    fn joining(text: &str) -> Result<Vec<u64>, MembershipChangeError> {
        ids(MembershipChange { joining: Some(text), ..MembershipChange::default() })
    }

    fn leaving(text: &str) -> Result<Vec<u64>, MembershipChangeError> {
        ids(MembershipChange { leaving: Some(text), ..MembershipChange::default() })
    }

    fn members(text: &str) -> Result<Vec<u64>, MembershipChangeError> {
        ids(MembershipChange { members: Some(text), ..MembershipChange::default() })
    }

    fn ids(change: MembershipChange<'_>) -> Result<Vec<u64>, MembershipChangeError> {
        change.apply(&current(), false).map(|servers| servers.into_keys().collect())
    }

    #[test]
    fn servers_join_and_leave() {
        // Incremental and full changes give the new list; who is there already is replaced.
        assert_eq!(joining("server.4=d:1:2;3, 5=e:1:2;3"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(joining("server.3=10.0.0.3:2888:3888:observer;2181"), Ok(vec![1, 2, 3]));
        assert_eq!(leaving("3,9,"), Ok(vec![1, 2]));
        assert_eq!(members("server.7=a:1:2,server.8=b:1:2\nversion=5"), Ok(vec![7, 8]));
        assert_eq!(ids(MembershipChange::default()), Ok(vec![1, 2, 3]));
        let change = MembershipChange {
            joining: Some("server.3=c:1:2;3"),
            leaving: Some("3"),
            members: None,
        };
        assert_eq!(ids(change), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn what_makes_no_ensemble_is_refused() {
        // Each check of ZooKeeper with its own code.
        let bad = Err(MembershipChangeError::BadArguments);
        for text in [
            "server.4",
            "server.4=d:1:2",
            "server.4=d:1;3",
            "server.4=d:1:2;3=4",
            "server.4=d:1:1;3",
            "server.4=d:1:2:voter;3",
            "server.4=d:x:2;3",
            "server.4=a:1:2|b:1:2;3",
            "server.4=10.0.0.1:2888:1;3",
            "server.4294967296=d:1:2;3",
        ] {
            assert_eq!(joining(text), bad, "{text}");
        }
        assert_eq!(joining("server.x=d:1:2;3"), Err(MembershipChangeError::Malformed));
        assert_eq!(leaving("two"), Err(MembershipChangeError::Malformed));
        assert_eq!(leaving("2,3"), bad, "one voter is left");
        for text in ["", "server.1=a:1:2", "server.1=a:1", "group.1=1:2", "peerType=observer"] {
            assert_eq!(members(text), bad, "{text}");
        }
        for text in ["server.1=a:1:2:observer", "server.1=a:1:2,server.2=a:3:4:observer"] {
            assert_eq!(members(text), Err(MembershipChangeError::Malformed), "{text}");
        }
    }

    #[test]
    fn an_ensemble_of_one_has_to_be_allowed() {
        // With standaloneEnabled=false one voter is enough, none is not.
        let change = MembershipChange { leaving: Some("2,3"), ..MembershipChange::default() };
        assert_eq!(change.apply(&current(), true).map(|servers| servers.len()), Ok(1));
        let change = MembershipChange { leaving: Some("1,2,3"), ..MembershipChange::default() };
        assert_eq!(change.apply(&current(), true), Err(MembershipChangeError::BadArguments));
    }
}
