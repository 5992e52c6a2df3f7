//! The configuration of one server, already valid: no other part of the program parses text again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kernel::ensemble::ServerSpec;
use kernel::session::auth::DigestAlgorithm;

use super::words::Whitelist;
use crate::tls::{ClientTlsOptions, PeerTlsOptions};

/// The largest packet body that a server reads unless `jute.maxbuffer` says otherwise, in bytes.
pub const JUTE_MAX_BUFFER_DEFAULT: usize = 0xfffff;

/// Everything that a server is told at start.
///
/// A value of this type is valid: ranges, addresses and combinations have been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that was read, if one was.
    pub source: Option<PathBuf>,
    /// Where the data is kept.
    pub data: DataConfig,
    /// The port for clients and its limits.
    pub clients: ClientsConfig,
    /// Ticks and session timeouts.
    pub sessions: SessionsConfig,
    /// Sizes and counts that requests may not exceed.
    pub limits: LimitsConfig,
    /// Slowing down and turning away of requests and connections.
    pub throttle: ThrottleConfig,
    /// Switches that change what operations do.
    pub features: FeaturesConfig,
    /// The removal of empty containers and of expired TTL nodes.
    pub containers: ContainersConfig,
    /// Who may authenticate, and how.
    pub auth: AuthConfig,
    /// The four-letter words that are answered.
    pub words: Whitelist,
    /// The HTTP administration server.
    pub admin: AdminConfig,
    /// The Prometheus endpoint.
    pub metrics: MetricsConfig,
    /// This server's place among others.
    pub ensemble: EnsembleConfig,
    /// Lines of the file that were accepted although they change nothing, in file order.
    pub notices: Vec<Notice>,
    /// Lines that do less than they say, likewise.
    pub warnings: Vec<Notice>,
}

/// A line of the configuration file that is accepted and changes nothing, or less than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Line of the file, counted from 1.
    pub line: usize,
    /// The key as written.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Where the data is kept (`dataDir`, `dataLogDir`, ...).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataConfig {
    /// Directory of the state (`dataDir`).
    pub dir: PathBuf,
    /// Directory of the log (`dataLogDir`); the same as `dir` unless it was set.
    pub log_dir: PathBuf,
    /// Whether a missing directory is created (`datadir.autocreate`).
    pub create_dirs: bool,
    /// Whether a server without data may form an ensemble with others like it (`db.autocreate`). Else it needs
    /// the file `initialize` for that.
    pub autocreate: bool,
    /// Number of log entries after which a checkpoint is taken (`snapCount`), at least 2.
    pub checkpoint_after_entries: u64,
    /// A flush of the log that takes longer than this is logged (`fsync.warningthresholdms`).
    pub slow_fsync_warning_ms: u64,
}

/// The port for clients (`clientPort`, `clientPortAddress`, ...).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientsConfig {
    /// Where to listen. An unspecified address (0.0.0.0) means every interface of both address
    /// families, as it does for a Java server. Without `plain` it is the address of the secure port.
    pub addr: SocketAddr,
    /// Whether clients without TLS are served: not where only `secureClientPort` is set.
    pub plain: bool,
    /// TLS with clients.
    pub secure: Option<SecureConfig>,
    /// Length of the queue of connections not yet accepted (`clientPortListenBacklog`).
    /// `None` leaves it to the system.
    pub listen_backlog: Option<u32>,
    /// Connections allowed from one address (`maxClientCnxns`). `None` is no limit.
    pub max_per_ip: Option<u32>,
    /// Connections allowed in all (`maxCnxns`). `None` is no limit.
    pub max_total: Option<u32>,
    /// Whether sockets send TCP keep-alives (`clientTcpKeepAlive`).
    pub tcp_keep_alive: bool,
    /// A connection that has not shaken hands by then is closed (`nio.sessionlessCnxnTimeout`).
    pub handshake_timeout_ms: u64,
}

/// TLS with clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureConfig {
    /// Where to listen for clients with TLS (`secureClientPort`, `secureClientPortAddress`).
    pub addr: Option<SocketAddr>,
    /// Whether they are served at the port for clients without TLS too (`client.portUnification`).
    pub at_client_port: bool,
    /// Keys and certificates (`ssl.*`).
    pub tls: ClientTlsOptions,
}

/// Ticks and session timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsConfig {
    /// The unit of time of the others (`tickTime`).
    pub tick_time_ms: u32,
    /// The shortest timeout a client gets (`minSessionTimeout`, else two ticks).
    pub min_timeout_ms: i32,
    /// The longest timeout a client gets (`maxSessionTimeout`, else twenty ticks).
    pub max_timeout_ms: i32,
}

