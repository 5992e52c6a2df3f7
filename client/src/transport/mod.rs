//! The shell around the [session](crate::session): one task, one socket, one clock.
//!
//! Callers put their requests into the session themselves, under its lock, so that requests go out
//! in the order in which the calls were made. The driver moves bytes between session and socket,
//! tells the session the time and carries out its effects.

mod dial;
mod driver;
mod shared;
mod sink;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use dial::Host;
pub(crate) use driver::run;
pub(crate) use shared::{Shared, Token};
pub(crate) use sink::{Item, Sink};
pub(crate) use stream::Security;
#[cfg(feature = "tls")]
pub use tls::Tls;
