//! Looking whether a znode exists.

use alloc::borrow::Cow;

use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Asks whether a znode exists.
    pub struct ExistsRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// Whether to set a data watch, even if there is no such znode.
        pub watch: bool,
    }
}

record! {
    /// The metadata of a znode that exists.
    #[derive(Copy)]
    pub struct ExistsResponse {
        /// The metadata.
        pub stat: Stat,
    }
}
