//! Listing and counting children.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::codec::record;
use crate::stat::Stat;

record! {
    /// Asks for the names of the children.
    pub struct GetChildrenRequest<'a> {
        /// The parent.
        pub path: Cow<'a, str>,
        /// Whether to set a child watch.
        pub watch: bool,
    }
}

record! {
    /// The names of the children, in no promised order.
    pub struct GetChildrenResponse<'a> {
        /// The names, without the path of the parent.
        pub children: Vec<Cow<'a, str>>,
    }
}

/// Asks for the names of the children and the metadata of the parent.
pub type GetChildren2Request<'a> = GetChildrenRequest<'a>;

record! {
    /// The names of the children and the metadata of the parent.
    pub struct GetChildren2Response<'a> {
        /// The names, without the path of the parent.
        pub children: Vec<Cow<'a, str>>,
        /// The metadata of the parent.
        pub stat: Stat,
    }
}

record! {
    /// Asks how many znodes are below one, at any depth.
    pub struct GetAllChildrenNumberRequest<'a> {
        /// The top, which is not counted.
        pub path: Cow<'a, str>,
    }
}

record! {
    /// How many znodes are below one.
    #[derive(Copy)]
    pub struct GetAllChildrenNumberResponse {
        /// The count.
        pub total_number: i32,
    }
}
