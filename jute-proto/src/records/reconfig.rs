//! Changing the members of the ensemble.

use alloc::borrow::Cow;

use crate::codec::record;
use crate::ids::Zxid;
use crate::stat::Stat;

record! {
    /// Changes the members: either what joins and leaves, or the whole new list.
    pub struct ReconfigRequest<'a> {
        /// Servers that join, `server.N=…` separated by commas.
        pub joining_servers: Option<Cow<'a, str>>,
        /// Ids of servers that leave, separated by commas.
        pub leaving_servers: Option<Cow<'a, str>>,
        /// The complete new list.
        pub new_members: Option<Cow<'a, str>>,
        /// The version of the configuration to change, -1 for any.
        pub current_config_id: Zxid,
    }
}

record! {
    /// The configuration after the change.
    #[derive(Copy)]
    pub struct ReconfigResponse<'a> {
        /// Its text.
        pub data: Option<&'a [u8]>,
        /// The metadata of `/zookeeper/config`.
        pub stat: Stat,
    }
}
