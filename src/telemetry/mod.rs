//! What the server counts of itself, for the four-letter words, the admin pages and Prometheus.

mod stats;

pub use stats::{Counter, Extremes, ServerStats, Spread};
