//! What a connection begins with: who is there, for what, in which version, with which data, and who knows the secret.
//!
//! ```text
//! connecting server                                  accepting server
//!   hello  magic, versions, purpose,             ──►   checks it
//!          ensemble, from, to
//!                                                ◄──   the version agreed on, or a refusal with its reason
//!   start  number of its start, process, nonce  ◄──►   the same                         from version 2 on
//!   proof  that it knows the secret             ◄──►   the same
//!   verdict  welcome, or the reason why not     ◄──►   the same
//! ```
//!
//! * [`hello`]: the first bytes, the same in all versions. [`versions`]: which versions servers talk.
//! * [`start_proof`]: a server with data of an earlier moment is refused. [`secret`]: so is one without the secret.
//!
//! All bytes are frozen: builds of all versions greet each other.

pub(super) mod hello;
pub(super) mod secret;
pub(super) mod start_proof;
pub(super) mod versions;
