//! Comparing a version, as a condition inside a multi.

use alloc::borrow::Cow;

use crate::codec::record;

record! {
    /// Fails its multi unless the znode has the version.
    pub struct CheckRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The data version expected, -1 for any.
        pub version: i32,
    }
}
