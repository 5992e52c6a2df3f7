//! The Rust client for Grovekeeper and Apache ZooKeeper.
//!
//! ```no_run
//! # async fn example() -> Result<(), grovekeeper_client::Error> {
//! use grovekeeper_client::{AddWatchMode, Client, CreateMode, WatchNotice};
//!
//! let client = Client::connect("zk1:2181,zk2:2181,zk3:2181/my-app").await?;
//! client.create("/greeting", b"hello", CreateMode::Persistent).await?;
//!
//! let mut changes = client.watch("/greeting", AddWatchMode::Persistent).await?;
//! let (data, stat) = client.get("/greeting").await?;
//! assert_eq!((&data[..], stat.version), (&b"hello"[..], 0));
//!
//! client.set("/greeting", b"good morning", stat.version).await?;
//! if let Some(WatchNotice::Event(event)) = changes.next().await {
//!     println!("{} of {}", event.kind, event.path);
//! }
//! # Ok(()) }
//! ```
//!
//! # What calls promise
//!
//! * **Order.** A request is sent when its method is called, not when the returned [`Call`] is first
//!   polled. Calls take effect in the order in which they were made, and many can be under way on
//!   the one connection: make them first and await them later.
//! * **Errors say what is known.** [`Error::fate`] is [`Fate::NotApplied`] where a change was
//!   certainly not made and [`Fate::Unknown`] where the connection was lost before the answer came.
//! * **Changes happen once.** With Grovekeeper a change that a lost connection interrupted is sent
//!   again and answered with what it did, see [`Connector::exactly_once`].
//! * **Interruptions.** What was called while there is no connection waits for the next one. Reads
//!   that a lost connection interrupted are asked again, unless a change behind them was made, or may
//!   have been.
//!   Nothing waits for longer than the session timeout without a connection: calls fail with
//!   [`Error::Unreachable`] then, until a server answers again.
//! * **Bounds.** Requests that wait, their bytes, answers and events that nobody takes have limits,
//!   see [`Connector`].
//! * **Cancellation.** Dropping a [`Call`] or a [`Watch`] at any point leaves the client whole.
//!
//! # The session
//!
//! [`Client::status`] is a channel that shows how the session is doing. A session that is lost (its
//! ephemeral znodes are gone then) fails all calls and ends all watches with
//! [`Error::SessionLost`]; the client begins a new one, and [`Status::generation`] grows, unless
//! [`Connector::single_session`] was asked for.
//!
//! # On top
//!
//! [`recipes`] has locks, elections, groups and more; [`store`] a simple interface of keys, values
//! and leases.
//!
//! # Servers
//!
//! Apache ZooKeeper 3.5 and newer, and Grovekeeper. What a server is too old for fails with
//! [`ErrorCode::Unimplemented`].

mod client;
mod connector;
mod error;
mod path;
mod random;
pub mod recipes;
mod runtime;
mod session;
pub mod store;
mod transport;

pub use bytes::Bytes;
pub use jute_proto::{
    Acl, AddWatchMode, CreateMode, ErrorCode, EventType, Id, Perms, SessionId, Stat, WatcherType,
    Zxid,
};

pub use client::{
    Call, ChildrenPage, ChildrenStream, Client, CreateOptions, Created, Identity, Multi, MultiRead,
    MultiResult, ReadResult, SubtreeNode, SubtreeStream, Version, Watch, WatchNotice, WatchStream,
};
pub use connector::Connector;
pub use error::{Error, Fate};
pub use session::{SavedSession, SessionState, Status, WatchedEvent};
#[cfg(feature = "tls")]
pub use transport::Tls;
