//! From the configuration to what connections live by.

use std::time::Duration;

use kernel::conn::{ConnectWeights, Settings};
use kernel::limits::{MULTI_READ_LEN_MIN, REPLY_LEN_MAX};
use kernel::session::ThrottleSettings;
use kernel::session::auth::AuthSettings;
use kernel::tree::Policy;

use crate::config::Config;
use crate::consensus::ContactLimits;

/// The settings of the connections.
pub(super) fn settings(config: &Config) -> Settings {
    let positive = |ms: i32| u32::try_from(ms).unwrap_or(0);
    Settings {
        session_timeout_ms_min: positive(config.sessions.min_timeout_ms),
        session_timeout_ms_max: positive(config.sessions.max_timeout_ms),
        auth: AuthSettings {
            digest_enabled: config.auth.digest_enabled,
            digest_algorithm: config.auth.digest_algorithm,
            super_digest: config.auth.super_digest.clone(),
            super_subject: config.auth.super_subject.clone(),
            ensemble_names: config.auth.ensemble_names.clone(),
        },
        enforced_schemes: config.auth.enforced_schemes.clone(),
        policy: policy(config),
        is_alone: !config.ensemble.is_distributed(),
        linearizable_reads: config.features.linearizable_reads,
        // A server that orders requests by itself could save nothing by it, and ZooKeeper's does
        // not do it.
        eager_acl_check: config.features.eager_acl_check && config.ensemble.is_distributed(),
        connect_weights: connect_weights(config),
        packet_len_max: config.limits.jute_max_buffer,
        multi_read_len_max: config.limits.jute_max_buffer.clamp(MULTI_READ_LEN_MIN, REPLY_LEN_MAX),
        handshake_timeout_ms: config.clients.handshake_timeout_ms,
        ..Settings::default()
    }
}

/// How long clients are served without contact to a majority.
pub(super) fn contact_limits(config: &Config) -> ContactLimits {
    let tick = Duration::from_millis(u64::from(config.sessions.tick_time_ms));
    ContactLimits::new(tick, config.ensemble.sync_limit_ticks)
}

/// What decides outcomes.
pub(super) fn policy(config: &Config) -> Policy {
    Policy {
        extended_types: config.features.extended_types,
        enforce_quota: config.features.enforce_quota,
        skip_acl: config.features.skip_acl,
        no_digest_scheme: !config.auth.digest_enabled,
        x509_scheme: config.clients.secure.is_some(),
        reconfig: config.features.reconfig,
        ensemble_of_one: !config.ensemble.standalone_enabled,
        ..Policy::default()
    }
}

fn connect_weights(config: &Config) -> Option<ConnectWeights> {
    let throttle = &config.throttle.connections;
    throttle
        .weighted
        .then_some(ConnectWeights { renew: throttle.renew_weight, global: throttle.global_weight })
}

/// How fast connections may come; `None` for as fast as they like.
pub(super) fn connection_throttle(config: &Config) -> Option<ThrottleSettings> {
    let throttle = &config.throttle.connections;
    Some(ThrottleSettings {
        tokens: throttle.tokens?,
        fill_time_ms: throttle.fill_time_ms,
        fill_count: throttle.fill_count,
        freeze_time_ms: u64::try_from(throttle.freeze_time_ms).ok(),
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
    })
}
