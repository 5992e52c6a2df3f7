//! The one door to the world: clocks, timers, tasks, threads, files, sockets and chance.
//!
//! All other rooms take these from here, so that a simulator can put virtual ones in their place when it is built
//! ([decision 0028](../../docs/decisions/0028-one-door.md)). `tests/tidy` reads every path of `src` and fails where
//! another room names `tokio::time`, `std::fs` and the like.
//!
//! What does not reach the world stays where it is: `tokio::sync`, `tokio::io`'s traits, `tokio::select!`,
//! [`Duration`](std::time::Duration), [`SocketAddr`](std::net::SocketAddr).
//!
//! Each module lists what it lets through, name by name. A name that is not listed is one that no simulator knows.

pub mod fs;
pub mod net;
pub mod random;
pub mod task;
pub mod thread;
pub mod time;
