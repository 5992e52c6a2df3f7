//! The settings of a file before they are put together: what depends on several lines waits here.

use std::path::{Path, PathBuf};

use kernel::ensemble::ServerSpec;

use super::located::Located;
use super::tls::TlsDraft;
use super::types::{Config, Overrides};

/// What the lines said so far.
#[derive(Debug)]
pub(super) struct Draft {
    /// What the command line says.
    pub(super) overrides: Overrides,
    /// Everything that one line decides alone.
    pub(super) config: Config,
    /// `dataDir`
    pub(super) data_dir: Option<String>,
    /// `dataLogDir`
    pub(super) data_log_dir: Option<String>,
    /// `clientPort`
    pub(super) client_port: Option<Located<u16>>,
    /// `clientPortAddress`
    pub(super) client_host: Option<Located<String>>,
    /// `minSessionTimeout`
    pub(super) min_session_timeout_ms: Option<Located<i32>>,
    /// `maxSessionTimeout`
    pub(super) max_session_timeout_ms: Option<Located<i32>>,
    /// `admin.serverAddress`
    pub(super) admin_host: Option<Located<String>>,
    /// Whether `metricsProvider.className` is the Prometheus one.
    pub(super) prometheus: bool,
    /// `metricsProvider.httpHost`
    pub(super) metrics_host: Option<Located<String>>,
    /// `metricsProvider.httpPort`
    pub(super) metrics_port: u16,
    /// Whether an `authProvider.N` is the ensemble one.
    pub(super) ensemble_provider: bool,
    /// `ensembleAuthName`
    pub(super) ensemble_names: Vec<String>,
    /// `enforce.auth.enabled`
    pub(super) enforce_auth: Located<bool>,
    /// `enforce.auth.schemes`
    pub(super) enforce_schemes: Located<Vec<String>>,
    /// `server.N`
    pub(super) servers: Vec<Located<ServerSpec>>,
    /// The file in which the `server.N` lines stand, if it is not the main one.
    pub(super) servers_file: Option<PathBuf>,
    /// Line of `standaloneEnabled`; 0 if there is none.
    pub(super) standalone_line: usize,
    /// Line of the last of the keys `raft.*`.
    pub(super) clocks_line: usize,
    /// Line of `jute.maxbuffer`; 0 if there is none.
    pub(super) packets_line: usize,
    /// Line of `largeRequestMaxBytes`; 0 if there is none.
    pub(super) large_line: usize,
    /// `dynamicConfigFile`
    pub(super) dynamic_file: Option<Located<String>>,
    /// `sslQuorum`, `portUnification`, `ssl.quorum.*`
    pub(super) peer_tls: PeerTlsDraft,
    /// `ssl.*`, `client.certReload`
    pub(super) client_tls: TlsDraft,
    /// `secureClientPort`
    pub(super) secure_port: Option<Located<u16>>,
    /// `secureClientPortAddress`
    pub(super) secure_host: Option<Located<String>>,
    /// `client.portUnification`
    pub(super) accept_both: Located<bool>,
}

/// Port of the Prometheus endpoint when the file does not say.
const METRICS_PORT_DEFAULT: u16 = 7000;

impl Draft {
    pub(super) fn new(file: &Path, overrides: &Overrides) -> Self {
        let mut config = Config::base(PathBuf::new());
        config.source = Some(file.to_owned());
        Self {
            overrides: overrides.clone(),
            config,
            data_dir: None,
            data_log_dir: None,
            client_port: None,
            client_host: None,
            min_session_timeout_ms: None,
            max_session_timeout_ms: None,
            admin_host: None,
            prometheus: false,
            metrics_host: None,
            metrics_port: METRICS_PORT_DEFAULT,
            ensemble_provider: false,
            ensemble_names: Vec::new(),
            enforce_auth: Located::default(),
            enforce_schemes: Located::default(),
            servers: Vec::new(),
            servers_file: None,
            standalone_line: 0,
            clocks_line: 0,
            packets_line: 0,
            large_line: 0,
            dynamic_file: None,
            peer_tls: PeerTlsDraft::default(),
            client_tls: TlsDraft::default(),
            secure_port: None,
            secure_host: None,
            accept_both: Located::default(),
        }
    }
}

/// What the lines said so far about TLS between servers.
#[derive(Debug)]
pub(super) struct PeerTlsDraft {
    /// `sslQuorum`
    pub(super) dial: Located<bool>,
    /// `portUnification`
    pub(super) accept_both: Located<bool>,
    /// `ssl.quorum.*`, `sslQuorumReloadCertFiles`
    pub(super) tls: TlsDraft,
}

impl Default for PeerTlsDraft {
    fn default() -> Self {
        // Unlike clients, each server has a host where the others know it.
        let tls = TlsDraft { verify_client_host: true, ..TlsDraft::default() };
        Self { dial: Located::default(), accept_both: Located::default(), tls }
    }
}
