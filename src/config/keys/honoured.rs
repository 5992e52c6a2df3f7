//! Keys whose values are used.

use kernel::ensemble::{NUMBER_MAX, ServerSpec};

use super::{Key, Setting, set};
use crate::config::draft::Draft;
use crate::config::error::Problem;
use crate::config::located::Located;
use crate::config::value::{COUNT, INT, POSITIVE};
use crate::config::words::Whitelist;
use kernel::session::auth::DigestAlgorithm;

/// Assigns a field of the draft if the value is good.
fn put<T>(slot: &mut T, value: Result<T, Problem>) -> Result<(), Problem> {
    *slot = value?;
    Ok(())
}

pub(super) static KEYS: &[Key] = &[
    // Data.
    set("dataDir", "/var/lib/zookeeper", |d, s| put(&mut d.data_dir, text(s).map(Some))),
    set("dataLogDir", "/var/lib/zookeeper-log", |d, s| put(&mut d.data_log_dir, text(s).map(Some))),
    set("datadir.autocreate", "true", |d, s| put(&mut d.config.data.create_dirs, s.value.bool())),
    set("db.autocreate", "true", |d, s| put(&mut d.config.data.autocreate, s.value.bool())),
    set("snapCount", "100000", |d, s| {
        put(&mut d.config.data.checkpoint_after_entries, s.value.int(2..=i64::from(i32::MAX)))
    }),
    set("fsync.warningthresholdms", "1000", |d, s| {
        put(&mut d.config.data.slow_fsync_warning_ms, s.value.int(COUNT))
    }),
    // Client port.
    set("clientPort", "2181", |d, s| {
        put(&mut d.client_port, s.value.port().map(|port| Located::some(s.line, port)))
    }),
    set("clientPortAddress", "127.0.0.1", |d, s| put(&mut d.client_host, located(s))),
    set("clientPortListenBacklog", "-1", |d, s| {
        let backlog = s.value.int::<i32>(INT)?;
        d.config.clients.listen_backlog = u32::try_from(backlog).ok().filter(|&n| n > 0);
        Ok(())
    }),
    set("maxClientCnxns", "60", |d, s| put(&mut d.config.clients.max_per_ip, s.value.limit())),
    set("maxCnxns", "0", |d, s| put(&mut d.config.clients.max_total, s.value.limit())),
    set("clientTcpKeepAlive", "false", |d, s| {
        put(&mut d.config.clients.tcp_keep_alive, s.value.bool())
    }),
    set("nio.sessionlessCnxnTimeout", "10000", |d, s| {
        put(&mut d.config.clients.handshake_timeout_ms, s.value.int(POSITIVE))
    }),
    // Sessions.
    set("tickTime", "3000", |d, s| put(&mut d.config.sessions.tick_time_ms, s.value.int(POSITIVE))),
    set("minSessionTimeout", "6000", |d, s| put(&mut d.min_session_timeout_ms, session_timeout(s))),
    set("maxSessionTimeout", "60000", |d, s| {
        put(&mut d.max_session_timeout_ms, session_timeout(s))
    }),
    // Limits.
    set("jute.maxbuffer", "1048575", |d, s| {
        d.packets_line = s.line;
        put(&mut d.config.limits.jute_max_buffer, s.value.int(POSITIVE))
    }),
    set("globalOutstandingLimit", "1000", |d, s| {
        put(&mut d.config.limits.global_outstanding, s.value.limit())
    }),
    set("largeRequestThreshold", "-1", |d, s| {
        let bytes = s.value.int::<i64>(INT)?;
        d.config.limits.large_request_threshold_bytes =
            u64::try_from(bytes).ok().filter(|&bytes| bytes > 0);
        Ok(())
    }),
    set("largeRequestMaxBytes", "104857600", |d, s| {
        d.large_line = s.line;
        put(&mut d.config.limits.large_request_max_bytes, s.value.int(POSITIVE))
    }),
    // Throttling of requests.
    set("request_throttle_max_requests", "0", |d, s| {
        put(&mut d.config.throttle.max_requests, s.value.limit())
    }),
    set("request_throttle_stall_time", "100", |d, s| {
        put(&mut d.config.throttle.stall_ms, s.value.int(POSITIVE))
    }),
    set("request_throttle_drop_stale", "true", |d, s| {
        put(&mut d.config.throttle.drop_stale, s.value.bool())
    }),
    set("request_stale_latency_check", "false", |d, s| {
        put(&mut d.config.throttle.stale_by_latency, s.value.bool())
    }),
    set("throttled_op_wait_time", "0", |d, s| {
        let wait_ms = s.value.limit()?;
        d.config.throttle.throttled_op_wait_ms = wait_ms.map(u64::from);
        Ok(())
    }),
    // Throttling of connections.
    set("connection_throttle_tokens", "0", |d, s| {
        put(&mut d.config.throttle.connections.tokens, s.value.limit())
    }),
    set("connection_throttle_fill_time", "1", |d, s| {
        put(&mut d.config.throttle.connections.fill_time_ms, s.value.int(POSITIVE))
    }),
    set("connection_throttle_fill_count", "1", |d, s| {
        put(&mut d.config.throttle.connections.fill_count, s.value.int(POSITIVE))
    }),
    set("connection_throttle_freeze_time", "-1", |d, s| {
        put(&mut d.config.throttle.connections.freeze_time_ms, s.value.int(INT))
    }),
    set("connection_throttle_drop_increase", "0.02", |d, s| {
        put(&mut d.config.throttle.connections.drop_increase, s.value.fraction())
    }),
    set("connection_throttle_drop_decrease", "0.002", |d, s| {
        put(&mut d.config.throttle.connections.drop_decrease, s.value.fraction())
    }),
    set("connection_throttle_decrease_ratio", "0", |d, s| {
        put(&mut d.config.throttle.connections.decrease_ratio, s.value.fraction())
    }),
    set("connection_throttle_weight_enabled", "false", |d, s| {
        put(&mut d.config.throttle.connections.weighted, s.value.bool())
    }),
    set("connection_throttle_renew_session_weight", "2", |d, s| {
        put(&mut d.config.throttle.connections.renew_weight, s.value.int(POSITIVE))
    }),
    set("connection_throttle_global_session_weight", "3", |d, s| {
        put(&mut d.config.throttle.connections.global_weight, s.value.int(POSITIVE))
    }),
    // Switches.
    set("extendedTypesEnabled", "false", |d, s| {
        put(&mut d.config.features.extended_types, s.value.bool())
    }),
    set("enforceQuota", "false", |d, s| put(&mut d.config.features.enforce_quota, s.value.bool())),
    set("skipACL", "no", |d, s| put(&mut d.config.features.skip_acl, s.value.yes_no())),
    set("enableEagerACLCheck", "false", |d, s| {
        put(&mut d.config.features.eager_acl_check, s.value.bool())
    }),
    set("reconfigEnabled", "false", |d, s| put(&mut d.config.features.reconfig, s.value.bool())),
    set("linearizableReads", "false", |d, s| {
        put(&mut d.config.features.linearizable_reads, s.value.bool())
    }),
    // What the servers of an ensemble know, which ZooKeeper does not have.
    set("quorum.secretFile", "/etc/grovekeeper/secret", |d, s| {
        put(&mut d.config.ensemble.secret_file, text(s).map(|path| Some(path.into())))
    }),
    // Where servers behind address translation reach each other, which ZooKeeper does not have.
    set("quorum.addressesFromFile", "false", |d, s| {
        put(&mut d.config.ensemble.addresses_from_file, s.value.bool())
    }),
    // The clocks of Raft, which ZooKeeper does not have.
    set("raft.heartbeatMs", "40", |d, s| {
        d.clocks_line = s.line;
        put(&mut d.config.ensemble.heartbeat_ms, s.value.int(1..=10_000))
    }),
    set("raft.electionTimeoutMinMs", "100", |d, s| {
        d.clocks_line = s.line;
        put(&mut d.config.ensemble.election_min_ms, s.value.int(2..=60_000))
    }),
    set("raft.electionTimeoutMaxMs", "200", |d, s| {
        d.clocks_line = s.line;
        put(&mut d.config.ensemble.election_max_ms, s.value.int(3..=60_000))
    }),
    set("readonlymode.enabled", "false", |d, s| {
        put(&mut d.config.features.read_only_mode, s.value.bool())
    }),
    // Containers.
    set("znode.container.checkIntervalMs", "60000", |d, s| {
        put(&mut d.config.containers.check_interval_ms, s.value.int(POSITIVE))
    }),
    set("znode.container.maxPerMinute", "10000", |d, s| {
        put(&mut d.config.containers.max_per_minute, s.value.int(POSITIVE))
    }),
    set("znode.container.maxNeverUsedIntervalMs", "0", |d, s| {
        let never_used_ms = s.value.int::<u64>(0..=i64::MAX)?;
        d.config.containers.max_never_used_ms = Some(never_used_ms).filter(|&ms| ms > 0);
        Ok(())
    }),
    // Authentication.
    set("DigestAuthenticationProvider.enabled", "true", |d, s| {
        put(&mut d.config.auth.digest_enabled, s.value.bool())
    }),
    set("DigestAuthenticationProvider.digestAlg", "SHA1", |d, s| {
        put(&mut d.config.auth.digest_algorithm, digest_algorithm(s))
    }),
    set(
        "DigestAuthenticationProvider.superDigest",
        "super:UdxDQl4f9v5oITwcAsO9bmWgHSI=",
        |d, s| put(&mut d.config.auth.super_digest, super_digest(s).map(Some)),
    ),
    set("ensembleAuthName", "blue,green", |d, s| {
        d.ensemble_names = s.value.list();
        Ok(())
    }),
    set("authProvider.*", "org.apache.zookeeper.server.auth.IPAuthenticationProvider", provider),
    set("enforce.auth.enabled", "false", |d, s| {
        put(&mut d.enforce_auth, s.value.bool().map(|enforced| Located::new(s.line, enforced)))
    }),
    set("enforce.auth.schemes", "digest", |d, s| {
        d.enforce_schemes = Located::new(s.line, s.value.list());
        Ok(())
    }),
    // Four-letter words, administration, metrics.
    set("4lw.commands.whitelist", "srvr, ruok", |d, s| {
        put(&mut d.config.words, Whitelist::parse(&s.value.list()))
    }),
    set("admin.enableServer", "true", |d, s| put(&mut d.config.admin.enabled, s.value.bool())),
    set("admin.serverAddress", "0.0.0.0", |d, s| put(&mut d.admin_host, located(s))),
    set("admin.serverPort", "8080", |d, s| {
        let port = s.value.port()?;
        d.config.admin.addr.set_port(port);
        Ok(())
    }),
    set("admin.commandURL", "/commands", |d, s| {
        let path = text(s)?;
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(Problem::value("must begin with `/` and not end with it"));
        }
        d.config.admin.command_url = path;
        Ok(())
    }),
    set("admin.idleTimeout", "30000", |d, s| {
        put(&mut d.config.admin.idle_timeout_ms, s.value.int(POSITIVE))
    }),
    set(
        "metricsProvider.className",
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
        metrics_provider,
    ),
    set("metricsProvider.httpHost", "0.0.0.0", |d, s| put(&mut d.metrics_host, located(s))),
    set("metricsProvider.httpPort", "7000", |d, s| put(&mut d.metrics_port, s.value.port())),
    // Ensemble.
    set("server.*", "localhost:2888:3888", server),
    set("dynamicConfigFile", "/etc/zookeeper/zoo.cfg.dynamic", |d, s| {
        put(&mut d.dynamic_file, located(s))
    }),
    set("initLimit", "10", |d, s| {
        put(&mut d.config.ensemble.init_limit_ticks, s.value.int(POSITIVE))
    }),
    set("syncLimit", "5", |d, s| {
        put(&mut d.config.ensemble.sync_limit_ticks, s.value.int(POSITIVE))
    }),
    set("standaloneEnabled", "true", |d, s| {
        d.standalone_line = s.line;
        put(&mut d.config.ensemble.standalone_enabled, s.value.bool())
    }),
    set("cnxTimeout", "5000", |d, s| {
        put(&mut d.config.ensemble.peer_connect_timeout_ms, s.value.int(POSITIVE))
    }),
    set("tcpKeepAlive", "false", |d, s| {
        put(&mut d.config.ensemble.peer_tcp_keep_alive, s.value.bool())
    }),
    set("quorumListenOnAllIPs", "false", |d, s| {
        put(&mut d.config.ensemble.listen_on_all_ips, s.value.bool())
    }),
];

