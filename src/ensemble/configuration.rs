//! The configuration of an ensemble as `/zookeeper/config` shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::server_spec::ServerSpec;

/// The servers of an ensemble, and the version of that list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The servers by number.
    pub servers: BTreeMap<u64, ServerSpec>,
    /// The zxid of the `reconfig` that made it. The one that the ensemble was formed with has the
    /// first leader's epoch with a counter of 0, or 0 where `reconfig` was not enabled.
    pub version: i64,
}

/// A text that is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line \"{0}\" does not belong into the configuration of an ensemble")]
pub struct UnreadableConfiguration(pub String);

impl Configuration {
    /// The configuration that an ensemble is formed with.
    pub fn first<'a>(servers: impl IntoIterator<Item = &'a ServerSpec>) -> Self {
        let servers = servers.into_iter().map(|server| (server.id, server.clone())).collect();
        Self { servers, version: 0 }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    /// [`UnreadableConfiguration`] for anything else.
    pub fn parse(text: &str) -> Result<Self, UnreadableConfiguration> {
        let mut configuration = Self::default();
        for line in text.lines() {
            let unreadable = || UnreadableConfiguration(line.to_owned());
            let (key, value) = line.split_once('=').ok_or_else(unreadable)?;
            if key == "version" {
                configuration.version = i64::from_str_radix(value, 16).map_err(|_| unreadable())?;
                continue;
            }
            let id = key.strip_prefix("server.").and_then(|id| id.parse().ok());
            let id: u64 = id.ok_or_else(unreadable)?;
            let server = ServerSpec::parse(id, value).map_err(|_| unreadable())?;
            configuration.servers.insert(id, server);
        }
        Ok(configuration)
    }

    /// Whether a `reconfig` made it.
    pub fn was_agreed_on(&self) -> bool {
        self.version & 0xffff_ffff != 0
    }

    /// The servers that vote.
    pub fn voters(&self) -> BTreeSet<u64> {
        self.servers.values().filter(|server| server.votes()).map(|server| server.id).collect()
    }

    /// Where the servers find each other.
    pub fn addresses(&self) -> BTreeMap<u64, String> {
        self.servers.iter().map(|(id, server)| (*id, server.peer_address())).collect()
    }
}

/// As ZooKeeper writes it: a line a server, then the version in hexadecimal.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, server) in &self.servers {
            writeln!(f, "server.{id}={server}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_comes_back_as_it_was_written() {
        // What replicas keep as text is what they go by after a restart.
        let text = "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=[::1]:1:2:observer\n\
                    server.10=b:1:2:participant;;c:4\nversion=10000000a";
        let configuration = Configuration::parse(text).unwrap();
        assert_eq!(configuration.to_string(), text);
        assert_eq!(configuration.version, 0x1_0000_000a);
        assert!(configuration.was_agreed_on());
        assert_eq!(configuration.voters(), BTreeSet::from([1, 10]));
        assert_eq!(configuration.addresses()[&2], "[::1]:1");
        for bad in ["server.1", "server.x=a:1:2", "server.1=a:1", "group.1=1", "version=x"] {
            assert!(Configuration::parse(bad).is_err(), "{bad}");
        }
    }
}
