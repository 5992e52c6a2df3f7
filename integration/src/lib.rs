//! The end-to-end harness: real server processes, real sockets, real clients.
//!
//! A test starts a server of its own, talks to it and lets it go; dropping the [`Server`] kills the
//! process and removes its data:
//!
//! ```no_run
//! use integration::{RawClient, Server};
//!
//! let server = Server::start();
//! let mut client = RawClient::connect(server.addr());
//! client.create("/greeting", b"hello", 0).expect("created");
//! ```
//!
//! The same tests run against Apache ZooKeeper with `GROVEKEEPER_TEST_SERVER=zookeeper`: a client
//! test that fails there is a wrong test. Tests that are about Grovekeeper alone (its messages, its
//! data directory) ask for [`Kind::Grovekeeper`] by name.
//!
//! Nothing here sleeps except [`eventually`](mod@eventually).

mod client_tools;
pub mod costly;
pub mod data_directory;
pub mod differential;
pub mod ensemble;
pub mod eventually;
pub mod four_letter;
mod grovekeeper;
pub mod http;
mod namespaces;
mod ports;
mod process;
pub mod raw;
mod server;
mod small_disk;
pub mod torture;
pub mod tree;
mod wish;
mod zookeeper;

pub use client_tools::{Report, Tool, zk_cli};
pub use ensemble::{Ensemble, EnsembleOptions, Failpoint, Mode};
pub use eventually::{eventually, within};
pub use grovekeeper::{binary, binary_with_failpoints};
pub use namespaces::Namespaces;
pub use ports::free_port;
pub use process::Process;
pub use raw::RawClient;
pub use server::{Kind, Server, ServerOptions};
pub use small_disk::SmallDisk;
pub use wish::Wish;