fn text(setting: &Setting<'_>) -> Result<String, Problem> {
    setting.value.text().map(Into::into)
}

fn located(setting: &Setting<'_>) -> Result<Option<Located<String>>, Problem> {
    Ok(Located::some(setting.line, text(setting)?))
}

/// A session timeout in milliseconds; -1 is the default.
fn session_timeout(setting: &Setting<'_>) -> Result<Option<Located<i32>>, Problem> {
    let timeout_ms = setting.value.int::<i32>(-1..=i64::from(i32::MAX))?;
    Ok(Located::some(setting.line, timeout_ms).filter(|timeout| timeout.value >= 0))
}

fn digest_algorithm(setting: &Setting<'_>) -> Result<DigestAlgorithm, Problem> {
    match setting.value.0.to_ascii_uppercase().as_str() {
        "SHA1" | "SHA-1" | "SHA" => Ok(DigestAlgorithm::Sha1),
        "SHA-256" => Ok(DigestAlgorithm::Sha256),
        "SHA-512" => Ok(DigestAlgorithm::Sha512),
        "SHA3-256" => Ok(DigestAlgorithm::Sha3_256),
        "SHA3-512" => Ok(DigestAlgorithm::Sha3_512),
        other => Err(Problem::value(format!(
            "expected SHA1, SHA-256, SHA-512, SHA3-256 or SHA3-512, found \"{other}\""
        ))),
    }
}