/// Sizes and counts that requests may not exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The largest packet body, in bytes (`jute.maxbuffer`).
    pub jute_max_buffer: usize,
    /// Requests in flight on the whole server before it stops reading from connections that
    /// already wait for a reply (`globalOutstandingLimit`). `None` is no limit.
    pub global_outstanding: Option<u32>,
    /// A request with more bytes than this counts as large (`largeRequestThreshold`).
    /// `None`: no request does.
    pub large_request_threshold_bytes: Option<u64>,
    /// Bytes that all large requests in flight may take together (`largeRequestMaxBytes`).
    pub large_request_max_bytes: u64,
}

/// Slowing down and turning away of requests and connections.
#[derive(Clone, Debug, PartialEq)]
pub struct ThrottleConfig {
    /// Requests in the pipeline before new ones wait (`request_throttle_max_requests`).
    /// `None` is off.
    pub max_requests: Option<u32>,
    /// How long a waiting request waits before it looks again (`request_throttle_stall_time`).
    pub stall_ms: u64,
    /// Whether requests that became stale while waiting are dropped
    /// (`request_throttle_drop_stale`).
    pub drop_stale: bool,
    /// Whether a request older than its session's timeout is stale
    /// (`request_stale_latency_check`).
    pub stale_by_latency: bool,
    /// A request that waited longer is answered `THROTTLEDOP` (`throttled_op_wait_time`).
    /// `None` is off.
    pub throttled_op_wait_ms: Option<u64>,
    /// The token bucket of new connections.
    pub connections: ConnectionThrottle,
}

/// The token bucket of new connections (`connection_throttle_*`).
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionThrottle {
    /// Size of the bucket (`connection_throttle_tokens`). `None` is off.
    pub tokens: Option<u32>,
    /// Time between two fillings (`connection_throttle_fill_time`).
    pub fill_time_ms: u64,
    /// Tokens added at each (`connection_throttle_fill_count`).
    pub fill_count: u32,
    /// Time between two changes of the drop probability (`connection_throttle_freeze_time`).
    /// -1 switches the probabilistic drop off.
    pub freeze_time_ms: i64,
    /// Added to the drop probability when the bucket is empty
    /// (`connection_throttle_drop_increase`).
    pub drop_increase: f64,
    /// Taken from it when the bucket is not (`connection_throttle_drop_decrease`).
    pub drop_decrease: f64,
    /// Share of free tokens above which it falls (`connection_throttle_decrease_ratio`).
    pub decrease_ratio: f64,
    /// Whether connections take tokens by kind of session (`connection_throttle_weight_enabled`).
    pub weighted: bool,
    /// Tokens of a resumed session (`connection_throttle_renew_session_weight`).
    pub renew_weight: u32,
    /// Tokens of a new global session (`connection_throttle_global_session_weight`).
    pub global_weight: u32,
}

/// Switches that change what operations do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeaturesConfig {
    /// Whether TTL nodes may be created (`extendedTypesEnabled`).
    pub extended_types: bool,
    /// Whether hard quotas reject writes (`enforceQuota`).
    pub enforce_quota: bool,
    /// Whether access control lists are ignored (`skipACL=yes`).
    pub skip_acl: bool,
    /// Whether access is checked at the connected server before a write is replicated
    /// (`enableEagerACLCheck`).
    pub eager_acl_check: bool,
    /// Whether the `reconfig` operation is allowed (`reconfigEnabled`).
    pub reconfig: bool,
    /// Whether every read shows all that was acknowledged before, whichever server is asked
    /// (`linearizableReads`).
    pub linearizable_reads: bool,
    /// Whether a server without a quorum serves reads (`readonlymode.enabled`).
    pub read_only_mode: bool,
}

/// The removal of empty containers and of expired TTL nodes (`znode.container.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainersConfig {
    /// Time between two scans (`znode.container.checkIntervalMs`).
    pub check_interval_ms: u64,
    /// Removals a minute (`znode.container.maxPerMinute`).
    pub max_per_minute: u32,
    /// A container that never had a child is removed after this time
    /// (`znode.container.maxNeverUsedIntervalMs`). `None` is never.
    pub max_never_used_ms: Option<u64>,
}

