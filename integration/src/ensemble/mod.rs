//! Several servers as one: real processes that find each other by the same `zoo.cfg` lines.
//!
//! Servers are counted from 0 here; their ids (`myid`, `server.N`) from 1, or as
//! [`EnsembleOptions::numbered`] says. Each has a `zoo.cfg` of
//! its own: with [`EnsembleOptions::proxied`] the addresses of the others in it are ports of the
//! [`Network`](proxy::Network), which can break what passes there.
//!
//! ```no_run
//! use integration::{EnsembleOptions, Kind, RawClient};
//!
//! let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).proxied().start();
//! let mut client = RawClient::connect(ensemble.addr(0));
//! let leader = ensemble.wait_for_leader();
//! ensemble.kill(leader);
//! client.create("/still", b"here", 0).expect("created by the others");
//! ```

mod member;
mod mode;
mod options;
mod servers;

pub use mode::Mode;
pub use options::{EnsembleOptions, Failpoint};
pub use servers::Ensemble;
