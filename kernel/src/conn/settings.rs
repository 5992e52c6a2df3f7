//! What a connection needs to know of the configuration.

use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::{MULTI_READ_LEN_MIN, REPLY_LEN_MAX};
use crate::session::auth::AuthSettings;
use crate::tree::Policy;

/// Tokens that connection requests take from the connection throttle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectWeights {
    /// To resume a session (`connection_throttle_renew_session_weight`).
    pub renew: u32,
    /// To make one (`connection_throttle_global_session_weight`).
    pub global: u32,
}

/// The part of the configuration that connections live by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Least session timeout in milliseconds.
    pub session_timeout_ms_min: u32,
    /// Greatest session timeout in milliseconds.
    pub session_timeout_ms_max: u32,
    /// Credentials.
    pub auth: AuthSettings,
    /// Schemes one of which a connection must have proved before anything else; `None` for no such
    /// rule.
    pub enforced_schemes: Option<Vec<String>>,
    /// What reads are judged by; writes are judged by the leader's.
    pub policy: Policy,
    /// Whether the ensemble consists of this server alone, whose state then is the newest there is.
    pub is_alone: bool,
    /// Whether every read is behind a read barrier (`linearizableReads`).
    pub linearizable_reads: bool,
    /// Whether access is checked before a write goes into the log (`enableEagerACLCheck`).
    pub eager_acl_check: bool,
    /// What connection requests take from the connection throttle where they are weighed; each
    /// takes 1 where they are not (`connection_throttle_weight_enabled`).
    pub connect_weights: Option<ConnectWeights>,
    /// Longest packet in bytes, either way (`jute.maxbuffer`).
    pub packet_len_max: usize,
    /// Longest reply to a `multiRead` in bytes.
    pub multi_read_len_max: usize,
    /// How many requests of one connection may wait before its socket is not read any more.
    pub waiting_requests_max: usize,
    /// How many bytes of requests of one connection may wait, likewise.
    pub waiting_len_max: usize,
    /// How many bytes of replies may wait before the socket is not read any more.
    pub output_len_high: usize,
    /// How many bytes of replies and events may wait before the connection is closed. Reads are not
    /// answered while `output_len_high` bytes wait, except those that a later write of the same
    /// connection must not overtake.
    pub output_len_max: usize,
    /// Silence of a socket that has not sent its handshake, in milliseconds.
    pub handshake_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 60_000,
            auth: AuthSettings::default(),
            enforced_schemes: None,
            policy: Policy::default(),
            is_alone: true,
            linearizable_reads: false,
            eager_acl_check: false,
            connect_weights: None,
            packet_len_max: 0xf_ffff,
            multi_read_len_max: MULTI_READ_LEN_MIN,
            waiting_requests_max: 1_000,
            waiting_len_max: 1 << 20,
            output_len_high: 1 << 20,
            output_len_max: REPLY_LEN_MAX,
            handshake_timeout_ms: 10_000,
        }
    }
}
