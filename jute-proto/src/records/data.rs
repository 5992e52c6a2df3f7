//! Reading and replacing data.

use alloc::borrow::Cow;

use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Asks for the data of a znode.
    pub struct GetDataRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// Whether to set a data watch.
        pub watch: bool,
    }
}

record! {
    /// The data of a znode.
    #[derive(Copy)]
    pub struct GetDataResponse<'a> {
        /// The data, which may be null.
        pub data: Option<&'a [u8]>,
        /// The metadata.
        pub stat: Stat,
    }
}

record! {
    /// Replaces the data of a znode.
    pub struct SetDataRequest<'a> {
        /// The znode.
        pub path: Cow<'a, str>,
        /// The new data, which may be null.
        pub data: Option<&'a [u8]>,
        /// The data version expected, -1 for any.
        pub version: i32,
    }
}

record! {
    /// The outcome of replacing data.
    #[derive(Copy)]
    pub struct SetDataResponse {
        /// The metadata afterwards.
        pub stat: Stat,
    }
}