/// Who may authenticate, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether the scheme `digest` exists (`DigestAuthenticationProvider.enabled`).
    pub digest_enabled: bool,
    /// Hash of the scheme `digest` (`DigestAuthenticationProvider.digestAlg`).
    pub digest_algorithm: DigestAlgorithm,
    /// `super:<hash>` of the superuser (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// The subject of the certificate of the superuser (`X509AuthenticationProvider.superUser`).
    pub super_subject: Option<String>,
    /// Names that the scheme `ensemble` accepts (`ensembleAuthName`). Empty: the scheme takes
    /// every name. `None`: the scheme does not exist (`authProvider.N` did not ask for it).
    pub ensemble_names: Option<Vec<String>>,
    /// Schemes of which a connection must hold one before it may do anything
    /// (`enforce.auth.enabled` and `enforce.auth.schemes`). `None`: not enforced.
    pub enforced_schemes: Option<Vec<String>>,
}

/// The HTTP administration server (`admin.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Whether it runs (`admin.enableServer`).
    pub enabled: bool,
    /// Where it listens (`admin.serverAddress`, `admin.serverPort`).
    pub addr: SocketAddr,
    /// Whether the server refuses to start when `addr` is taken. True when the address was given
    /// on the command line; ZooKeeper goes on without the administration server otherwise.
    pub required: bool,
    /// Path before the command names (`admin.commandURL`).
    pub command_url: String,
    /// A silent connection is closed after this time (`admin.idleTimeout`).
    pub idle_timeout_ms: u64,
}

/// The Prometheus endpoint (`metricsProvider.*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where `/metrics` is served. `None`: nowhere.
    pub prometheus_addr: Option<SocketAddr>,
}

/// This server's place among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsembleConfig {
    /// Number in `dataDir/myid`, or of the only line `server.N`; `None` for a server that has neither.
    pub my_id: Option<u64>,
    /// Whether this server forms no ensemble, whatever it finds (`serve --join`).
    pub join: bool,
    /// The lines `server.N`, by number. Empty for a server on its own.
    pub servers: Vec<ServerSpec>,
    /// Ticks that a follower may take to connect and catch up (`initLimit`).
    pub init_limit_ticks: u32,
    /// Ticks that a follower may be without contact (`syncLimit`).
    pub sync_limit_ticks: u32,
    /// How often a leader tells its followers that it is there (`raft.heartbeatMs`).
    pub heartbeat_ms: u64,
    /// With the next: a follower that has not heard of its leader for `election_max_ms`, and then for
    /// a time between the two, asks for votes (`raft.electionTimeoutMinMs`).
    pub election_min_ms: u64,
    /// See `election_min_ms` (`raft.electionTimeoutMaxMs`).
    pub election_max_ms: u64,
    /// Whether a single server may run outside any ensemble (`standaloneEnabled`).
    pub standalone_enabled: bool,
    /// How long a connection to another server may take to open (`cnxTimeout`).
    pub peer_connect_timeout_ms: u64,
    /// Whether sockets between servers send TCP keep-alives (`tcpKeepAlive`).
    pub peer_tcp_keep_alive: bool,
    /// Whether ports for servers listen on every interface (`quorumListenOnAllIPs`).
    pub listen_on_all_ips: bool,
    /// TLS between the servers (`sslQuorum`, `portUnification`, `ssl.quorum.*`).
    pub tls: Option<PeerTlsOptions>,
    /// The file with a secret that the servers of the ensemble share (`quorum.secretFile`).
    pub secret_file: Option<PathBuf>,
    /// Whether a server that this one's file names is connected to only where the file says, whatever the ensemble
    /// agreed on (`quorum.addressesFromFile`).
    pub addresses_from_file: bool,
}

/// The number of a server that has none: nobody else needs to know it.
const NUMBER_DEFAULT: u64 = 1;

impl EnsembleConfig {
    /// The number of this server.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.my_id.unwrap_or(NUMBER_DEFAULT)
    }

    /// Whether the server belongs to an ensemble, be it of one (`QuorumPeerConfig.isDistributed`).
    #[must_use]
    pub fn is_distributed(&self) -> bool {
        self.servers.len() > 1 || (!self.standalone_enabled && !self.servers.is_empty())
    }
}

impl Config {
    /// A server on its own: 127.0.0.1:2181, data in `dir`, every other setting as ZooKeeper's.
    #[must_use]
    pub fn standalone(dir: impl Into<PathBuf>) -> Self {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut config = Self::base(dir.into());
        config.clients.addr = SocketAddr::new(local, CLIENT_PORT_DEFAULT);
        config.admin.addr = SocketAddr::new(local, ADMIN_PORT_DEFAULT);
        config
    }

