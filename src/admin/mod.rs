//! The operator's view of a running server.
//!
//! * [`reading`]: what a server shows of itself, read at one moment into plain values. The
//!   four-letter words and the pages format these and look at nothing else.
//! * [`NodeView`]: the parts of a node that they read.
//! * [`environment`] and [`process`]: what the machine says.
//! * [`http`]: the administration server (`admin.*`) and the Prometheus endpoint
//!   (`metricsProvider.*`).

pub mod ensemble;
pub mod environment;
pub mod http;
mod node_view;
pub mod process;
pub mod reading;
mod version;

pub use node_view::NodeView;
pub use version::VERSION;
