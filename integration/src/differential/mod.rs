//! The differential suite: scripts of raw requests whose answers must be those of Apache ZooKeeper.
//!
//! A script (`integration/tests/differential/*.txt`) is a list of cases; a case is a list of steps, each followed by
//! the answer that was recorded, indented:
//!
//! ```text
//! config extendedTypesEnabled=true
//!
//! == A child needs its parent.
//! a create ~/x/y
//!   NONODE z1
//! b exists ~/x watch
//!   NONODE z1
//! ! zookeeper 3.8: why this version answers otherwise
//!   2: NONODE z2
//! ```
//!
//! A step names a connection, which is opened when it is first named, and what is sent on it; [`command`] lists the
//! words. `~` is a znode of the case's own. Answers are written by [`transcript`] so that two servers that behave alike
//! write the same: a zxid is its rank among those of the case (`z0` is the one before the first step), a
//! session its order of appearance (`s1`), a time its relation to others.
//!
//! [`Script::run`] plays a script against a server; [`compare()`] tells where the answers differ from the recorded
//! ones. The recorded answers are those of the target version, 3.9; where another server is known to answer
//! otherwise, a block behind the case says which (`zookeeper 3.8`, `grovekeeper`), why, and how.

pub mod client;
pub mod command;
pub mod compare;
pub mod random;
pub mod request;
pub mod runner;
pub mod script;
pub mod transcript;

pub use compare::{Difference, compare, record};
pub use script::{Case, Script, Step, Variant};
