//! The shell around the [session](crate::session): one task, one socket, one clock.
//!
//! Callers put their requests into the session themselves, under its lock, so that requests go out
//! in the order in which the calls were made. The driver moves bytes between session and socket,
//! tells the session the time and carries out its effects.

mod dial;
mod driver;
mod session_handle;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod watch_queue;

pub(crate) use dial::Host;
pub(crate) use driver::run;
pub(crate) use session_handle::{SessionHandle, Token};
pub(crate) use stream::Security;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub(crate) use watch_queue::{QueuedNotice, WatchQueue};