    /// ZooKeeper's defaults, listening on every interface.
    pub(super) fn base(dir: PathBuf) -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            source: None,
            data: DataConfig::new(dir),
            clients: ClientsConfig::new(SocketAddr::new(any, CLIENT_PORT_DEFAULT)),
            sessions: SessionsConfig::with_tick(TICK_TIME_DEFAULT_MS),
            limits: LimitsConfig::default(),
            throttle: ThrottleConfig::default(),
            features: FeaturesConfig::default(),
            containers: ContainersConfig::default(),
            auth: AuthConfig::default(),
            words: Whitelist::default(),
            admin: AdminConfig::new(SocketAddr::new(any, ADMIN_PORT_DEFAULT)),
            metrics: MetricsConfig::default(),
            ensemble: EnsembleConfig::default(),
            notices: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Puts the settings of the command line in the place of those of the file.
    pub(super) fn apply(&mut self, overrides: &Overrides) {
        if let Some(dir) = &overrides.data_dir {
            self.data.dir.clone_from(dir);
            self.data.log_dir.clone_from(dir);
        }
        if let Some(addr) = overrides.client_addr {
            self.clients.addr = addr;
        }
        if let Some(addr) = overrides.admin_addr {
            self.admin.addr = addr;
            self.admin.enabled = true;
            self.admin.required = true;
        }
        self.ensemble.join |= overrides.join;
    }
}

/// Settings of the command line, which win over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Where state and log are kept (`--data-dir`).
    pub data_dir: Option<PathBuf>,
    /// Where to listen for clients (`--client-addr`).
    pub client_addr: Option<SocketAddr>,
    /// Where the administration server listens, which this also switches on (`--admin-addr`).
    pub admin_addr: Option<SocketAddr>,
    /// No ensemble is formed, whatever this server finds (`--join`).
    pub join: bool,
}

/// ZooKeeper's usual client port.
const CLIENT_PORT_DEFAULT: u16 = 2181;
/// Port of the administration server.
const ADMIN_PORT_DEFAULT: u16 = 8080;
/// `tickTime` when the file does not say.
const TICK_TIME_DEFAULT_MS: u32 = 3000;

impl DataConfig {
    fn new(dir: PathBuf) -> Self {
        Self {
            log_dir: dir.clone(),
            dir,
            create_dirs: true,
            autocreate: true,
            checkpoint_after_entries: 100_000,
            slow_fsync_warning_ms: 1000,
        }
    }
}

impl ClientsConfig {
    fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            plain: true,
            secure: None,
            listen_backlog: None,
            max_per_ip: Some(60),
            max_total: None,
            tcp_keep_alive: false,
            handshake_timeout_ms: 10_000,
        }
    }
}

impl SessionsConfig {
    fn with_tick(tick_time_ms: u32) -> Self {
        Self {
            tick_time_ms,
            min_timeout_ms: ticks_ms(tick_time_ms, 2),
            max_timeout_ms: ticks_ms(tick_time_ms, 20),
        }
    }
}

/// `count` ticks in milliseconds, at most what a session timeout can hold.
pub(super) fn ticks_ms(tick_time_ms: u32, count: u32) -> i32 {
    i32::try_from(u64::from(tick_time_ms) * u64::from(count)).unwrap_or(i32::MAX)
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            jute_max_buffer: JUTE_MAX_BUFFER_DEFAULT,
            global_outstanding: Some(1000),
            large_request_threshold_bytes: None,
            large_request_max_bytes: 100 * 1024 * 1024,
        }
    }
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            max_requests: None,
            stall_ms: 100,
            drop_stale: true,
            stale_by_latency: false,
            throttled_op_wait_ms: None,
            connections: ConnectionThrottle::default(),
        }
    }
}

impl Default for ConnectionThrottle {
    fn default() -> Self {
        Self {
            tokens: None,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: -1,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weighted: false,
            renew_weight: 2,
            global_weight: 3,
        }
    }
}

impl Default for ContainersConfig {
    fn default() -> Self {
        Self { check_interval_ms: 60_000, max_per_minute: 10_000, max_never_used_ms: None }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            digest_enabled: true,
            digest_algorithm: DigestAlgorithm::default(),
            super_digest: None,
            super_subject: None,
            ensemble_names: None,
            enforced_schemes: None,
        }
    }
}

impl AdminConfig {
    fn new(addr: SocketAddr) -> Self {
        Self {
            enabled: true,
            addr,
            required: false,
            command_url: "/commands".to_owned(),
            idle_timeout_ms: 30_000,
        }
    }
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        Self {
            my_id: None,
            join: false,
            servers: Vec::new(),
            init_limit_ticks: 0,
            sync_limit_ticks: 0,
            heartbeat_ms: 40,
            election_min_ms: 100,
            election_max_ms: 200,
            standalone_enabled: true,
            peer_connect_timeout_ms: 5000,
            peer_tcp_keep_alive: false,
            listen_on_all_ips: false,
            tls: None,
            secret_file: None,
            addresses_from_file: false,
        }
    }
}