fn super_digest(setting: &Setting<'_>) -> Result<String, Problem> {
    let digest = text(setting)?;
    match digest.split_once(':') {
        Some((user, hash)) if !user.is_empty() && !hash.is_empty() => Ok(digest),
        _ => Err(Problem::value("expected user:hash, as in super:UdxDQl4f9v5oITwcAsO9bmWgHSI=")),
    }
}

/// `authProvider.N`: the Java classes of the providers that exist here ask for what they stand for.
fn provider(draft: &mut Draft, setting: &Setting<'_>) -> Result<(), Problem> {
    let class = setting.value.text()?;
    match class.rsplit('.').next().unwrap_or(class) {
        "DigestAuthenticationProvider"
        | "IPAuthenticationProvider"
        | "X509AuthenticationProvider" => Ok(()),
        "EnsembleAuthenticationProvider" => {
            draft.ensemble_provider = true;
            Ok(())
        }
        "SASLAuthenticationProvider" => Err(Problem::refused(
            "SASL is not supported yet; use the scheme digest, or remove this line",
        )),
        _ => Err(Problem::refused(format!(
            "{class} is a Java class and cannot be loaded; digest, ip, x509 and ensemble are built in"
        ))),
    }
}

fn metrics_provider(draft: &mut Draft, setting: &Setting<'_>) -> Result<(), Problem> {
    let class = setting.value.text()?;
    draft.prometheus = match class.rsplit('.').next().unwrap_or(class) {
        "PrometheusMetricsProvider" => true,
        "DefaultMetricsProvider" | "NullMetricsProvider" => false,
        _ => {
            return Err(Problem::refused(format!(
                "{class} is a Java class and cannot be loaded; \
                 PrometheusMetricsProvider and DefaultMetricsProvider are built in"
            )));
        }
    };
    Ok(())
}

fn server(draft: &mut Draft, setting: &Setting<'_>) -> Result<(), Problem> {
    let id = setting.suffix.parse::<u64>().ok().filter(|id| *id <= NUMBER_MAX);
    let id = id.ok_or_else(|| {
        Problem::value(format!("the N of server.N must be a number from 0 to {NUMBER_MAX}"))
    })?;
    let spec = ServerSpec::parse(id, setting.value.text()?)
        .map_err(|error| Problem::value(error.to_string()))?;
    if !spec.has_plain_hosts() {
        return Err(Problem::value(
            "a host has no blanks, control characters, `,`, `=`, `[` or `]`",
        ));
    }
    draft.servers.retain(|known| known.value.id != id);
    draft.servers.push(Located::new(setting.line, spec));
    Ok(())
}
