//! From the configuration to what connections live by.

use crate::config::Config;
use crate::conn::Settings;
use crate::session::auth::AuthSettings;
use crate::tree::Policy;

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
            ensemble_names: config.auth.ensemble_names.clone(),
        },
        enforced_schemes: config.auth.enforced_schemes.clone(),
        policy: policy(config),
        reconfig_enabled: config.features.reconfig,
        packet_len_max: config.limits.jute_max_buffer,
        handshake_timeout_ms: config.clients.handshake_timeout_ms,
        ..Settings::default()
    }
}

/// What decides outcomes.
pub(super) fn policy(config: &Config) -> Policy {
    Policy {
        extended_types: config.features.extended_types,
        enforce_quota: config.features.enforce_quota,
        skip_acl: config.features.skip_acl,
        no_digest_scheme: !config.auth.digest_enabled,
        ..Policy::default()
    }
}
