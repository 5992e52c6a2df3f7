//! What the server counts of itself, for the four-letter words, the admin pages and Prometheus.
//!
//! * [`ServerStats`]: what is counted while the server works, by [`Counter`](kernel::stats::Counter)s and
//!   [`Histogram`](kernel::stats::Histogram)s.
//! * [`catalogue()`]: every number with its name and meaning; the one source of the surfaces.
//! * [`RateLimitedLog`]: which lines of the log were written lately and are not written again.
//! * [`flatten`] for `mntr` and `monitor`, [`prometheus`] for `/metrics`.

mod catalogue;
mod flat;
pub mod prometheus;
mod rate_limited_log;
mod stats;

pub use catalogue::{
    EnsembleGauges, Gauges, LeaderGauges, Metric, ProcessGauges, QUANTILES, RaftGauges,
    StorageHistograms, Summary, Value, catalogue, to_ms,
};
pub use flat::{Number, flatten, rounded};
pub use rate_limited_log::RateLimitedLog;
pub use stats::ServerStats;
