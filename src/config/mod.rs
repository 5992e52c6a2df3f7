//! The configuration: from a ZooKeeper `zoo.cfg` to a [`Config`] that is valid as a whole.
//!
//! Flow: `properties` (lines to keys and values) -> `keys` (what each key means) -> `draft` (what
//! was said so far) -> `finish` (what depends on several lines) -> `types` (the result).
//!
//! Every key of ZooKeeper's server is honoured, or accepted with a [`Notice`] that says why it has
//! no meaning here, or refused with an error that names file, line and key. Java system properties
//! (`-Dzookeeper.x=y`) are set as `x=y`, as in ZooKeeper.

mod addresses;
mod describe;
mod draft;
mod error;
mod finish;
mod keys;
mod located;
mod peer_tls;
mod properties;
mod related_limits;
mod secure;
mod tls;
mod types;
mod value;
mod words;
mod zoo_cfg;

#[cfg(test)]
mod keys_test;
#[cfg(test)]
mod zoo_cfg_test;

pub use describe::DataSizes;
pub use error::{ConfigError, Place};
pub use types::{
    AdminConfig, AuthConfig, ClientsConfig, Config, ConnectionThrottle, ContainersConfig,
    DataConfig, EnsembleConfig, FeaturesConfig, JUTE_MAX_BUFFER_DEFAULT, LimitsConfig,
    MetricsConfig, Notice, Overrides, SecureConfig, SessionsConfig, ThrottleConfig,
};
pub use words::{FOUR_LETTER_WORDS, Whitelist};
