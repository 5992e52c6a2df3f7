//! Ready-made coordination, built on the [`Client`](crate::Client) alone.
//!
//! | what | where |
//! |---|---|
//! | one at a time | [`Lock`], [`ReadWriteLock`], [`Semaphore`] |
//! | one of many does it | [`Election`] |
//! | who is there | [`PersistentNode`], [`Group`], [`ServiceRegistry`] |
//! | all at once | [`Barrier`], [`DoubleBarrier`] |
//! | shared values | [`Counter`], [`Queue`], [`TreeCache`], [`ChildrenWatch`] |
//!
//! Common to all of them:
//!
//! * **A lost connection is waited out** as long as the session may live. What belongs to the
//!   session (a place in a queue of lock contenders, an ephemeral znode) is kept over reconnects.
//! * **A guard is only as good as its session.** While [`SessionState::Suspended`] others may be
//!   about to take over: pause what must not be done twice. When the session is lost, what the guard
//!   stood for is gone; guards say so ([`LockGuard::is_held`], [`LockGuard::lost`]), and numbers that
//!   only grow ([`LockGuard::fencing_token`]) let a resource refuse those who have not noticed.
//! * **Dropping is safe at any point.** A future dropped half-way, a guard dropped without being
//!   released: their znodes are deleted in the background, for which the tokio runtime must live.
//! * **Other languages take part.** Names of znodes follow Curator or kazoo where these have a
//!   convention.
//!
//! A new recipe is a file on the model of `barrier`, a line in the table above, and `mod` and
//! `pub use` below. Read `session_scope` first: `SessionScope` keeps a recipe from going on in
//! another session. Its tests stand in `integration/tests/it/client_recipes.rs` and run with
//! `on_each`, its row in `docs/client.md`, its entry in CHANGELOG.md.
//!
//! [`SessionState::Suspended`]: crate::SessionState::Suspended

mod barrier;
mod children_watch;
mod counter;
mod double_barrier;
mod election;
mod group;
mod lock;
mod lock_name;
mod persistent_node;
mod protected_node;
mod queue;
pub(crate) mod read_subtree;
mod read_write_lock;
mod semaphore;
mod service;
pub(crate) mod session_scope;
mod tree_cache;
mod tree_cache_task;

pub use barrier::Barrier;
pub use children_watch::{ChildData, ChildrenWatch};
pub use counter::Counter;
pub use double_barrier::{DoubleBarrier, DoubleBarrierGuard};
pub use election::{Election, Leader, LeaderStream};
pub use group::Group;
pub use lock::{Lock, LockGuard};
pub use lock_name::LockStyle;
pub use persistent_node::PersistentNode;
pub use queue::Queue;
pub use read_write_lock::ReadWriteLock;
pub use semaphore::{Permit, Semaphore};
pub use service::ServiceRegistry;
pub use tree_cache::{CacheEvent, CacheEvents, TreeCache};
