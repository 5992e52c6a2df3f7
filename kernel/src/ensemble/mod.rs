//! Who belongs to an ensemble, as its configuration says: pure text and rules.
//!
//! * [`ServerId`]: the N of `server.N`.
//! * [`ServerSpec`]: one line `server.N`.
//! * [`Configuration`]: all of them with a version, as `/zookeeper/config` shows them.
//! * [`MemberId`]: the member of the consensus that a server's data directory is.
//! * [`MembershipChange`]: what a `reconfig` asks for, and the configuration that comes of it.
//!
//! What a change means for the consensus is the business of `server::reconfig_task`.

mod configuration;
mod member_id;
mod membership_change;
mod server_id;
mod server_spec;

pub use configuration::{Configuration, UnreadableConfiguration};
pub use member_id::{MemberId, NUMBER_MAX};
pub use membership_change::{MembershipChange, MembershipChangeError};
pub use server_id::ServerId;
pub use server_spec::{HostPort, PeerAddr, ServerRole, ServerSpec, SpecError};
