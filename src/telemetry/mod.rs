//! What the server counts of itself, for the four-letter words, the admin pages and Prometheus.
//!
//! * [`ServerStats`]: what is counted while the server works, by [`Counter`](kernel::stats::Counter)s and [`Histogram`](kernel::stats::Histogram)s.
//! * [`catalogue()`]: every number with its name and meaning; the one source of the surfaces.
//! * [`Complaints`]: what has been said lately and need not be said again.
//! * [`flatten`] for `mntr` and `monitor`, [`prometheus`] for `/metrics`.

mod catalogue;
mod complaints;
mod flat;
pub mod prometheus;
mod stats;

pub use catalogue::{
    EnsembleGauges, Gauges, LeaderGauges, Metric, ProcessGauges, QUANTILES, RaftGauges,
    StorageHistograms, Summary, Value, catalogue, to_ms,
};
pub use complaints::Complaints;
pub use flat::{Number, flatten, rounded};
pub use stats::ServerStats;
