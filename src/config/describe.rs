//! The settings as the four-letter word `conf` shows them.

use std::net::SocketAddr;

use super::types::Config;

/// Bytes on disk, which `conf` shows beside the directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSizes {
    /// Bytes of the state (`dataDirSize`).
    pub data_dir_bytes: u64,
    /// Bytes of the log (`dataLogSize`).
    pub log_dir_bytes: u64,
}

impl Config {
    /// The lines of `conf`: ZooKeeper's key names and order, each with its value.
    ///
    /// Ports are those in use, once the server has put them into the configuration.
    #[must_use]
    pub fn describe(&self, sizes: DataSizes) -> Vec<(&'static str, String)> {
        let clients = &self.clients;
        let port = |addr: Option<SocketAddr>| addr.map_or(-1, |addr| i32::from(addr.port()));
        let client_port = port(clients.plain.then_some(clients.addr));
        let secure_port = port(clients.secure.as_ref().and_then(|secure| secure.addr));
        let none_as = |limit: Option<u32>, none: i64| limit.map_or(none, i64::from).to_string();
        vec![
            ("clientPort", client_port.to_string()),
            ("secureClientPort", secure_port.to_string()),
            ("dataDir", self.data.dir.display().to_string()),
            ("dataDirSize", sizes.data_dir_bytes.to_string()),
            ("dataLogDir", self.data.log_dir.display().to_string()),
            ("dataLogSize", sizes.log_dir_bytes.to_string()),
            ("tickTime", self.sessions.tick_time_ms.to_string()),
            ("maxClientCnxns", none_as(self.clients.max_per_ip, 0)),
            ("minSessionTimeout", self.sessions.min_timeout_ms.to_string()),
            ("maxSessionTimeout", self.sessions.max_timeout_ms.to_string()),
            ("clientPortListenBacklog", none_as(self.clients.listen_backlog, -1)),
            ("serverId", self.ensemble.my_id.unwrap_or(0).to_string()),
        ]
    }
}
