//! Who belongs to an ensemble, as its configuration says: pure text and rules.
//!
//! * [`ServerSpec`]: one line `server.N`.
//! * [`Configuration`]: all of them with a version, as `/zookeeper/config` shows them.
//! * [`Change`]: what a `reconfig` asks for, and the configuration that comes of it.
//!
//! What a change means for the consensus is the business of `server::reconfig_task`.

mod change;
mod configuration;
mod server_spec;

pub use change::{Change, ChangeError};
pub use configuration::{Configuration, UnreadableConfiguration};
pub use server_spec::{HostPort, PeerAddr, ServerRole, ServerSpec, SpecError};
