//! Deleting znodes.

use alloc::borrow::Cow;

use crate::codec::record;

record! {
    /// Deletes a znode without children.
    pub struct DeleteRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The data version expected, -1 for any.
        pub version: i32,
    }
}

record! {
    /// Deletes an empty container; meant for servers.
    pub struct DeleteContainerRequest<'a> {
        /// The container. ZooKeeper declares a buffer of UTF-8, which has the same bytes.
        pub path: Cow<'a, str>,
    }
}
