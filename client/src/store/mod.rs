//! A consistent store of keys and values, for those who do not want a tree of znodes.
//!
//! A cluster of many servers keeps the little that must be consistent (who is there, who leads,
//! which task is whose) in a core of three or five, and needs no quorum of its own. This is the
//! core's interface: values under keys that look like paths, leases that end when their holder
//! does, and watches of all that happens under a prefix.
//!
//! ```no_run
//! # async fn example() -> Result<(), grovekeeper_client::Error> {
//! use std::time::Duration;
//! use grovekeeper_client::store::{Store, StoreEvent};
//!
//! let store = Store::connect("core1:2181,core2:2181,core3:2181/my-cluster").await?;
//! store.put("/config/replicas", b"3").await?;
//!
//! // This server is there for as long as it lives.
//! let me = store.keep_lease("/servers/7", "10.0.0.7:80");
//! me.ready().await?;
//!
//! // The program that hands out tasks watches the servers.
//! let mut servers = store.watch("/servers");
//! while let Some(event) = servers.next().await {
//!     match event {
//!         StoreEvent::Put { key, .. } => println!("{key} is there"),
//!         StoreEvent::LeaseExpired { key } => println!("{key} is gone"),
//!         StoreEvent::Deleted { .. } | StoreEvent::Missed => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! * **Reads are linearizable**: they see every change that was acknowledged to anyone before they
//!   began, unless [`Store::allow_stale_reads`] was asked for. Several keys are not read at one
//!   moment, though.
//! * **Changes are durable** when they are acknowledged, and errors say whether they were made
//!   ([`Error::fate`](crate::Error::fate)).
//! * **Leases** end with their holder: at the latest when the servers have not heard of it for the
//!   session timeout, and where they were registered with a time to live also when they are not
//!   refreshed in time.
//!
//! # How it is kept
//!
//! A key is the path of a znode and its value that znode's data; a lease is an ephemeral znode. Any
//! client in any language can take part. A znode without data is not a key of the store but a step
//! on the way to others, so values must not be empty.

mod handle;
mod keys;
mod leases;

mod watch;

pub use handle::Store;
pub use watch::{StoreEvent, StoreWatch, WatchGuard};
