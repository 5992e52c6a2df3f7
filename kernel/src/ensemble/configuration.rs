//! The configuration of an ensemble as `/zookeeper/config` shows it.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;

use super::server_spec::ServerSpec;

/// How many lines the description of one server may take.
const LINES_OF_A_SERVER_MAX: usize = 1000;

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
    /// Servers of earlier versions took hosts with line breaks. Such a line goes on in the next one.
    ///
    /// # Errors
    /// [`UnreadableConfiguration`] for anything else.
    pub fn parse(text: &str) -> Result<Self, UnreadableConfiguration> {
        let mut configuration = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let ends = rest.match_indices('\n').map(|(at, _)| at).chain([rest.len()]);
            // More lines than a host could take are not joined: reading stays linear.
            let mut ends = ends.take(LINES_OF_A_SERVER_MAX);
            let read = ends.find_map(|end| configuration.read_line(&rest[..end]).map(|()| end));
            let Some(end) = read else {
                let line = rest.lines().next().unwrap_or_default();
                return Err(UnreadableConfiguration(line.to_owned()));
            };
            rest = rest[end..].strip_prefix('\n').unwrap_or_default();
        }
        Ok(configuration)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once('=')?;
        if key == "version" {
            self.version = u64::from_str_radix(value, 16).ok()?.cast_signed();
        } else {
            let id = key.strip_prefix("server.")?.parse().ok()?;
            self.servers.insert(id, ServerSpec::parse(id, value).ok()?);
        }
        Some(())
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
#[path = "configuration_test.rs"]
mod tests;
